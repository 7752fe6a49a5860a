"""Command lines: values with a comment in them, option files in odd places, output without a reader."""

import io
import subprocess
import sys
from unittest.mock import Mock

import pytest
from plidenet import cli
from plidenet.config import load_options
from plidenet.errors import UserError


@pytest.mark.parametrize("value", ["run #2", "#2", "[a] # b", '"run #2" #3'])
def test_a_value_that_yaml_would_cut_off_is_refused(bench, value):
    with pytest.raises(UserError, match="what follows # is a comment"):
        load_options(bench.options("bicubic"), [f"name={value}"])


@pytest.mark.parametrize("value", ['"run #2"', "'run #2'", "run#2"])
def test_a_value_in_quotes_may_have_a_hash(bench, value):
    assert load_options(bench.options("bicubic"), [f"name={value}"]).name == value.strip("\"'")


def test_compare_needs_option_files_and_takes_those_with_an_equals_sign(bench, run_script):
    ended = run_script("test/test.py", "--compare", "name=x")
    assert (ended.status, ended.err) == (2, "error: --compare needs option files\n")
    (bench.folder / "lr=1e-4").mkdir()
    file = bench.options("bicubic").rename(bench.folder / "lr=1e-4/bicubic.yml")
    ended = run_script("test/test.py", "--compare", file, "name=x", f"datasets.test9={{name: {'x' * 300}, mode: ~}}")
    assert (ended.status, "File name too long" in ended.err) == (2, False)
    ended = run_script("test/test.py", "--compare", file, "name=x")
    assert (ended.status, "Bicubic" in ended.out) == (0, True)


def test_a_comparison_does_not_go_to_a_file(bench, run_script):
    (bench.folder / "there").touch()
    ended = run_script("test/test.py", "--compare", bench.options("bicubic"), "--output", bench.folder / "there")
    assert (ended.status, "there, which is not a folder" in ended.err) == (2, True)
    assert not (bench.folder / "results").exists(), "something was measured before"


def test_characters_that_the_output_lacks_are_replaced(monkeypatch):
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="latin-1"))
    assert cli.run(lambda: print("a \u2013 b")) == 0
    assert output.getvalue() == b"a ? b\n"


def test_progress_is_told_in_plain_lines_where_there_is_no_terminal(monkeypatch, capsys):
    monkeypatch.setattr(cli, "time", Mock(monotonic=Mock(side_effect=[0.0, 4.0, 12.0, 15.0, 15.0])))
    assert list(cli.progress("abc", "work")) == ["a", "b", "c"]
    assert capsys.readouterr().err.splitlines() == ["work: 2/3, 0.17 img/s, 6 s left", "work: 3 img in 15.0 s"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_stream_may_be_closed(monkeypatch, stream):
    monkeypatch.setattr(sys, stream, None)
    assert cli.run(lambda: print(list(cli.progress([1, 2], "numbers")))) == 0


def test_a_log_that_nobody_reads_any_more_is_no_obstacle(tmp_path):
    program = (
        "import logging, os\nfrom plidenet import logs\nlogs.log_to_screen()\n"
        "for n in range(10**4): logging.getLogger('plidenet').info('line')\nos._exit(7)"
    )
    errors = tmp_path / "errors"
    with (
        errors.open("w") as file,
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=file) as process,
    ):
        process.stdout.readline()
        process.stdout.close()
        assert process.wait() == 7
    assert errors.read_text() == ""


def test_what_is_no_assignment_but_a_file_is_told(bench):
    file = bench.options("bicubic")
    with pytest.raises(UserError, match=r"yml' is not an assignment; it is the name of a file or folder$"):
        load_options(file, [str(file)])


def test_a_reader_that_is_gone_ends_a_program_without_a_traceback():
    program = "import sys; from plidenet.cli import run; sys.exit(run(lambda: [print(i) for i in range(10**5)]))"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.stdout.close()
        assert (process.wait(), process.stderr.read()) == (1, "")


def test_ctrl_c_ends_a_program_with_the_status_of_shells(capsys):
    assert cli.run(Mock(side_effect=KeyboardInterrupt)) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_another_broken_pipe_passes_through():
    program = "from plidenet.cli import run\ndef fail(): raise BrokenPipeError\nrun(fail)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (1, "BrokenPipeError")


def test_slurms_own_processes_are_refused(capsys):
    parser = cli.option_parser(None, "")
    assert parser.parse_args(["-opt", "x.yml", "--launcher", "pytorch"]).launcher == "pytorch"
    with pytest.raises(SystemExit):
        parser.parse_args(["-opt", "x.yml", "--launcher", "slurm"])
    assert "argument --launcher: let srun start one torchrun a machine" in capsys.readouterr().err

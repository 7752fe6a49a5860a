"""What folders of results hold after several tests: no table of an earlier one, and none overwritten by another's."""

import subprocess
import sys

import pytest
from conftest import ROOT
from plidenet.config import RESULT_TABLES, load_options
from plidenet.errors import UserError
from plidenet.evaluation import tester
from plidenet.lock import lock
from testing_setup import BICUBIC


def tables(folder):
    return {path.name for path in folder.iterdir() if path.stem in RESULT_TABLES}


@pytest.mark.parametrize("compared", [False, True], ids=["test", "compare"])
def test_tables_of_an_earlier_test_that_are_not_written_again_go(bench, run_script, compared):
    folder = bench.folder / "results" / ("comparison" if compared else "run")
    main, widths = {"table.csv", "table.md"} | ({"table.tex"} if compared else set()), {"widths.csv", "widths.md"}
    folder.mkdir(parents=True)
    stale = ("widths.md", "widths.csv") if compared else ("perceptual.md", "perceptual.csv", "kernels.csv")
    for name in (*stale, "mine.csv"):
        (folder / name).write_text("of an earlier test")
    (folder / "Set14.csv").write_text("image,psnr_y,ssim_y,psnr_rgb,ssim_rgb,seconds\nof an earlier test,20,,,,\n")
    (folder / "opinions.csv").write_text("image,mos\na,3\n")
    (folder / "images.csv").mkdir()
    for sets, written in ((("Set5", "Plain"), main | widths), (("Plain",), main)):
        file = bench.options("run", BICUBIC, sets)
        ended = run_script("test/test.py", "--compare" if compared else "-opt", file, "test.save_images=false")
        assert ended.status == 0, ended.err
        assert tables(folder) == written
    assert all((folder / name).exists() for name in ("mine.csv", "opinions.csv", "images.csv"))
    assert (folder / "Set14.csv").exists() == compared, "a comparison writes no tables of images"


def test_no_table_of_an_earlier_test_stays_beside_the_images_of_one_that_fails(bench, run_script):
    file = bench.options("run", BICUBIC, ("Plain", "Set5"))
    assert run_script("test/test.py", "-opt", file).status == 0
    ended = run_script("test/test.py", "-opt", file, "crop_border=1000")
    assert ended.status == 2
    assert not list((bench.folder / "results/run").glob("*.csv"))


def test_no_table_stays_where_nothing_is_measured(bench, run_script):
    file = bench.options("run", BICUBIC, ("Plain",))
    only_lr = ("datasets.test0.mode=LQ", "datasets.test0.dataroot_GT=", "test.save_images=false")
    for overrides, written in (((), {"table.csv", "table.md"}), (only_lr, set())):
        assert run_script("test/test.py", "-opt", file, *overrides).status == 0
        assert tables(bench.folder / "results/run") == written


@pytest.mark.parametrize("name", RESULT_TABLES)
def test_a_set_whose_scores_would_overwrite_a_table_is_refused(bench, name):
    with pytest.raises(
        UserError, match=rf"datasets\.test0\.name cannot be {name}: a table of the results has that name"
    ):
        load_options(bench.options("run", BICUBIC, (name,)))


def test_a_training_set_may_be_called_like_a_table(bench):
    train = {"name": "table", "mode": "GT", "dataroot_GT": "HR"}
    assert load_options(bench.options("run", datasets={"train": train})).datasets["train"].name == "table"


@pytest.mark.parametrize("folder", ["results/a", "results/b", "results/../results/b"])
def test_a_comparison_goes_to_no_candidates_folder(bench, run_script, folder):
    files = [bench.options(name) for name in ("a", "b")]
    ended = run_script("test/test.py", "--compare", *files, "--output", bench.folder / folder)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert f"the comparison cannot go to {bench.folder / folder}, where the results of {folder[-1]} go" in ended.err
    assert not (bench.folder / "results").exists()


def test_a_comparison_replaces_no_tables_of_an_earlier_test(bench, run_script):
    assert run_script("test/test.py", "-opt", bench.options("run", BICUBIC)).status == 0
    before = bench.text("run/table.csv")
    compared = ["test/test.py", "--compare", bench.options("a", BICUBIC), "--output"]
    ended = run_script(*compared, bench.folder / "results/run")
    assert (ended.status, bench.text("run/table.csv")) == (2, before)
    assert "where the results of a test lie" in ended.err
    for _ in range(2):  # an earlier comparison is replaced
        assert run_script(*compared, bench.folder / "results/both").status == 0


@pytest.mark.parametrize("compared", [False, True], ids=["test", "compare"])
def test_a_second_test_of_one_name_is_refused_while_the_first_goes_on(bench, compared):
    files = [bench.options(name, BICUBIC, ("Plain",)) for name in (("first", "run") if compared else ("run",))]
    command = [sys.executable, ROOT / "test/test.py", "--compare" if compared else "-opt", *files]
    folder = bench.folder / "results/run"
    folder.mkdir(parents=True)
    with lock(folder / ".lock", "taken"):
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert f"{folder} is in use by another test; another name writes beside it" in refused.stderr
    assert not list(bench.folder.rglob("*.png")) + list((bench.folder / "results").rglob("*.csv"))
    assert subprocess.run(command, check=False).returncode == 0
    assert tables(folder)


@pytest.mark.parametrize("how", ["-opt", "--compare"])
def test_a_test_holds_its_folder_until_its_tables_are_written(bench, run_script, monkeypatch, how):
    path = bench.folder / "results/run/.lock"
    taking = [sys.executable, "-c", f"from plidenet.lock import lock; lock(__import__('pathlib').Path('{path}'), '')"]
    held = []
    for name in ("_warm_up", "clear_results", "write_set", "write_report"):
        function = getattr(tester, name)

        def probed(*arguments, name=name, function=function):
            held.append((name, subprocess.run(taking, capture_output=True, check=False).returncode != 0))
            return function(*arguments)

        monkeypatch.setattr(tester, name, probed)
    ended = run_script("test/test.py", how, bench.options("run", BICUBIC, ("Plain",)))
    assert ended.status == 0, ended.err
    assert held == [(name, True) for name in ("_warm_up", "clear_results", "write_set", "write_report")]
    assert subprocess.run(taking, check=False).returncode == 0

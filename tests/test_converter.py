"""scripts/convert_checkpoint.py: what it writes, and what it refuses."""

import copy

import pytest
import torch
from conftest import Harm
from plidenet import load_checkpoint
from plidenet.checkpoint import save_checkpoint
from released_weights import blank_network, released_state
from training_setup import assert_identical

CONVERT = "scripts/convert_checkpoint.py"


def test_the_converter_writes_a_released_file_in_the_own_format(run_script, tmp_path):
    source, target = tmp_path / "released.pth", tmp_path / "new folder" / "x2.pth"
    torch.save(released_state(2, wiener_scale=True), source)
    done = run_script(CONVERT, source, target)
    assert (done.status, done.err) == (0, "")
    assert "released format" in done.out
    assert "2 ignored" in done.out
    net, expected = blank_network(2), blank_network(2)
    info = load_checkpoint(net, target)
    load_checkpoint(expected, source)
    assert (info.format, info.weights, info.missing) == ("own", "params", [])
    assert_identical(net.state_dict(), expected.state_dict())


def test_the_converter_keeps_the_ema_weights_of_an_own_file(run_script, tiny_network, tmp_path):
    net = tiny_network(scale=2)
    ema = {name: value + 0.25 for name, value in net.state_dict().items()}
    save_checkpoint(tmp_path / "old.pth", params=net.state_dict(), params_ema=ema)
    assert run_script(CONVERT, tmp_path / "old.pth", tmp_path / "new.pth").status == 0
    assert_identical(torch.load(tmp_path / "new.pth", weights_only=True)["params"], ema)


def test_the_converter_halves_a_file_for_shipping(run_script, tiny_network, tmp_path):
    net = tiny_network(scale=2)
    expected = copy.deepcopy(dict(net.state_dict()))
    save_checkpoint(tmp_path / "full.pth", params=expected)
    assert run_script(CONVERT, tmp_path / "full.pth", tmp_path / "half.pth", "--half").status == 0
    assert (tmp_path / "half.pth").stat().st_size < 0.8 * (tmp_path / "full.pth").stat().st_size
    load_checkpoint(net, tmp_path / "half.pth")
    for name, value in expected.items():
        stored = value if name.startswith("estimator.") else value.half().float()
        assert_identical(net.state_dict()[name], stored, name)
    save_checkpoint(tmp_path / "large.pth", params={name: value + 1e5 for name, value in expected.items()})
    done = run_script(CONVERT, tmp_path / "large.pth", tmp_path / "new.pth", "--half")
    assert (done.status, (tmp_path / "new.pth").exists()) == (2, False)
    assert "holds values beyond float16" in done.err


def test_the_converter_does_not_write_over_its_input(run_script, tiny_network, tmp_path):
    file = tmp_path / "run.pth"
    save_checkpoint(file, params=tiny_network(scale=2).state_dict())
    before = file.read_bytes()
    done = run_script(CONVERT, file, tmp_path / "none" / ".." / "run.pth")
    assert (done.status, file.read_bytes() == before) == (2, True)
    assert "choose another name" in done.err


@pytest.mark.parametrize(
    "content", [None, b"", b"no checkpoint", [1], {"a": Harm("harm")}, {"a": torch.tensor([torch.nan])}]
)
def test_the_converter_answers_bad_input_with_one_line_and_writes_nothing(run_script, tmp_path, content):
    source, target = tmp_path / "old.pth", tmp_path / "folder" / "new.pth"
    if isinstance(content, bytes):
        source.write_bytes(content)
    elif content is not None:
        torch.save(content, source)
    done = run_script(CONVERT, source, target)
    assert done.status == 2
    assert done.out == ""
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert not target.parent.exists()

"""Option files, checkpoints, kernels and manifests that were once answered by a traceback, or by nothing for hours."""

import io
import json

import numpy as np
import pytest
import torch
from plidenet.checkpoint import load_checkpoint, read_weights
from plidenet.cli import LONGEST, explain
from plidenet.config import load_options
from plidenet.data.benchmark import read_manifest
from plidenet.data.datasets import KernelFolder
from plidenet.errors import UserError
from test_options import MINIMAL
from torch import nn

# option files


@pytest.fixture
def refused(tmp_path):
    """Load an option file that must be refused: the message."""

    def load(text, *overrides):
        file = tmp_path / "some.yml"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        with pytest.raises(UserError) as caught:
            load_options(file, overrides)
        return explain(caught.value)

    return load


KNOTS = {
    "lists": ("[x, x]", "[*a{0}, *a{0}]"),
    "sections": ("{x: 1}", "{{x: *a{0}, y: *a{0}}}"),
    "merges": ("{x: 1}", "{{<<: [*a{0}, *a{0}]}}"),
}


@pytest.mark.parametrize("kind", KNOTS)
@pytest.mark.parametrize("place", ["suffix", "train", "datasets", "unknown"])
def test_a_few_lines_that_stand_for_billions_of_values_are_refused(refused, kind, place):
    first, other = KNOTS[kind]
    lines = [f"a0: &a0 {first}", *(f"a{i}: &a{i} {other.format(i - 1)}" for i in range(1, 40))]
    text = "\n".join([MINIMAL, *lines, f"{place}: *a39", ""])
    assert "its aliases stand for more than 100000 values" in refused(text)


@pytest.mark.parametrize("loop", ["&a [*a]", "&a {b: *a}", "&a {<<: *a}"])
def test_a_value_that_holds_itself_is_refused(refused, loop):
    assert "its aliases stand for more than" in refused(f"{MINIMAL}suffix: {loop}\n")
    assert "is not valid YAML" in refused(MINIMAL, f"suffix={loop}")


@pytest.mark.parametrize(
    "value",
    [
        *(
            "!!map [a]",
            "!!seq {a: 1}",
            "!!float _",
            "!!int ''",
            "!!binary é",
            "!!timestamp x",
            "!!python/name:os.system",
        ),
        *("!!python/object/apply:os.mkdir [ran]", "[" * 5000, "2024-99-99", "*b"),
    ],
)
def test_values_that_are_not_what_their_tags_say_are_refused(refused, value):
    assert "some.yml is not valid YAML: " in refused(f"{MINIMAL}suffix: {value}\n")


@pytest.mark.parametrize("number", ["1" + "0" * 400, ".inf", "-.inf", ".nan", "1e999"])
def test_numbers_that_are_not_finite_are_refused(refused, number):
    for field in ("train.lr_G", "train.weight_decay_G", "dist_timeout", "degradation.sig_max"):
        assert f"{field} must be a number, not" in refused(MINIMAL, f"{field}={number}")


@pytest.mark.parametrize(
    "override",
    [
        *("train.beta1=1", "train.beta2=-0.1", "train.ema_decay=1", "train.weight_decay_G=-1", "train.manual_seed=-1"),
        *("train.manual_seed=9223372036854775808", "dist_timeout=0", "dist_timeout=1e300"),
    ],
)
def test_numbers_that_would_end_training_before_it_starts_are_refused(refused, override):
    assert f"{override.partition('=')[0]} must " in refused(MINIMAL, override)


def test_paths_and_names_that_no_file_system_has_are_refused(refused):
    assert "path.results_root must be a path" in refused(f'{MINIMAL}path: {{results_root: "a\\0b"}}\n')
    assert "there is no such user" in refused(MINIMAL, "path.results_root=~nobody-of-this-name/x")
    for name in ('"a\\0b"', '"a\\nb"', "..", "a/b", "a\\b", "x" * 300):
        assert "name must be a plain folder name" in refused(MINIMAL.replace("name: minimal", f"name: {name}"))


@pytest.mark.parametrize("text", [f"{MINIMAL}#{'x' * 10**6}", b"\xff\xfe", MINIMAL.encode("utf-16"), b"a: \x00"])
def test_files_that_are_too_long_or_no_text_are_refused(refused, text):
    message = refused(text)
    assert "some.yml" in message
    assert len(message) < 500


# checkpoints


@pytest.fixture
def check(tmp_path):
    """Load weights into a layer, which a refusal must leave as it was."""

    def load(content, strict=True):
        net = nn.Linear(3, 2)
        before = net.weight.clone()
        torch.save(content, tmp_path / "weights.pth")
        try:
            load_checkpoint(net, tmp_path / "weights.pth", strict)
        except UserError as error:
            assert torch.equal(net.weight, before)
            return explain(error)
        return ""

    return load


BIAS, WEIGHT = torch.zeros(2), torch.ones(2, 3)


ODD = {
    "a terabyte": lambda: torch.zeros(1).expand(10**12),
    "expanded": lambda: torch.zeros(1).expand(2, 3),
    "meta": lambda: WEIGHT.to("meta"),
    "sparse": WEIGHT.to_sparse,
    "csr": WEIGHT.to_sparse_csr,
    "quantized": lambda: torch.quantize_per_tensor(WEIGHT, 0.1, 0, torch.qint8),
    "complex": lambda: WEIGHT.to(torch.complex64),
}


@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.filterwarnings("ignore")
def test_tensors_that_are_no_plain_numbers_in_memory_are_refused(check, kind, strict):
    if kind == "quantized" and not hasattr(torch, "quantize_per_tensor"):
        pytest.skip("this PyTorch has no quantized tensors any more")
    message = check({"weight": ODD[kind](), "bias": BIAS}, strict)
    assert message.endswith("holds tensors that are not real, dense and stored in full: weight")


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_whole_numbers_are_no_weights(check, dtype):
    assert f"weight is {dtype}, not torch.float32" in check({"weight": WEIGHT.to(dtype), "bias": BIAS})
    assert "has no tensor in common" in check({"weight": WEIGHT.to(dtype)}, strict=False)


def test_numbers_of_other_precisions_are_taken_unless_they_are_too_large(check):
    for dtype in (torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn):
        assert check({"weight": WEIGHT.to(dtype), "bias": BIAS}) == ""
    assert "not finite, in weight" in check({"weight": WEIGHT.double() + 1e300, "bias": BIAS})
    assert "not finite, in weight" in check({"weight": (WEIGHT * torch.nan).to(torch.float8_e4m3fn), "bias": BIAS})


def test_a_released_layer_of_another_shape_is_refused_with_both_shapes(tmp_path, tiny_network):
    torch.save({"netDe.deblur.wiener_conv_weights": torch.zeros(5)}, tmp_path / "weights.pth")
    assert read_weights(tmp_path / "weights.pth")[0]["wiener.regularizers"].shape == (5,)
    with pytest.raises(UserError, match=r"wiener.regularizers is \(5,\), not"):
        load_checkpoint(tiny_network(scale=2), tmp_path / "weights.pth")


# kernels and manifests


def archive():
    buffer = io.BytesIO()
    np.savez(buffer, np.ones((3, 3)))
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        *(archive(), b"\x93NUMPY\1\0\x76\0" + b"(" * 118, b"", b"\x80\x04]."),
        *(npy(np.ones(3)), npy(np.ones((4, 4))), npy(np.ones((3, 5))), npy(np.ones((0, 0))), npy(np.ones((3, 3, 1)))),
        *(npy(np.zeros((3, 3))), npy(np.full((3, 3), np.nan)), npy(np.full((3, 3), 1e300)), npy(-np.ones((3, 3)))),
        *(npy(np.ones((3, 3), complex)), npy(np.ones((3, 3), "S1")), npy(np.array([[{}]]))),
    ],
)
def test_what_is_no_kernel_is_refused_by_name(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.npy (cannot be read as a kernel: .|holds no kernel: it needs)"):
        KernelFolder(tmp_path, ["a"]).read("a")


SOUND = {"setting": 1, "ksize": 21, "sigmas": [1.8]}


@pytest.mark.parametrize(
    "manifest",
    [
        *("[" * 100_000, '{"x4": 1}', '{"x4": null}', '{"x4": {}}', "9" * 5000),
        *(json.dumps({"x4": {**SOUND, "ksize": "21"}}), json.dumps({"x4": {"setting": 1, "ksize": 21}})),
        *(
            json.dumps({"x4": {**SOUND, "sigmas": widths}})
            for widths in ([], 1.8, ["a"], [[1]], [-1], [1e400], [10**400])
        ),
    ],
)
def test_a_manifest_that_is_no_manifest_is_refused(tmp_path, manifest):
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(UserError, match=r"manifest\.json is damaged: ."):
        read_manifest(tmp_path)


# sentences


def test_a_message_is_one_printable_line_of_bearable_length():
    assert explain(UserError("a\n  b\tc")) == "a b c"
    assert explain(UserError("\x1b[31mred\x07 \ud800 b\u00e4r")) == "\\x1b[31mred\\x07 \\ud800 b\u00e4r"
    long = explain(UserError("start" + "x" * 10**6 + "end"))
    assert (long[:5], long[-3:]) == ("start", "end")
    assert len(long) < LONGEST + 10
    assert explain(OSError(2, "No such file", "a\nb")) == "a b: No such file"
    assert explain(OSError("without a file")) is None
    assert explain(ValueError("of another kind")) is None

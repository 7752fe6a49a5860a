"""Testing with the true kernels in place of the estimated ones."""

import json

import numpy as np
import pytest
import torch
from testing_setup import BICUBIC, LEARNED, read_png

KNOWN = "test.true_kernels=true"


@pytest.fixture
def options(bench, weights):
    return bench.options("ours", LEARNED, ("Kernels",), path={"pretrain_model_G": str(weights)})


def test_images_are_restored_with_the_kernels_of_the_set(bench, options, learned, run_script):
    ended = run_script("test/test.py", "-opt", options, KNOWN)
    assert ended.status == 0, ended.err
    assert "PL_IDENet_true_kernels, scale 2" in ended.out
    assert "restored with the true kernels in place of estimates" in bench.text("ours_true_kernels/table.md")
    lr = torch.from_numpy(read_png(bench.benchmark / "LRblur/x2/sig1.6_cat.png")).permute(2, 0, 1)[None] / 255
    kernel = torch.from_numpy(np.load(bench.benchmark / "kernel/x2/sig1.6_cat.npy"))[None, None].float()
    with torch.no_grad():
        expected, blind = (255 * net.clamp(0, 1) for net in (learned(lr, kernel=kernel)[0][0], learned(lr)[0][0]))
    saved = torch.from_numpy(read_png(bench.folder / "results/ours_true_kernels/Kernels/sig1.6_cat.png"))
    difference, other = ((saved.permute(2, 0, 1) - image).abs().mean() for image in (expected, blind))
    assert difference <= 0.5 < other
    assert not (bench.folder / "results/ours_true_kernels/kernels.md").exists(), "nothing was estimated"


@pytest.mark.parametrize("downsample", ["bicubic", "direct"])
def test_kernels_that_are_not_of_bicubic_downsampling_are_warned_of(bench, options, run_script, downsample):
    made = {"setting": 2, "ksize": 21, "downsample": downsample}
    (bench.folder / "set/LRblur").mkdir(parents=True)
    (bench.folder / "set/LRblur/x2").symlink_to(bench.benchmark / "LRblur/x2")
    (bench.folder / "set/manifest.json").write_text(json.dumps({"x2": made}))
    lr = f"datasets.test0.dataroot_LQ={bench.folder}/set/LRblur/x2"
    ended = run_script("test/test.py", "-opt", options, KNOWN, lr)
    assert ended.status == 0, ended.err
    assert ("Kernels is not known to be downsampled by bicubic" in ended.out) == (downsample == "direct")


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("test.ensemble=true", "goes neither with ensemble nor with tile"),
        ("test.tile=64", "goes neither with ensemble nor with tile"),
        ("datasets.test0.dataroot_kernel=", "datasets.test0 needs dataroot_kernel, or test.true_kernels=false"),
        ("path.restored_root=theirs", "needs a network"),
    ],
)
def test_what_does_not_go_with_true_kernels_is_told(options, run_script, field, told):
    ended = run_script("test/test.py", "-opt", options, KNOWN, field)
    assert ended.status == 2
    assert told in ended.err


def test_a_network_without_kernels_cannot_be_given_any(bench, run_script):
    ended = run_script("test/test.py", "-opt", bench.options("bicubic", BICUBIC, ("Kernels",)), KNOWN)
    assert ended.err == "error: test.true_kernels is not for Bicubic: its forward takes no kernel\n"


def test_a_kernel_of_another_size_is_told_with_its_image(bench, options, run_script):
    for file in (bench.benchmark / "kernel/x2").glob("*.npy"):
        (bench.folder / "wide").mkdir(exist_ok=True)
        np.save(bench.folder / "wide" / file.name, np.pad(np.load(file), 2))
    ended = run_script("test/test.py", "-opt", options, KNOWN, f"datasets.test0.dataroot_kernel={bench.folder}/wide")
    assert ended.err.startswith("error: sig0.8_cat: the network takes kernels (1,1,21,21), not (1, 1, 25, 25)")

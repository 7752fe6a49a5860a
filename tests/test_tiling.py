"""Tiles: how an image is divided, how far its tiles are from the untiled image, and what happens without memory."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from plidenet.config import load_options
from plidenet.data.images import read_image
from plidenet.errors import UserError
from plidenet.evaluation import tiling
from plidenet.evaluation.tiling import Tiled, axis_tiles
from skimage import data
from testing_setup import BICUBIC, LEARNED, make_benchmark
from torch import nn

NAMES = ["PL_IDENet", "PL_IDENet_E"]


@pytest.fixture
def photograph():
    """LR pixels (1,3,90,118), which no grid divides."""
    return torch.from_numpy(data.astronaut()[:90, 100:218].copy()).permute(2, 0, 1)[None] / 255


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    return make_benchmark(tmp_path_factory.mktemp("benchmark"), [0.8])


@pytest.fixture
def path(weights):
    """The section of an option file."""
    return {"pretrain_model_G": str(weights)}


@pytest.mark.parametrize("step", [8, 32])
@pytest.mark.parametrize("overlap", [0, 32, 64])
@pytest.mark.parametrize("length", [40, 128, 129, 355, 1000])
def test_the_weights_of_tiles_on_the_grid_add_up_to_1_everywhere(length, overlap, step):
    tiles = axis_tiles(length, 128, overlap, step)
    total = torch.zeros(length)
    for start, weight in tiles:
        assert start % step == 0
        assert 0 < len(weight) <= 128
        assert weight.min() >= 0
        total[start : start + len(weight)] += weight
    torch.testing.assert_close(total, torch.ones(length))
    assert tiles[0][0] == 0
    assert tiles[-1][0] + len(tiles[-1][1]) == length
    for (start, weight), (following, _) in pairwise(tiles):
        assert start + len(weight) - following >= overlap


def test_the_outer_quarter_of_an_overlap_counts_for_nothing_and_the_rest_fades():
    (_, left), (start, right) = axis_tiles(192, 128, 64, 8)
    assert start == 64
    assert left[-16:].max() == 0 and right[:16].max() == 0
    assert (left[64:80] == 1).all()
    assert (left[80:112].diff() < 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tile", [128, "auto"])
def test_an_image_that_fits_into_one_tile_is_restored_as_without_tiles(tiny_network, photograph, name, tile):
    net = tiny_network(name, scale=2).eval()
    with torch.inference_mode():
        expected, expected_kernel = net(photograph)
        sr, kernel = Tiled(net, tile, 32)(photograph)
    assert torch.equal(sr, expected)
    assert torch.equal(kernel, expected_kernel)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", NAMES)
def test_tiles_have_one_kernel_and_stay_close_to_the_untiled_image(tiny_network, photograph, name, scale):
    net = tiny_network(name, scale=scale).eval()
    with torch.inference_mode():
        expected, expected_kernel = net(photograph)
        sr, kernel = Tiled(net, 48, 16)(photograph)
    assert torch.equal(kernel, expected_kernel)
    assert sr.shape == expected.shape
    difference = (sr - expected).abs() / (expected.max() - expected.min())
    assert 0 < difference.max() < 0.02, "of the range, with parameters far from a trained network's"
    assert difference.mean() < 0.002


class WithoutMeans(nn.Module):
    """Only sees its surroundings: a Refinement without what depends on the whole image."""

    unshuffle = 1
    pad_multiple = 8

    def __init__(self):
        super().__init__()
        self.convolutions = nn.Sequential(*(nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect") for _ in range(4)))

    def forward(self, image, embedding):
        return self.convolutions(image)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_without_means_over_the_image_tiles_are_exact(tiny_network, photograph, scale):
    net = tiny_network(scale=scale).eval()
    net.refinement = WithoutMeans()
    with torch.inference_mode():
        expected, _ = net(photograph)
        sr, _ = Tiled(net, 48, 16)(photograph)
    torch.testing.assert_close(sr, expected, atol=1e-5, rtol=1e-5)


def test_there_is_no_seam_between_tiles(tiny_network, photograph):
    net = tiny_network(scale=2).eval()
    with torch.inference_mode():
        expected, _ = net(photograph)
        sr, _ = Tiled(net, 48, 16)(photograph)
    steps = (sr - expected).diff(dim=-1).abs().mean(dim=(0, 1, 2))
    assert steps.max() < 0.1 * expected.diff(dim=-1).abs().mean(), "from column to column, of what images change anyway"


@pytest.mark.parametrize(("tile", "overlap", "most"), [(48, 16, 96), (50, 16, 104), (16, 8, 32), (16, 0, 32)])
def test_no_tile_is_larger_than_asked_but_for_the_rounding_to_the_grid(tiny_network, photograph, tile, overlap, most):
    net = tiny_network(scale=2).eval()
    seen = []
    net.refinement.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0].shape[-2:]))
    with torch.inference_mode():
        Tiled(net, tile, overlap)(photograph)
    assert len(seen) > 1
    assert max(max(size) for size in seen) == most


def test_auto_takes_the_tile_that_fits_into_the_free_memory(tiny_network, photograph, monkeypatch):
    net = tiny_network(scale=2).eval()
    tiled = Tiled(net, "auto", 8)
    sides = []
    with torch.inference_mode():
        tiled(photograph)
        assert 100 < tiled.bytes_per_pixel < 100_000
        for free in (2**20, 2**24, 2**25, 2**40):
            monkeypatch.setattr(tiling, "free_memory", lambda device, free=free: free)
            sides.append(tiled._side(photograph))
    assert sides == sorted(sides)
    assert sides[0] < sides[-1]
    assert sides[0] == 32, "two overlaps are the least"
    assert all(side % 8 == 0 for side in sides)
    monkeypatch.setattr(tiling, "free_memory", lambda device: 10**7)
    tiled.bytes_per_pixel = 1000
    assert tiled._side(photograph) == 72, "on the grid, for sqrt(0.6 * 10**7 / 1000) = 77"
    monkeypatch.setattr(tiling, "free_memory", lambda device: None)
    assert tiled._side(photograph) == 2 * tiling.UNKNOWN


@pytest.mark.parametrize("program", ["test", "inference"])
def test_without_memory_the_message_names_the_flag_and_the_status_is_2(bench, path, run_script, monkeypatch, program):
    def fail(self, image, embedding):
        torch.empty(
            2**60, dtype=torch.uint8, device=image.device
        )  # nothing on the meta device, where sizes are counted
        return image

    monkeypatch.setattr("plidenet.archs.refinement.Refinement.forward", fail)
    arguments = ["-opt", bench.options("ours", LEARNED, path=path)]
    if program == "inference":
        arguments += ["-input_dir", bench.benchmark / "LRblur/x2/sig0.8_cat.png", "-output_dir", bench.folder / "out"]
    ended = run_script(f"test/{program}.py", *arguments)
    assert ended.status == 2
    assert "error: sig0.8_cat: out of memory on cpu for 30x40 LR pixels; refine in tiles" in ended.err
    assert "--tile 128" in ended.err


def test_test_py_restores_in_tiles_and_says_so(bench, path, run_script):
    file = bench.options("ours", LEARNED, path=path)
    ended = run_script("test/test.py", "-opt", file, "--tile", "16", "--tile_overlap", "4")
    assert ended.status == 0, ended.err
    assert "PL_IDENet: refined in tiles of 16 LR pixels that overlap by 4" in bench.text("ours/table.md")
    tiled = read_image(bench.folder / "results/ours/Set5/sig0.8_cat.png").astype(int)
    run_script("test/test.py", "-opt", file)
    whole = read_image(bench.folder / "results/ours/Set5/sig0.8_cat.png").astype(int)
    assert 0 < np.abs(tiled - whole).mean() < 1
    assert "in tiles" not in bench.text("ours/table.md")


def test_inference_py_restores_in_tiles_too(bench, path, run_script):
    results = []
    for arguments in (["--tile", "16", "--tile_overlap", "4"], ["test.tile=16", "test.tile_overlap=4"], []):
        folder = bench.folder / f"out{len(results)}"
        file = bench.options("ours", LEARNED, path=path)
        source = bench.benchmark / "LRblur/x2"
        ended = run_script("test/inference.py", "-opt", file, "-input_dir", source, "-output_dir", folder, *arguments)
        assert ended.status == 0, ended.err
        results.append(read_image(folder / "sig0.8_cat.png"))
    assert (results[0] == results[1]).all()
    assert (results[0] != results[2]).any()


def test_bicubic_interpolation_needs_no_tiles(bench, run_script):
    ended = run_script("test/test.py", "-opt", bench.options("bicubic", BICUBIC), "--tile", "auto")
    assert ended.status == 0, ended.err
    assert "test.tile is of no use with Bicubic" in ended.out
    assert "refined in tiles" not in bench.text("bicubic/table.md")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["test.tile=8"], "test.tile must be at least 16 LR pixels"),
        (["test.tile=-5"], "test.tile must be at least 16 LR pixels"),
        (["test.tile=40", "test.tile_overlap=32"], "test.tile_overlap must be at most half of the tile"),
        (["test.tile_overlap=-1"], "test.tile_overlap must not be negative"),
        (["test.tile=large"], "test.tile must be a whole number, not 'large'; or auto"),
    ],
)
def test_tiles_that_cannot_be_are_refused(bench, overrides, message):
    with pytest.raises(UserError, match=message):
        load_options(bench.options("run"), overrides)


def test_small_tiles_overlap_by_half(bench):
    overlaps = [
        load_options(bench.options("run"), [f"test.tile={tile}"]).test.overlap for tile in (17, 48, 64, 256, "auto")
    ]
    assert overlaps == [8, 24, 32, 32, 32]


def test_tiles_and_ensemble_go_together(bench, path, run_script):
    file = bench.options("ours", LEARNED, path=path, test={"ensemble": True, "tile": 16, "tile_overlap": 8})
    ended = run_script("test/test.py", "-opt", file)
    assert ended.status == 0, ended.err
    assert "PL_IDENet+: refined in tiles of 16 LR pixels" in ended.out

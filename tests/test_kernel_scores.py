"""How close estimated kernels come to true ones: the four numbers, and the tables and sheet that testing writes."""

import json
import math

import numpy as np
import pytest
import torch
from plidenet.data.benchmark import degrade_image
from plidenet.data.images import read_image
from plidenet.degradation import anisotropic_gaussian, direct_center, isotropic_gaussian
from plidenet.evaluation.drawing import SIDE
from plidenet.evaluation.kernel_scores import KernelPair, draw_pairs, score_kernel
from plidenet.metrics.kernel import center_of_mass
from scipy import ndimage
from skimage import data
from skimage.color import rgb2ycbcr
from skimage.metrics import peak_signal_noise_ratio
from testing_setup import LEARNED

SCORES = ["kernel_psnr", "kernel_l1", "kernel_shift", "lr_psnr"]


@pytest.fixture(scope="module")
def pair():
    """An HR image (3,120,96) and its LR image at scale 4, blurred by a Gaussian of width 2."""
    hr = np.ascontiguousarray(data.chelsea()[100:220, 100:196])
    lr = degrade_image(hr, isotropic_gaussian(21, 2.0).double().numpy(), 4)
    return tuple(torch.from_numpy(image).permute(2, 0, 1) for image in (hr, lr))


@pytest.fixture
def options(bench, weights):
    return bench.options("ours", LEARNED, ("Kernels", "Set5"), path={"pretrain_model_G": str(weights)})


def test_the_true_kernel_has_no_error_and_gives_the_lr_image_again(pair):
    kernel = isotropic_gaussian(21, 2.0)
    score = score_kernel(kernel, kernel, *pair)
    assert (score.kernel_psnr, score.kernel_l1, score.kernel_shift) == (math.inf, 0, 0)
    assert score.lr_psnr > 60, "but for single pixels that float32 rounds the other way"


def test_an_lr_image_that_is_made_again_exactly_leaves_the_mean_finite():
    flat = torch.full((3, 96, 64), 100, dtype=torch.uint8)
    kernel = isotropic_gaussian(21, 2.0)
    score = score_kernel(kernel, kernel, flat, flat[:, ::4, ::4])
    assert score.lr_psnr == pytest.approx(20 * math.log10(255) + 10 * math.log10(24 * 16)), "one pixel, off by one"


def test_lr_images_downsampled_directly_are_explained_by_a_kernel_centered_for_bicubic(pair):
    hr, _ = pair
    true = anisotropic_gaussian(21, 2.0, 2.0, 0.0, direct_center(4))
    lr = torch.from_numpy(degrade_image(hr.permute(1, 2, 0).numpy(), true.double().numpy(), 4, "direct"))
    right, wrong = (score_kernel(kernel, true, hr, lr.permute(2, 0, 1)) for kernel in (isotropic_gaussian(21, 2), true))
    assert right.kernel_l1 > wrong.kernel_l1 == 0
    assert right.lr_psnr > wrong.lr_psnr + 5


def test_kernel_scores_agree_with_independent_computations(pair):
    estimated, true = anisotropic_gaussian(21, 1.2, 3.0, 0.5), isotropic_gaussian(21, 2.0)
    score = score_kernel(estimated, true, *pair)
    one, other = estimated.double().numpy(), true.double().numpy()
    assert score.kernel_psnr == pytest.approx(peak_signal_noise_ratio(other, one, data_range=1), abs=1e-4)
    assert score.kernel_l1 == pytest.approx(np.abs(one - other).sum(), abs=1e-6)
    assert score.kernel_shift == pytest.approx(0, abs=1e-5)
    hr, lr = (image.permute(1, 2, 0).numpy() for image in pair)
    rebuilt = degrade_image(hr, one, 4)
    luma = [rgb2ycbcr(image)[..., 0] for image in (lr, rebuilt)]
    assert score.lr_psnr == pytest.approx(peak_signal_noise_ratio(*luma, data_range=255), abs=0.02)


def test_a_moved_kernel_is_off_by_as_many_pixels(pair):
    true = isotropic_gaussian(21, 1.5)
    moved = true.roll((3, -4), dims=(0, 1))
    assert score_kernel(moved, true, *pair).kernel_shift == pytest.approx(5, abs=1e-3)
    expected = np.array(ndimage.center_of_mass(moved.numpy())) - 10
    np.testing.assert_allclose(center_of_mass(moved), expected, atol=1e-4)


def test_the_smaller_of_two_kernels_is_zero_outside(pair):
    small, large = isotropic_gaussian(11, 1.0), isotropic_gaussian(21, 1.0)
    score = score_kernel(small, large, *pair)
    assert score.kernel_l1 < 1e-4
    assert score.kernel_shift < 1e-6


def test_testing_tabulates_the_scores_of_kernels_that_are_known(bench, options, run_script):
    ended = run_script("test/test.py", "-opt", options)
    assert ended.status == 0, ended.err
    images = bench.table("ours/Kernels.csv")
    assert list(images[0])[-5:] == ["seconds", *SCORES]
    assert list(bench.table("ours/Set5.csv")[0])[-1] == "seconds"
    for line in images:
        estimated = np.load(bench.folder / f"results/ours/Kernels/kernels/{line['image']}.npy")
        true = np.load(bench.benchmark / f"kernel/x2/{line['image']}.npy")
        assert float(line["kernel_l1"]) == pytest.approx(np.abs(estimated - true).sum(), abs=1e-3)
    (means,) = bench.table("ours/kernels.csv")
    assert (means["dataset"], means["images"]) == ("Kernels", "4")
    for name in SCORES:
        assert float(means[name]) == pytest.approx(np.mean([float(line[name]) for line in images]), abs=1e-3)
    assert bench.text("ours/kernels.md") in ended.out
    assert "kernel_psnr in dB with peak 1" in bench.text("ours/kernels.md")


def test_kernels_of_blurred_images_are_not_compared_where_nothing_was_blurred(bench, options, run_script):
    lr = f"datasets.test0.dataroot_LQ={bench.benchmark / 'Bic/x2'}"
    ended = run_script("test/test.py", "-opt", options, lr)
    assert ended.status == 0, ended.err
    assert "without blur: not a blind benchmark" in ended.out
    assert "kernel_psnr" not in ended.out
    assert list(bench.table("ours/Kernels.csv")[0])[-1] == "seconds"
    assert not [*(bench.folder / "results/ours").glob("*kernels.*")]


def test_without_hr_images_kernels_alone_are_compared(bench, options, run_script):
    section = bench.section("Kernels") | {"mode": "LQ"}
    ended = run_script("test/test.py", "-opt", options, f"datasets={json.dumps({'test1': section})}")
    assert ended.status == 0, ended.err
    (means,) = bench.table("ours/kernels.csv")
    assert float(means["kernel_l1"]) > 0
    assert means["lr_psnr"] == ""
    assert len(bench.table("ours/Kernels.csv")) == 4
    assert not (bench.folder / "results/ours/table.csv").exists()


def test_no_lr_image_is_made_again_without_an_hr_image(pair):
    kernel = isotropic_gaussian(21, 2.0)
    score = score_kernel(kernel, kernel, None, pair[1])
    assert math.isnan(score.lr_psnr)
    assert score.cells() == ["inf", "0.0000", "0.0000", ""]


def test_one_sheet_shows_estimated_kernels_above_true_ones(bench, options, run_script):
    run_script("test/test.py", "-opt", options)
    sheet = read_image(bench.folder / "results/ours/Kernels_kernels.png")
    height, gap = len(sheet) // 2, 12
    assert sheet.shape[1] == 4 * (SIDE + gap) + gap
    true = sheet[height + gap : height + gap + SIDE, gap : gap + SIDE]
    assert true[SIDE // 2, SIDE // 2].tolist() == [255] * 3 and true[20, 20].max() < 5, "a Gaussian of width 0.8"
    assert not (bench.folder / "results/ours/Set5_kernels.png").exists()


def test_the_sheet_of_a_large_set_shows_some_of_its_images(pair):
    kernel = isotropic_gaussian(21, 2.0)
    one = KernelPair("a", kernel.numpy(), kernel.numpy(), score_kernel(kernel, kernel, *pair))
    sizes = [draw_pairs([one] * count).shape for count in (3, 8, 11, 16, 100)]
    row = sizes[0][0]
    assert [height // row for height, _, _ in sizes] == [1, 1, 2, 2, 2]
    assert sizes[1][1] == sizes[2][1] == sizes[4][1]


def test_the_estimated_kernels_of_several_networks_are_compared(bench, options, weights, run_script):
    other = bench.options("other", LEARNED, ("Kernels", "Set5"), path={"pretrain_model_G": str(weights)})
    ended = run_script("test/test.py", "--compare", options, other, "test.save_images=false")
    assert ended.status == 0, ended.err
    lines = bench.table("comparison/kernels.csv")
    methods = ["PL_IDENet (ours)", "PL_IDENet (other)"]
    assert [(line.pop("method"), line["dataset"]) for line in lines] == [(method, "Kernels") for method in methods]
    assert lines == 2 * bench.table("ours/kernels.csv")
    assert bench.text("comparison/kernels.md") in ended.out
    run_script("test/test.py", "--compare", bench.options("bicubic"), "test.save_images=false")
    assert not list((bench.folder / "results/comparison").glob("kernels.*")), "those of the earlier comparison"

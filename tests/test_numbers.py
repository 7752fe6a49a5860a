"""Numbers at their limits: flat and saturated images, degenerate kernels, odd sizes, NaN; laws at random sizes."""

import math

import numpy as np
import pytest
import torch
from plidenet.archs import wiener
from plidenet.archs.wiener import WienerDeconvolution
from plidenet.degradation import blur, degrade, imresize, isotropic_gaussian, quantize
from plidenet.evaluation.evaluator import NotFinite, restore
from plidenet.losses import Restoration, build_losses, total_loss
from plidenet.metrics import psnr, rgb_to_y, score, ssim
from plidenet.metrics.kernel import center_of_mass, in_one_size, kernel_l1
from scipy import ndimage
from skimage import metrics
from torch.nn import functional as F

CPU = torch.device("cpu")
SEEDS = range(6)
COLORS = {"black": (0, 0, 0), "white": (1, 1, 1), "red": (1, 0, 0), "olive": (0.3, 0.4, 0.1)}
IMAGES = [*COLORS, "checkerboard", "stripes"]
LOSSES = build_losses([("l1", 1.0), ("lr_consistency", 1.0), ("gradient_difference", 1.0)])


def image_of(name, height=16, width=16):
    """A flat image, or one that jumps from 0 to 1 at every pixel or column: float32 (1,3,H,W)."""
    if name in COLORS:
        return torch.tensor(COLORS[name]).float().view(1, 3, 1, 1).expand(1, 3, height, width).clone()
    rows, columns = torch.arange(height)[:, None], torch.arange(width)
    return ((columns + rows * (name == "checkerboard")) % 2).float().expand(1, 3, height, width).clone()


def degenerate_kernels(size=21):
    """A batch (5,size,size): all weight in the center, in a corner, on two taps; equal taps; a Gaussian."""
    kernels = torch.zeros(5, size, size)
    kernels[0, size // 2, size // 2] = 1
    kernels[1, 0, -1] = 1
    kernels[2, size // 2, :2] = 0.5
    kernels[3] = 1 / size**2
    kernels[4] = isotropic_gaussian(size, 2.0)
    return kernels


def random_case(seed, low=3, high=40):
    """A generator, and a random height and width."""
    rng = np.random.default_rng(seed)
    return rng, *map(int, rng.integers(low, high, 2))


def doubles(rng, *shape):
    return torch.from_numpy(rng.random(shape))


# Limits


@pytest.mark.parametrize("measure", [psnr, ssim, score])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16, np.float32])
def test_floats_of_0_to_1_are_not_taken_for_images_of_0_to_255(measure, kind):
    levels = np.random.default_rng(0).integers(0, 2, (3, 16, 16)).astype(np.uint8)
    image = (
        torch.from_numpy(levels).to(kind) if isinstance(kind, torch.dtype) else levels.transpose(1, 2, 0).astype(kind)
    )
    with pytest.raises(ValueError, match="no value above 1: psnr, ssim and score take"):
        measure(image / 2, image, crop_border=0)
    measure(255 * image / 2, 255 * image, crop_border=0)
    measure(0 * image, 0 * image, crop_border=0)
    measure(torch.from_numpy(levels), torch.from_numpy(levels), crop_border=0)  # a dark image of a file


@pytest.mark.parametrize("image", IMAGES)
@pytest.mark.parametrize("name", ["PL_IDENet", "PL_IDENet_E", "Bicubic"])
def test_extreme_images_are_restored_to_finite_ones(tiny_network, name, image):
    lr = (255 * image_of(image)[0]).round().to(torch.uint8)
    restored = restore(tiny_network(name, scale=2).eval(), lr, CPU, image)
    assert restored.image.shape == (3, 32, 32)
    assert restored.kernel is None or restored.kernel.isfinite().all()
    if name == "Bicubic" and image in COLORS:
        assert torch.equal(restored.image, lr.repeat(1, 2, 2))


@pytest.mark.parametrize("size", [(16, 16), (17, 1023), (1023, 17)])
@pytest.mark.parametrize("name", ["PL_IDENet", "PL_IDENet_E"])
def test_the_smallest_and_the_most_oblong_images_are_restored(tiny_network, name, size):
    lr = (255 * torch.rand(3, *size, generator=torch.Generator().manual_seed(0))).to(torch.uint8)
    restored = restore(tiny_network(name, scale=2).eval(), lr, CPU, "oblong")
    assert restored.image.shape == (3, 2 * size[0], 2 * size[1])


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["PL_IDENet", "PL_IDENet_E", "Bicubic"])
def test_one_pixel_that_is_not_finite_is_refused_and_never_painted_over(tiny_network, name, value):
    lr = torch.full((3, 16, 19), 100.0)
    lr[1, 7, 8] = value
    with pytest.raises(NotFinite, match="cat: the network's output is not finite"):
        restore(tiny_network(name, scale=2).eval(), lr, CPU, "cat")


def test_nan_stays_visible_in_degradation_and_scores():
    image = torch.full((1, 3, 24, 24), 0.5)
    image[0, 1, 12, 12] = math.nan
    for result in (imresize(image, 0.5), blur(image, torch.ones(3, 3) / 9), quantize(image)):
        assert result[0, 1].isnan().any()
        assert result[0, [0, 2]].isfinite().all(), "the other channels have no NaN"
    picture, reference = 255 * image[0], torch.full((3, 24, 24), 100.0)
    for pair in ((picture, reference), (reference, picture)):
        measured = score(*pair, 0)
        assert all(map(math.isnan, (measured.psnr_y, measured.ssim_y, measured.psnr_rgb, measured.ssim_rgb)))


@pytest.mark.parametrize("downsample", ["bicubic", "direct"])
@pytest.mark.parametrize("image", IMAGES)
def test_degradation_by_degenerate_kernels_is_finite_and_keeps_flat_images(image, downsample):
    images, kernels = image_of(image, 24, 28).repeat(5, 1, 1, 1), degenerate_kernels().requires_grad_()
    lr = degrade(images.requires_grad_(), kernels, 2, downsample)
    (lr - 0.3).square().sum().backward()
    assert images.grad.isfinite().all()
    assert kernels.grad.isfinite().all()
    if image in COLORS:
        torch.testing.assert_close(lr, images[..., ::2, ::2], atol=1e-5, rtol=0)
    each = torch.cat([degrade(images[:1], kernel, 2, downsample) for kernel in kernels])
    torch.testing.assert_close(lr, each)


@pytest.mark.parametrize("image", IMAGES)
def test_deconvolution_by_degenerate_kernels_is_finite_forwards_and_backwards(image):
    part = WienerDeconvolution(filter_scale=True)
    images = image_of(image, 20, 23).repeat(5, 1, 1, 1).requires_grad_()
    kernels = degenerate_kernels()[:, None].requires_grad_()
    restored = part(images, kernels)
    restored.square().mean().backward()
    for tensor in (images, kernels, *part.parameters()):
        assert tensor.grad.isfinite().all()
    each = torch.cat([part(images[:1], kernel[None]) for kernel in kernels])
    torch.testing.assert_close(restored, each, atol=1e-4, rtol=1e-4)
    if image in COLORS:
        torch.testing.assert_close(restored, images, atol=1e-4, rtol=0)


@pytest.mark.parametrize("place", ["everywhere", "corner", "two"])
def test_gradients_are_finite_when_the_estimate_is_degenerate(tiny_network, place):
    net = tiny_network(scale=2)
    head = net.estimator.to_kernel
    head.weight.data.zero_()
    head.bias.data.zero_()
    taps = {"everywhere": [], "corner": [0], "two": [5, 300]}[place]
    head.bias.data[taps] = 1e4
    lr, hr = image_of("checkerboard", 17, 19), image_of("stripes", 34, 38)
    sr, kernel = net(lr)
    assert (kernel > 1e-6).sum() == (len(taps) or 441)
    total_loss(LOSSES, Restoration(sr=sr, kernel=kernel, lr=lr, hr=hr))[0].backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


# Laws


@pytest.mark.parametrize("seed", SEEDS)
def test_imresize_is_linear_has_an_adjoint_and_keeps_constants_at_any_size(seed):
    rng, height, width = random_case(seed, 1)
    size = tuple(map(int, rng.integers(1, 60, 2)))
    for arguments in ({"size": size}, {"factor": float(rng.uniform(0.1, 4))}):
        first, second = doubles(rng, 2, 2, height, width), doubles(rng, 2, 2, height, width)
        at = torch.zeros_like(first).requires_grad_()
        resized = imresize(at, **arguments)
        cotangent = doubles(rng, *resized.shape)
        (adjoint,) = torch.autograd.grad(resized, at, cotangent)
        torch.testing.assert_close((imresize(first, **arguments) * cotangent).sum(), (first * adjoint).sum())
        combined = 3 * imresize(first, **arguments) - imresize(second, **arguments)
        torch.testing.assert_close(imresize(3 * first - second, **arguments), combined)
        torch.testing.assert_close(imresize(torch.full_like(first, 0.7), **arguments), torch.full_like(resized, 0.7))
        flipped = imresize(first.flip(-1, -2), **arguments)  # with a size: a factor may leave a part of a pixel over
        if "size" in arguments:
            torch.testing.assert_close(flipped, imresize(first, **arguments).flip(-1, -2))


@pytest.mark.parametrize("seed", SEEDS)
def test_blur_is_linear_moves_with_the_image_and_keeps_constants_at_any_size(seed):
    rng, height, width = random_case(seed, 14)
    radius = int(rng.integers(0, 5))
    kernels = doubles(rng, 2, 2 * radius + 1, 2 * radius + 1)
    kernels = kernels / kernels.sum((1, 2), keepdim=True)
    first, second = doubles(rng, 2, 3, height, width), doubles(rng, 2, 3, height, width)
    blurred = blur(first, kernels)
    torch.testing.assert_close(blur(3 * first - second, kernels), 3 * blurred - blur(second, kernels))
    both = blur(first, 0.25 * kernels + 0.75 * kernels.flip(0))
    torch.testing.assert_close(both, 0.25 * blurred + 0.75 * blur(first, kernels.flip(0)))
    torch.testing.assert_close(blur(torch.full_like(first, 0.7), kernels), torch.full_like(first, 0.7))
    moved = blur(first.roll((1, 2), (2, 3)), kernels)
    inside = (..., slice(radius + 1, height - radius), slice(radius + 2, width - radius))
    torch.testing.assert_close(moved[inside], blurred.roll((1, 2), (2, 3))[inside])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_wiener_division_undoes_a_periodic_blur_as_the_regularization_vanishes(seed, monkeypatch):
    """Padded periodically and not tapered, the image that the layer divides is a blurred one, without any border."""
    rng = np.random.default_rng(seed)
    kernel = rng.random((21, 21)) * (rng.random((21, 21)) < 0.3)
    kernel *= 0.35 / kernel.sum()  # its spectrum stays above 0.65 - 0.35
    kernel[10, 10] += 0.65
    image = np.tile(rng.random((3, 20, 10)), (1, 2, 5))  # periods that divide the image and its padding
    blurred = np.stack([ndimage.convolve(channel, kernel, mode="wrap") for channel in image])
    monkeypatch.setattr(wiener, "pad_symmetric", lambda image, border: F.pad(image, (border,) * 4, mode="circular"))
    monkeypatch.setattr(wiener, "edge_taper", lambda image, *others: image)
    errors = []
    for strength in (1e-1, 1e-2, 1e-3, 1e-9):
        part = WienerDeconvolution(strengths=(strength, strength))
        restored = part(torch.from_numpy(blurred)[None], torch.from_numpy(kernel)[None, None])
        errors.append(np.abs(restored[0].detach().numpy() - image).max())
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.05
    assert errors[-1] < 1e-5


@pytest.mark.parametrize("seed", SEEDS)
def test_the_deconvolution_is_linear_in_the_image(seed):
    rng, height, width = random_case(seed, 16)
    kernel = doubles(rng, 1, 1, 11, 11)
    kernel = kernel / kernel.sum()
    part = WienerDeconvolution()
    first, second = doubles(rng, 1, 3, height, width), doubles(rng, 1, 3, height, width)
    combined = 3 * part(first, kernel) - part(second, kernel)
    torch.testing.assert_close(part(3 * first - second, kernel), combined, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("seed", SEEDS)
def test_psnr_and_ssim_agree_with_skimage_at_any_size(seed):
    rng, height, width = random_case(seed, 11, 70)
    border = min(int(rng.integers(0, 5)), (min(height, width) - 11) // 2)
    reference = rng.integers(0, 256, (height, width, 3)).astype(np.float64)
    image = (reference + rng.normal(0, rng.uniform(1, 80), reference.shape)).clip(0, 255).round()
    cut = np.s_[border : len(image) - border, border : image.shape[1] - border]
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 255}
    for color, x, y in (("rgb", image[cut], reference[cut]), ("y", rgb_to_y(image)[cut], rgb_to_y(reference)[cut])):
        expected = metrics.peak_signal_noise_ratio(y, x, data_range=255)
        assert psnr(image, reference, border, color) == pytest.approx(expected, abs=1e-9)
        expected = metrics.structural_similarity(x, y, channel_axis=2 if x.ndim == 3 else None, **settings)
        assert ssim(image, reference, border, color) == pytest.approx(expected, abs=1e-9)


def test_black_against_white_is_the_worst_score_and_flat_images_are_identical_to_themselves():
    black, white = np.zeros((12, 15, 3), np.uint8), np.full((12, 15, 3), 255, np.uint8)
    worst = score(black, white, 0)
    assert (worst.psnr_rgb, worst.psnr_y) == pytest.approx((0, 20 * math.log10(255 / 219)), abs=1e-12)
    assert worst.ssim_rgb == pytest.approx(6.5025 / (255**2 + 6.5025))
    for image in (black, white):
        assert score(image, image, 0).psnr_rgb == math.inf
        assert score(image, image, 0).ssim_rgb == pytest.approx(1)


@pytest.mark.parametrize("sizes", [(5, 11), (11, 5), (7, 7)])
def test_kernel_distances_of_single_taps(sizes):
    one, other = (torch.zeros(size, size) for size in sizes)
    one[1, 3] = other[-1, 0] = 1
    assert kernel_l1(one, other) == 2
    assert kernel_l1(one, one) == 0
    padded = in_one_size(one, other)
    assert [len(kernel) for kernel in padded] == [max(sizes)] * 2
    for kernel, alone in zip(padded, (one, other), strict=True):
        assert kernel.sum() == 1
        torch.testing.assert_close(center_of_mass(kernel), center_of_mass(alone).double())
    expected = torch.tensor([1.0 - sizes[0] // 2, 3.0 - sizes[0] // 2])
    torch.testing.assert_close(center_of_mass(4 * one), expected)

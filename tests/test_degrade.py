"""From HR to LR: blur, downsampling, rounding, and the random degradation of training."""

import numpy as np
import pytest
import torch
from plidenet.config.schema import Degradation
from plidenet.degradation import blur, degrade, isotropic_gaussian, principal_widths, quantize
from plidenet.pixels import to_uint8
from plidenet.training.degrader import RandomDegrader
from scipy import ndimage
from scipy.interpolate import CubicHermiteSpline
from skimage import data

# Keys' kernel with a = -0.5: the Catmull-Rom interpolation of an impulse.
KEYS = CubicHermiteSpline([-2, -1, 0, 1, 2], [0, 0, 1, 0, 0], [0, 0.5, 0, -0.5, 0])


def random_images(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).random(shape))


def random_kernels(*shape, seed=1):
    """Positive kernels without any symmetry."""
    kernels = random_images(*shape, seed=seed)
    return kernels / kernels.sum((-2, -1), keepdim=True)


def photographs(size=48):
    """Two photographs, float32 (2,3,size,size) in [0,1]."""
    crops = [image[120 : 120 + size, 90 : 90 + size] for image in (data.astronaut(), data.chelsea())]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2) / 255


def reference_blur(images, kernels):
    """Each channel of each image correlated with the image's kernel."""
    return np.stack(
        [
            [ndimage.correlate(channel, kernel, mode="mirror") for channel in image]
            for image, kernel in zip(images.numpy(), kernels.numpy(), strict=True)
        ]
    )


def reference_bicubic(images, scale):
    """Both directions filtered at full resolution by the stretched kernel, then every scale-th pixel picked."""
    offset = scale // 2  # of the picked pixel within its block, whose center is (scale - 1) / 2
    distance = (np.arange(-2 * scale, 2 * scale + 1) + offset - (scale - 1) / 2) / scale
    taps = np.where(np.abs(distance) < 2, KEYS(distance), 0) / scale
    for axis in (-2, -1):
        images = ndimage.correlate1d(images, taps, axis=axis, mode="reflect")
    return images[..., offset::scale, offset::scale]


@pytest.mark.parametrize(("height", "width", "size"), [(24, 24, 21), (13, 20, 5), (11, 11, 21), (9, 8, 1), (6, 15, 11)])
def test_each_image_is_correlated_with_its_own_kernel_and_a_mirrored_border(height, width, size):
    images, kernels = random_images(2, 3, height, width), random_kernels(2, size, size)
    np.testing.assert_allclose(blur(images, kernels), reference_blur(images, kernels), atol=1e-13)


def test_a_tap_right_of_the_center_fetches_the_pixel_to_the_right():
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    kernel = torch.zeros(3, 3)
    kernel[1, 2] = 1
    expected = torch.tensor([[1.0, 2, 3, 2], [5, 6, 7, 6], [9, 10, 11, 10]])
    torch.testing.assert_close(blur(image, kernel)[0, 0], expected, atol=1e-5, rtol=0)
    expected = torch.tensor([[4.0, 5, 6, 7], [8, 9, 10, 11], [4, 5, 6, 7]])
    torch.testing.assert_close(blur(image, kernel.T)[0, 0], expected, atol=1e-5, rtol=0)


def test_a_delta_leaves_the_image_alone():
    images = photographs()
    delta = torch.zeros(21, 21)
    delta[10, 10] = 1
    torch.testing.assert_close(blur(images, delta), images, atol=1e-6, rtol=0)


@pytest.mark.parametrize("operation", [blur, lambda image, kernel: degrade(image, kernel, 2)], ids=["blur", "degrade"])
def test_kernels_come_in_three_shapes(operation):
    images, kernels = random_images(2, 3, 12, 14), random_kernels(2, 5, 5)
    each = torch.cat([operation(images[i : i + 1], kernels[i]) for i in range(2)])
    torch.testing.assert_close(operation(images, kernels), each)
    torch.testing.assert_close(operation(images, kernels[:, None]), each)
    shared = operation(images, kernels[0])
    torch.testing.assert_close(shared[0], each[0])
    torch.testing.assert_close(operation(images, kernels[:1]), shared)


@pytest.mark.parametrize(
    ("image", "kernel", "result"),
    [
        (torch.float32, torch.float32, torch.float32),
        (torch.float16, torch.float32, torch.float32),
        (torch.bfloat16, torch.bfloat16, torch.float32),
        (torch.float32, torch.float64, torch.float64),
        (torch.float64, torch.float32, torch.float64),
    ],
)
def test_the_result_has_the_wider_dtype_and_at_least_float32(image, kernel, result):
    images, kernels = random_images(1, 2, 12, 12).to(image), random_kernels(1, 5, 5).to(kernel)
    degraded = degrade(images, kernels, 2)
    assert degraded.dtype == result
    expected = reference_bicubic(reference_blur(images.double(), kernels.double()), 2)
    np.testing.assert_allclose(degraded, expected, atol=1e-6)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(degrade(images, kernels, 2), degraded)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_degrading_is_blur_then_antialiased_bicubic(scale):
    images, kernels = random_images(2, 3, 6 * scale, 8 * scale), random_kernels(2, 9, 9)
    degraded = degrade(images, kernels, scale)
    assert degraded.shape == (2, 3, 6, 8)
    np.testing.assert_allclose(degraded, reference_bicubic(reference_blur(images, kernels), scale), atol=1e-13)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_degraded_photographs_in_float32_are_right_to_a_hundredth_of_a_level(scale):
    images, kernels = photographs(), isotropic_gaussian(21, torch.tensor([0.8, 2.4]))
    expected = reference_bicubic(reference_blur(images.double(), kernels.double()), scale)
    np.testing.assert_allclose(degrade(images, kernels, scale), expected, atol=0.01 / 255)


def test_degrading_neither_clamps_nor_rounds():
    image = torch.zeros(1, 1, 12, 12)
    image[..., 6:] = 1
    delta = torch.ones(1, 1)
    expected = torch.tensor([0, -3, 17, 239, 259, 256]) / 256  # running sums of the taps -3, -9, 29, 111, ...
    torch.testing.assert_close(degrade(image, delta, 2)[0, 0], expected.expand(6, 6), atol=1e-6, rtol=0)


@pytest.mark.parametrize("scale", [2, 3])
def test_gradcheck_with_respect_to_image_and_kernel(scale):
    images = random_images(2, 1, 2 * scale, 2 * scale).requires_grad_()
    for shape in ((3, 3), (2, 3, 3), (2, 1, 3, 3)):
        kernels = random_kernels(*shape).requires_grad_()
        assert torch.autograd.gradcheck(lambda x, k: degrade(x, k, scale), (images, kernels), fast_mode=True)


@pytest.mark.parametrize(
    ("image", "kernel"),
    [
        ((1, 1, 12, 12), (4, 4)),
        ((1, 1, 12, 12), (3, 5)),
        ((1, 1, 12, 12), (1, 1, 5, 3)),
        ((1, 1, 10, 12), (21, 21)),
        ((1, 1, 12, 10), (21, 21)),
    ],
)
def test_a_kernel_that_does_not_fit_the_image_is_refused(image, kernel):
    with pytest.raises(ValueError, match=rf"kernel of .*{kernel[-1]}\) does not fit an image of {image[2]}x{image[3]}"):
        degrade(torch.zeros(image), torch.ones(kernel), 2)


@pytest.mark.parametrize("kernel", [(3, 5, 5), (3, 1, 5, 5)])
@pytest.mark.parametrize("batch", [1, 2])
def test_a_number_of_kernels_that_is_not_that_of_the_images_is_refused(batch, kernel):
    with pytest.raises(ValueError, match=f"3 kernels for {batch} images"):
        blur(torch.zeros(batch, 3, 12, 12), torch.ones(kernel))


@pytest.mark.parametrize(("height", "width", "scale"), [(13, 12, 2), (12, 13, 2), (12, 16, 3), (18, 16, 4)])
def test_a_size_that_does_not_divide_is_refused(height, width, scale):
    with pytest.raises(ValueError, match=f"{height}x{width} does not divide by the scale {scale}"):
        degrade(torch.zeros(1, 1, height, width), torch.ones(3, 3), scale)


def test_quantizing_rounds_to_the_levels_of_a_file():
    values = torch.tensor([-0.3, 0.0, 0.4 / 255, 0.6 / 255, 99.51 / 255, 1.0, 1.7])
    torch.testing.assert_close(255 * quantize(values), torch.tensor([0.0, 0, 0, 1, 100, 255, 255]))
    levels = torch.arange(256) / 255
    assert torch.equal(quantize(levels), levels)


def degrader(seed=0, scale=2, **changes):
    options = {"sig_min": 1.0, "sig_max": 2.0, "rate_iso": 1.0} | changes
    return RandomDegrader(Degradation(**options), scale=scale, seed=seed)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_training_images_are_the_quantized_degradation_by_the_returned_kernels(scale):
    hr = photographs()
    lr, kernels = degrader(scale=scale, sig_max=4.0, rate_iso=0.0, random_disturb=True)(hr, 0)
    assert kernels.shape == (2, 1, 21, 21)
    torch.testing.assert_close(lr, quantize(degrade(hr, kernels, scale)))
    levels = 255 * lr
    assert (levels - levels.round()).abs().max() < 1e-4
    assert lr.min() >= 0
    assert lr.max() <= 1


def test_training_kernels_differ_within_a_batch_and_follow_the_options():
    _, kernels = degrader()(photographs().repeat(4, 1, 1, 1), 0)
    widths = principal_widths(kernels)[:, 0]
    torch.testing.assert_close(widths[:, 0], widths[:, 1], atol=1e-3, rtol=0)
    assert widths.min() > 0.99
    assert widths.max() < 2.01
    assert widths[:, 0].sort().values.diff().min() > 1e-5
    _, kernels = degrader(ksize=11, rate_iso=0.0)(photographs(), 0)
    assert kernels.shape == (2, 1, 11, 11)
    assert (principal_widths(kernels).diff(dim=-1) > 0.01).all()
    torch.testing.assert_close(kernels, kernels.flip(2, 3))
    _, kernels = degrader(rate_iso=0.0, random_disturb=True)(photographs(), 0)
    assert not torch.isclose(kernels, kernels.flip(2, 3), rtol=1e-2).all()


@pytest.mark.parametrize("scale", [2, 4])
def test_training_kernels_are_as_wide_as_the_scale_unless_told_otherwise(scale):
    _, kernels = RandomDegrader(Degradation(), scale=scale, seed=0)(photographs().repeat(50, 1, 1, 1), 0)
    widths = principal_widths(kernels)[:, 0, 0]
    assert widths.min() < 0.5
    assert scale - 0.4 < widths.max() < scale


def test_the_seed_and_the_iteration_decide_the_training_kernels():
    hr = photographs()
    torch.manual_seed(1)
    lr, kernels = degrader(seed=3)(hr, 7)
    torch.manual_seed(2)
    same = degrader(seed=3)
    same(hr, 6)
    again, same_kernels = same(hr, 7)
    assert torch.equal(same_kernels, kernels)
    assert torch.equal(again, lr)
    for other in (degrader(seed=4)(hr, 7), degrader(seed=3)(hr, 8)):
        assert (principal_widths(other[1]) - principal_widths(kernels)).abs().min() > 1e-5


def test_training_images_carry_no_gradient():
    lr, kernels = degrader()(photographs().requires_grad_(), 0)
    assert not lr.requires_grad
    assert not kernels.requires_grad


def test_double_precision_is_rounded_as_such():
    assert to_uint8(torch.tensor([(101.5 - 1e-6) / 255], dtype=torch.float64)).item() == 101

"""MATLAB's imresize, against a per-pixel reference and values worked out by hand."""

import math

import numpy as np
import pytest
import torch
from plidenet.degradation import imresize
from scipy.interpolate import CubicHermiteSpline
from skimage import data

# Keys' kernel with a = -0.5 is the Catmull-Rom interpolation of an impulse: slopes are central differences.
KEYS = CubicHermiteSpline([-2, -1, 0, 1, 2], [0, 0, 1, 0, 0], [0, 0.5, 0, -0.5, 0])
FACTORS = [1 / 4, 1 / 3, 1 / 2, 2, 3, 4, 0.7, 1.37]
# Values of the kernel at 0.25, 0.75, 1.25, 1.75, times 128.
NEAR, NEXT, THIRD, FAR = 111, 29, -9, -3


def image_of(*shape, seed=0):
    return np.random.default_rng(seed).random(shape)


def reference_imresize(image, size, factors):
    """One output pixel after the other: kernel-weighted mean, over the plane, of the symmetrically padded image."""
    height, width = size
    margin = [math.ceil(2 / min(factor, 1)) + 2 for factor in factors]
    padded = np.pad(image, [(pad, pad) for pad in margin], mode="symmetric")
    result = np.empty(size)
    for row in range(height):
        for column in range(width):
            weights = [
                keys_weights(index, factor, pad, length)
                for index, factor, pad, length in zip((row, column), factors, margin, padded.shape, strict=True)
            ]
            window = np.outer(*weights)
            result[row, column] = (window * padded).sum() / window.sum()
    return result


def keys_weights(index, factor, pad, length):
    """Weights of the pixels -pad, 1 - pad, ... for one output pixel; pixel i covers [i, i + 1)."""
    center = (index + 0.5) / factor
    distance = np.arange(length) - pad + 0.5 - center
    distance *= min(factor, 1)
    return np.where(np.abs(distance) < 2, KEYS(distance.clip(-2, 2)), 0)


def by_factor(image, factor):
    return reference_imresize(image, [math.ceil(factor * length) for length in image.shape], (factor, factor))


@pytest.mark.parametrize("shape", [(12, 12), (11, 14), (5, 3)])
@pytest.mark.parametrize("factor", FACTORS)
def test_values_agree_with_the_per_pixel_reference(factor, shape):
    image = image_of(*shape)
    np.testing.assert_allclose(imresize(image, factor), by_factor(image, factor), atol=1e-12)


@pytest.mark.parametrize("size", [(5, 9), (15, 4), (11, 13), (1, 1), (23, 30)])
def test_a_size_sets_a_factor_for_each_direction(size):
    image = image_of(11, 13)
    expected = reference_imresize(image, size, (size[0] / 11, size[1] / 13))
    np.testing.assert_allclose(imresize(image, size=size), expected, atol=1e-12)
    tensor = torch.from_numpy(image)[None, None]
    np.testing.assert_allclose(imresize(tensor, size=size)[0, 0], expected, atol=1e-12)


@pytest.mark.parametrize(
    ("length", "factor", "new"), [(11, 1 / 3, 4), (12, 1 / 3, 4), (13, 0.7, 10), (9, 1.37, 13), (7, 1 / 8, 1)]
)
def test_a_factor_rounds_sizes_up(length, factor, new):
    assert imresize(np.zeros((length, 5)), factor).shape[0] == new
    assert imresize(torch.zeros(1, 1, 6, length), factor).shape[3] == new


def test_doubling_an_impulse_samples_the_kernel():
    image = np.zeros((1, 9))
    image[0, 4] = 128
    expected = [FAR, THIRD, NEXT, NEAR, NEAR, NEXT, THIRD, FAR]
    np.testing.assert_allclose(imresize(image, size=(1, 18))[0], [0] * 5 + expected + [0] * 5, atol=1e-12)


def test_halving_a_ramp_stretches_the_kernel_and_mirrors_the_border():
    ramp = np.arange(8.0)[None]
    # Mirrored with the edge repeated, the first pixel sees 2 1 0 0 1 2 3 4 and the second 0 0 1 2 3 4 5 6.
    first = (2 * FAR + THIRD + NEAR + 2 * NEXT + 3 * THIRD + 4 * FAR) / 256
    second = 2.5 + FAR / 256
    np.testing.assert_allclose(imresize(ramp, size=(1, 4))[0], [first, second, 7 - second, 7 - first], atol=1e-12)


def test_a_linear_ramp_stays_one_away_from_the_border():
    ramp = np.arange(16.0)[:, None]
    for factor in (3, 1.37):
        resized = imresize(ramp, size=(math.ceil(16 * factor), 1))[:, 0]
        positions = (np.arange(len(resized)) + 0.5) * 16 / len(resized) - 0.5
        inside = (positions > 2) & (positions < 13)
        np.testing.assert_allclose(resized[inside], positions[inside], atol=1e-12)


@pytest.mark.parametrize("factor", FACTORS)
def test_numpy_and_torch_agree(factor):
    image = image_of(13, 10, 3)
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    resized = imresize(image, factor)
    np.testing.assert_allclose(imresize(tensor, factor)[0].permute(1, 2, 0), resized, atol=1e-13)
    np.testing.assert_allclose(imresize(tensor.float(), factor)[0].permute(1, 2, 0), resized, atol=1e-5)


@pytest.mark.parametrize("factor", [1 / 4, 1 / 3, 0.7, 2])
def test_uint8_is_clamped_and_rounded_once_after_both_directions(factor):
    image = data.chelsea()[100:137, 100:141, 0]
    plain = by_factor(image.astype(float), factor)
    resized = imresize(image, factor)
    assert resized.dtype == np.uint8
    tie = np.abs(plain % 1 - 0.5) < 1e-6
    assert np.array_equal(resized[~tie], np.floor(plain.clip(0, 255) + 0.5)[~tie])
    assert tie.mean() < 0.05


def test_uint8_halves_are_rounded_up():
    for low in range(6):
        assert imresize(np.full((2, 2), [low, low + 1], np.uint8), 1 / 2).item() == low + 1


def test_uint8_overshoot_is_clamped_and_that_of_floats_is_kept():
    step = np.repeat(np.array([[0, 255]], np.uint8), 6, axis=1)
    tall = np.repeat(step, 6, axis=0)
    resized = imresize(tall, 3)
    assert resized.min() == 0
    assert resized.max() == 255
    assert resized[0, 15] == 0, "a negative lobe wraps around"
    assert resized[0, 20] == 255, "a positive lobe wraps around"
    floats = imresize(tall.astype(np.float64), 3)
    assert floats.min() < -5
    assert floats.max() > 260


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("value", [0, 127, 255])
def test_constants_stay(value, factor):
    assert (imresize(np.full((9, 7, 3), value, np.uint8), factor) == value).all()
    np.testing.assert_allclose(imresize(torch.full((1, 1, 9, 7), value / 255), factor), value / 255, atol=1e-6)
    np.testing.assert_allclose(imresize(np.full((9, 7), value / 255), factor), value / 255, atol=1e-14)


@pytest.mark.parametrize("factor", [1 / 2, 0.7, 2])
def test_the_gradient_is_the_adjoint_of_the_reference(factor):
    impulses = np.eye(30).reshape(30, 5, 6)
    columns = np.stack([by_factor(impulse, factor).ravel() for impulse in impulses])
    image = torch.zeros(1, 1, 5, 6, dtype=torch.float64, requires_grad=True)
    resized = imresize(image, factor)
    cotangent = torch.from_numpy(image_of(*resized.shape))
    (resized * cotangent).sum().backward()
    np.testing.assert_allclose(image.grad.flatten(), columns @ cotangent.flatten().numpy(), atol=1e-13)


def test_images_and_channels_are_resized_one_by_one():
    batch = torch.from_numpy(image_of(2, 3, 9, 8))
    resized = imresize(batch, 1 / 2)
    assert resized.shape == (2, 3, 5, 4)
    for image, small in zip(batch.flatten(0, 1), resized.flatten(0, 1), strict=True):
        np.testing.assert_allclose(small, by_factor(image.numpy(), 1 / 2), atol=1e-12)


@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_arrays_keep_their_layout(channels):
    image = image_of(9, 8, *channels)
    before = image.copy()
    resized = imresize(image, 1 / 2)
    assert resized.shape == (5, 4, *channels)
    assert resized.flags.c_contiguous
    assert np.array_equal(image, before)
    last = (Ellipsis,) if not channels else (Ellipsis, -1)
    np.testing.assert_allclose(resized[last], by_factor(image[last], 1 / 2), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8])
def test_arrays_keep_their_dtype(dtype):
    image = (255 * image_of(8, 8)).astype(dtype)
    resized = imresize(image, 1 / 2)
    assert resized.dtype == dtype
    np.testing.assert_allclose(resized, by_factor(image.astype(np.float64), 1 / 2), atol=0.51, rtol=1e-3)


@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_tensors_give_at_least_float32_also_under_autocast(dtype, result):
    image = torch.from_numpy(image_of(1, 1, 8, 8)).to(dtype)
    expected = by_factor(image[0, 0].double().numpy(), 1 / 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = imresize(image, 1 / 2)
    for resized in (imresize(image, 1 / 2), under_autocast):
        assert resized.dtype == result
        np.testing.assert_allclose(resized[0, 0], expected, atol=1e-6)


def test_a_size_first_seen_under_inference_mode_can_be_trained_on_later():
    with torch.inference_mode():
        imresize(torch.rand(1, 1, 37, 43), 1 / 2)  # sizes that no other test has cached
    image = torch.rand(1, 1, 37, 43, requires_grad=True)
    imresize(image, 1 / 2).sum().backward()
    assert image.grad.isfinite().all()


def test_results_do_not_share_memory_with_each_other():
    image = torch.rand(1, 1, 8, 8)
    first = imresize(image, 1 / 2)
    expected = first.clone()
    first.zero_()
    torch.testing.assert_close(imresize(image, 1 / 2), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either a factor or a size"),
        ({"factor": 0.5, "size": (4, 4)}, "either a factor or a size"),
        ({"factor": 0}, "positive, finite factor, not 0"),
        ({"factor": math.inf}, "finite factor, not inf"),
        ({"factor": -0.5}, "positive, finite factor"),
        ({"size": (0, 4)}, r"positive size, not \(0, 4\)"),
        ({"size": (4, -4)}, "positive size"),
        ({"size": (4, 4, 4)}, "longer"),
    ],
)
def test_a_wrong_factor_or_size_is_refused(arguments, message):
    for image in (np.zeros((8, 8)), torch.zeros(1, 1, 8, 8)):
        with pytest.raises(ValueError, match=message):
            imresize(image, **arguments)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), np.int32),
        np.zeros((8, 8), np.uint16),
        np.zeros((8, 8), bool),
        np.zeros(8),
        np.zeros((1, 8, 8, 3)),
        torch.zeros(8, 8),
        torch.zeros(3, 8, 8),
        torch.zeros(1, 1, 8, 8, dtype=torch.uint8),
    ],
    ids=lambda image: f"{type(image).__name__}-{image.dtype}-{image.ndim}",
)
def test_images_of_another_kind_are_refused(image):
    with pytest.raises(ValueError, match="imresize takes"):
        imresize(image, 1 / 2)

"""Blur kernels: their values, their random draws and the widths measured from them."""

import math

import numpy as np
import pytest
import torch
from plidenet.degradation import (
    anisotropic_gaussian,
    disturb_taps,
    draw_anisotropic,
    gaussian8_sigmas,
    isotropic_gaussian,
    principal_widths,
    random_kernels,
)

DRAWS = {
    "isotropic": lambda generator: random_kernels(3, 21, 0.2, 4.0, 1, False, generator),
    "anisotropic": lambda generator: random_kernels(3, 21, 0.6, 5.0, 0, False, generator),
    "disturbed": lambda generator: random_kernels(3, 21, 0.6, 5.0, 0, True, generator),
    "mixed": lambda generator: random_kernels(3, 21, 0.6, 5.0, 0.5, True, generator),
    "parameters": lambda generator: torch.stack(draw_anisotropic(3, 0.6, 5.0, generator)),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def reference_gaussian(size, width_1, width_2, angle):
    """The density with covariance R diag(width_1^2, width_2^2) R^T at every (x, y), normalized."""
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    precision = np.linalg.inv(rotation @ np.diag([width_1**2, width_2**2]) @ rotation.T)
    kernel = np.empty((size, size))
    for row, y in enumerate(range(-(size // 2), size // 2 + 1)):
        for column, x in enumerate(range(-(size // 2), size // 2 + 1)):
            point = np.array([x, y])
            kernel[row, column] = np.exp(-point @ precision @ point / 2)
    return kernel / kernel.sum()


@pytest.mark.parametrize("size", [1, 11, 21])
@pytest.mark.parametrize("sigma", [0.2, 1.3, 4.0])
def test_an_isotropic_kernel_is_the_sampled_gaussian(size, sigma):
    kernel = isotropic_gaussian(size, sigma)
    assert kernel.shape == (size, size)
    assert kernel.dtype == torch.float32
    np.testing.assert_allclose(kernel, reference_gaussian(size, sigma, sigma, 0), atol=1e-6)


@pytest.mark.parametrize("angle", [-math.pi, -0.6, 0.0, 0.7, 2.5])
@pytest.mark.parametrize("widths", [(0.6, 5.0), (4.0, 1.5), (0.9, 0.9)])
def test_an_anisotropic_kernel_is_the_sampled_gaussian(widths, angle):
    widths_and_angle = [torch.tensor(value, dtype=torch.float64) for value in (*widths, angle)]
    kernel = anisotropic_gaussian(21, *widths_and_angle)
    assert kernel.dtype == torch.float64
    np.testing.assert_allclose(kernel, reference_gaussian(21, *widths, angle), atol=1e-15, rtol=1e-12)


def test_the_angle_turns_from_the_x_axis_towards_the_y_axis_which_points_down():
    level = anisotropic_gaussian(21, 3.0, 1.0, 0.0)
    assert level[10, 15] > level[15, 10]
    tilted = anisotropic_gaussian(21, 3.0, 1.0, math.pi / 4)
    assert tilted[15, 15] > tilted[5, 15]
    torch.testing.assert_close(anisotropic_gaussian(21, 3.0, 1.0, math.pi / 2), level.T)


def test_tensors_of_widths_give_one_kernel_each():
    first, second, angle = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 0.7]), torch.tensor([0.3, -1.0])
    kernels = anisotropic_gaussian(21, first, second, angle)
    assert kernels.shape == (2, 21, 21)
    for i in range(2):
        np.testing.assert_allclose(kernels[i], reference_gaussian(21, first[i], second[i], angle[i]), atol=1e-7)
    torch.testing.assert_close(isotropic_gaussian(11, first)[1], isotropic_gaussian(11, 2.0))


def test_integer_widths_leave_the_other_numbers_whole():
    torch.testing.assert_close(anisotropic_gaussian(21, 2, 4.5, 0.7), anisotropic_gaussian(21, 2.0, 4.5, 0.7))
    torch.testing.assert_close(isotropic_gaussian(21, torch.tensor([2, 3]))[1], isotropic_gaussian(21, 3.0))


@pytest.mark.parametrize("size", [0, 20, -1])
def test_only_odd_sizes_have_a_center(size):
    with pytest.raises(ValueError, match=f"must be odd, not {size}"):
        isotropic_gaussian(size, 1.0)
    with pytest.raises(ValueError, match="must be odd"):
        random_kernels(2, size, 0.6, 5.0, 0, False, seeded())


@pytest.mark.parametrize("draw", [DRAWS[name] for name in DRAWS if name != "parameters"])
def test_random_kernels_are_distributions(draw):
    kernels = draw(seeded())
    assert kernels.shape == (3, 21, 21)
    assert kernels.min() >= 0
    torch.testing.assert_close(kernels.sum((1, 2)), torch.ones(3))
    assert (kernels[0] - kernels[1]).abs().max() > 1e-3


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_random_numbers_come_from_the_generator_alone(draw):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    generator = seeded(5)
    first, second = draw(generator), draw(generator)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(draw(seeded(5)), first)
    assert not torch.equal(draw(seeded(6)), first)
    assert not torch.equal(second, first)


def test_widths_and_angles_fill_their_ranges_evenly():
    for values, low, high in zip(
        draw_anisotropic(4000, 0.6, 5.0, seeded()), (0.6, 0.6, -math.pi), (5.0, 5.0, math.pi), strict=True
    ):
        counts = torch.histc(values, 4, low, high)
        assert counts.sum() == 4000, "some lie outside"
        assert ((counts - 1000).abs() < 150).all()
    width_1, width_2, angle = draw_anisotropic(4000, 0.6, 5.0, seeded())
    correlations = torch.corrcoef(torch.stack((width_1, width_2, angle))) - torch.eye(3)
    assert correlations.abs().max() < 0.06


def test_widths_of_isotropic_kernels_fill_their_range_evenly():
    widths = principal_widths(random_kernels(1000, 21, 1.0, 2.0, 1, False, seeded()))
    torch.testing.assert_close(widths[:, 0], widths[:, 1], atol=1e-3, rtol=0)
    counts = torch.histc(widths[:, 0], 4, 0.999, 2.001)
    assert counts.sum() == 1000
    assert ((counts - 250).abs() < 60).all()


def test_random_anisotropic_kernels_have_the_drawn_parameters():
    kernels = random_kernels(4, 21, 0.6, 5.0, 0, False, seeded(3))
    generator = seeded(3)
    torch.rand(4, generator=generator)  # the widths of the isotropic ones, drawn first
    torch.testing.assert_close(kernels, anisotropic_gaussian(21, *draw_anisotropic(4, 0.6, 5.0, generator)))


def test_equal_ends_of_the_range_give_that_width():
    kernels = random_kernels(2, 21, 1.5, 1.5, 1, False, seeded())
    torch.testing.assert_close(kernels[1], isotropic_gaussian(21, 1.5))


def test_disturbing_multiplies_each_tap_by_1_to_1_25():
    kernels = isotropic_gaussian(101, torch.full((2,), 20.0, dtype=torch.float64))  # many taps, for a sharp mean
    disturbed = disturb_taps(kernels, seeded())
    torch.testing.assert_close(disturbed.sum((1, 2)), torch.ones(2, dtype=torch.float64))
    factors = disturbed / kernels
    spread = factors.amax((1, 2)) / factors.amin((1, 2))
    assert (spread > 1.22).all()
    assert (spread <= 1.25).all()
    middle = (factors / factors.amin((1, 2), keepdim=True)).mean((1, 2))
    assert ((middle - 1.125).abs() < 0.003).all()
    assert not torch.allclose(factors[0], factors[1], rtol=1e-2)


def test_disturb_acts_on_anisotropic_kernels_only():
    plain = random_kernels(40, 21, 0.6, 5.0, 0.5, False, seeded())
    disturbed = random_kernels(40, 21, 0.6, 5.0, 0.5, True, seeded())
    point_symmetric = torch.isclose(disturbed, disturbed.flip(1, 2), atol=1e-7).all(2).all(1)
    assert 5 < point_symmetric.sum() < 35
    isotropic = torch.isclose(disturbed, disturbed.mT, atol=1e-7).all(2).all(1)
    assert torch.equal(point_symmetric, isotropic)
    assert torch.isclose(plain, plain.flip(1, 2), atol=1e-7).all()


@pytest.mark.parametrize(("rate", "fewest", "most"), [(1.0, 400, 400), (0.0, 0, 0), (0.5, 165, 235), (0.2, 50, 110)])
def test_rate_iso_is_the_share_of_isotropic_kernels(rate, fewest, most):
    kernels = random_kernels(400, 11, 0.6, 3.0, rate, False, seeded())
    isotropic = torch.isclose(kernels, kernels.rot90(1, (1, 2)), atol=1e-7).all(2).all(1)
    assert fewest <= isotropic.sum() <= most


def test_gaussian8_has_the_published_widths():
    assert gaussian8_sigmas(4) == [1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 3.0, 3.2]
    assert gaussian8_sigmas(3) == [1.35, 1.5, 1.65, 1.8, 1.95, 2.1, 2.25, 2.4]
    np.testing.assert_allclose(gaussian8_sigmas(2), [(5.6 + 0.8 * i) / 7 for i in range(8)], atol=1e-9)
    assert all(type(sigma) is float for sigma in gaussian8_sigmas(2))


@pytest.mark.parametrize("scale", [1, 5, 2.5])
def test_gaussian8_is_refused_for_other_scales(scale):
    with pytest.raises(ValueError, match=f"scales 2, 3 and 4, not {scale}"):
        gaussian8_sigmas(scale)


@pytest.mark.parametrize("angle", [0.0, 0.4, -2.0, math.pi / 2])
@pytest.mark.parametrize("widths", [(0.9, 2.0), (2.0, 1.2)])
def test_principal_widths_are_those_of_the_gaussian_at_any_angle(widths, angle):
    kernel = anisotropic_gaussian(21, torch.tensor(widths[0], dtype=torch.float64), widths[1], angle)
    expected = torch.tensor(sorted(widths), dtype=torch.float64)
    torch.testing.assert_close(principal_widths(kernel), expected, atol=1e-3, rtol=0)


def test_principal_widths_of_taps_computed_by_hand():
    kernel = torch.zeros(5, 5)
    kernel[1, 0] = kernel[1, 4] = 3.0
    torch.testing.assert_close(principal_widths(kernel), torch.tensor([0.0, 2.0]))
    kernel[1, 4] = 1.0  # 3/4 at x = -2 and 1/4 at x = 2: variance 16 * 3/4 * 1/4
    torch.testing.assert_close(principal_widths(kernel), torch.tensor([0.0, math.sqrt(3)]))


def test_principal_widths_do_not_depend_on_place_or_sum():
    kernel = anisotropic_gaussian(21, torch.tensor(1.0, dtype=torch.float64), 1.5, 0.5)
    moved = torch.stack((kernel, kernel.roll((3, -2), (0, 1)), 7 * kernel)).reshape(3, 1, 21, 21)
    widths = principal_widths(moved)
    assert widths.shape == (3, 1, 2)
    torch.testing.assert_close(widths, widths[:1].expand(3, 1, 2), atol=1e-4, rtol=0)

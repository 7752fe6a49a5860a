"""Every part of the network against its plain transcription (plain_network.py), and what each part promises.

The plain transcription runs in float64. The package agrees to 1e-5 of the largest value in float32; in float64
every part agrees to 1e-10 (two guards against 0/0 differ by as much), and the whole network to 1e-8.
"""

import math

import numpy as np
import plain_network as plain
import pytest
import torch
from conftest import TINY
from plidenet.archs.bands import CPU_BAND, in_bands
from plidenet.archs.kernel_estimator import KernelEstimator
from plidenet.archs.prompt import DoubleLayerNorm, GatedFeedForward, PromptGeneration, PromptInteraction
from plidenet.archs.refinement import Refinement
from plidenet.archs.swin import SwinBlock
from plidenet.archs.upsampler import Upsampler
from plidenet.archs.wiener import WienerDeconvolution, edge_taper, pad_symmetric, taper_profile, transfer_function
from plidenet.crop import Crop
from plidenet.degradation import degrade, isotropic_gaussian
from skimage import data
from torch import nn

PRECISIONS = [(torch.float32, 1e-5), (torch.float64, 1e-10)]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def exact(module):
    """State dict in float64."""
    return {name: value.detach().double() for name, value in module.state_dict().items()}


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def photographs(height, width):
    crops = [image[150 : 150 + height, 100 : 100 + width] for image in (data.astronaut(), data.chelsea())]
    return torch.stack([torch.from_numpy(crop.copy()).permute(2, 0, 1) / 255 for crop in crops])


def kernels(kind, size=21):
    """Two kernels (2,1,k,k); the random ones have no symmetry that could hide a flip or a transposition."""
    if kind == "gaussian":
        both = torch.stack([isotropic_gaussian(size, sigma) for sigma in (1.2, 2.8)])
    elif kind == "random":
        both = (3 * noise(2, size**2)).softmax(dim=1)
    else:  # nearly all weight on one pixel: the center, and one beside it
        both = 1e-6 * torch.ones(2, size**2)
        both[0, size**2 // 2] = both[1, size**2 // 2 + 2] = 1 - 1e-6 * (size**2 - 1)
    return both.view(2, 1, size, size)


def run(part, x, *others):
    """Apply a part that works on (B,H,W,C) to an x that is (B,C,H,W)."""
    return part(x.permute(0, 2, 3, 1), *others).permute(0, 3, 1, 2)


def assert_agrees(actual, expected, tolerance=1e-5):
    """All elements agree to a tolerance relative to the largest expected one."""
    assert actual.shape == expected.shape
    error = (actual.detach().double() - expected).abs().max() / expected.abs().max()
    assert error < tolerance, f"relative error {error:.1e}"


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("size", [(16, 16), (17, 22), (19, 23), (4, 7)])
@pytest.mark.parametrize("kernel_size", [21, 11])
def test_the_estimator_equals_the_plain_one(scrambled, size, kernel_size, dtype, tolerance):
    part = scrambled(KernelEstimator(kernel_size=kernel_size, num_feat=8), 0.2)
    lr = noise(2, 3, *size)
    kernel = part.to(dtype)(lr.to(dtype))
    assert kernel.shape == (2, 1, kernel_size, kernel_size)
    assert_agrees(kernel, plain.estimator(exact(part), lr.double()), tolerance)
    assert kernel.std(dim=(2, 3)).min() > 1e-4, "too flat to tell"


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_upsampler_equals_the_plain_one(scrambled, scale, dtype, tolerance):
    part = scrambled(Upsampler(scale=scale, num_feat=8))
    lr = noise(2, 3, 5, 8)
    assert_agrees(part.to(dtype)(lr.to(dtype)), plain.upsampler(exact(part), lr.double(), scale), tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("filter_scale", [False, True])
@pytest.mark.parametrize("size", [(32, 48), (33, 50), (37, 41)])
@pytest.mark.parametrize("kind", ["gaussian", "random", "nearly a delta"])
def test_the_deconvolution_equals_the_plain_one(scrambled, kind, size, filter_scale, dtype, tolerance):
    part = scrambled(WienerDeconvolution(filter_scale=filter_scale), 0.2).to(dtype)
    image, kernel = photographs(*size), kernels(kind)
    result = part(image.to(dtype), kernel.to(dtype))
    assert_agrees(result, plain.wiener(exact(part), image.double(), kernel.double()), tolerance)


def test_the_deconvolution_takes_other_numbers_of_filters_and_sizes_of_kernels(scrambled):
    part = scrambled(WienerDeconvolution(num_filters=3, regularizer_size=3), 0.2)
    image, kernel = photographs(30, 27), kernels("random", 11)
    assert part.regularizers.shape == (8, 3, 3)
    assert_agrees(part(image, kernel), plain.wiener(exact(part), image.double(), kernel.double()))


def test_the_deconvolution_sharpens_what_the_kernel_has_blurred():
    image, kernel = photographs(64, 64), kernels("gaussian")
    blurred = degrade(image, kernel[:, 0], 1)
    restored = WienerDeconvolution()(blurred, kernel)
    assert (restored - image).abs().mean() < 0.8 * (blurred - image).abs().mean()


def test_the_deconvolution_takes_the_blur_for_a_convolution_unless_the_kernel_is_rotated():
    image, kernel = photographs(64, 64), torch.zeros(1, 1, 21, 21)
    kernel[..., 10, 10:16] = 1 / 6
    errors = [
        (WienerDeconvolution(rotate_kernel=rotate)(degrade(image, used[:, 0], 1), kernel) - image).abs().mean().item()
        for used, rotate in ((kernel, False), (kernel.flip(-1, -2), False), (kernel, True))
    ]
    assert max(errors[1:]) < 0.5 * errors[0]


@pytest.mark.parametrize("value", [0.0, 0.1, 0.5, -1 / 3])
def test_a_constant_regularization_kernel_counts_for_nothing(value):
    part, without = WienerDeconvolution(), WienerDeconvolution()
    part.regularizers.data[3] = value
    without.regularizers = nn.Parameter(torch.cat((part.regularizers[:3], part.regularizers[4:])).detach())
    image, kernel = photographs(32, 40), kernels("gaussian")
    restored = part(image, kernel)
    assert_agrees(restored, without(image, kernel).double(), 1e-3)
    restored.square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in part.parameters())


def test_strengths_are_bounded_from_below():
    part = WienerDeconvolution(min_strength=1e-8)
    part.log_strengths.data[:] = torch.tensor([-40.0, -1000.0, math.log(1e-7), 3.0])
    torch.testing.assert_close(part.strengths(), torch.tensor([1e-8, 1e-8, 1e-7, math.exp(3)]))
    image, kernel = photographs(32, 32), kernels("gaussian")
    bounded = exact(part) | {"log_strengths": part.strengths().double().log()}
    expected = plain.wiener(bounded, image.double(), kernel.double())
    assert_agrees(part(image, kernel), expected, 1e-2)  # noise is amplified 5000-fold
    part(image, kernel).mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in part.parameters())
    assert (part.log_strengths.grad != 0).all(), "a strength below the bound could not come back"
    assert WienerDeconvolution().min_log_strength == math.log(1e-10)


def test_symmetric_padding_is_that_of_numpy():
    image = noise(2, 3, 10, 13)
    for border in (1, 4, 10):
        around = ((0, 0), (0, 0), (border, border), (border, border))
        np.testing.assert_array_equal(pad_symmetric(image, border), np.pad(image, around, mode="symmetric"))


def test_the_transfer_function_has_the_center_of_the_kernel_at_the_origin():
    spectrum = transfer_function(isotropic_gaussian(5, 1.0), torch.Size((32, 37)))
    assert spectrum.imag.abs().max() < 1e-6
    assert spectrum[0, 0].real == pytest.approx(1)


@pytest.mark.parametrize("length", [52, 53])
def test_the_taper_is_0_at_the_border_1_far_inside_and_symmetric(length):
    beta = taper_profile(kernels("random")[:, 0].sum(dim=1), length)
    assert beta.shape == (2, length)
    torch.testing.assert_close(beta[:, [0, -1]], torch.ones(2, 2))
    torch.testing.assert_close(beta, beta.flip(1))
    assert beta[:, 21:-21].abs().max() < 1e-6
    assert beta.min() > -1e-6


def test_the_edge_taper_closes_the_jump_across_the_boundary_and_keeps_the_inside():
    ramp = torch.linspace(0, 1, 64)[:, None].expand(1, 1, 64, 70).contiguous()
    kernel = isotropic_gaussian(21, 3.0)[None, None]
    tapered = edge_taper(ramp, kernel, transfer_function(kernel, ramp.shape[-2:]))
    assert (tapered[0, 0, 0] - tapered[0, 0, -1]).abs().max() < 0.2
    torch.testing.assert_close(tapered[..., 21:-21, 21:-21], ramp[..., 21:-21, 21:-21], atol=1e-5, rtol=0)
    assert ((tapered > -1e-5) & (tapered < 1 + 1e-5)).all()


def test_the_deconvolution_is_float32_under_bfloat16_autocast():
    part = WienerDeconvolution(filter_scale=True)
    image, kernel = photographs(32, 35).bfloat16(), kernels("gaussian")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        restored = part(image, kernel)
    assert restored.dtype == torch.float32
    assert torch.equal(restored, part(image.float(), kernel))


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize(
    ("window", "shift", "size"), [(8, 0, (16, 24)), (8, 4, (16, 24)), (8, 4, (8, 16)), (5, 2, (15, 10)), (8, 4, (8, 8))]
)
def test_the_swin_block_equals_the_plain_one(scrambled, window, shift, size, dtype, tolerance):
    part = SwinBlock(dim=12, num_heads=3, window_size=window, shift=shift, mlp_ratio=2.5, drop_path=0.5).eval()
    scrambled(part, 0.3)
    x = noise(2, 12, *size)
    for learning in (True, False):  # attention written out, and by PyTorch's kernels
        with torch.set_grad_enabled(learning):
            result = run(part.to(dtype), x.to(dtype))
        assert_agrees(result, plain.swin_block(exact(part), x.double(), 3, window, shift), tolerance)


def test_stochastic_depth_skips_a_branch_of_an_image_or_scales_it_up():
    part = SwinBlock(dim=8, num_heads=2, window_size=4, shift=0, mlp_ratio=2, drop_path=0.25)
    x = noise(32, 4, 4, 8)
    with torch.no_grad():
        result = part(x)
        attended = x + part.attention(part.norm1(x)) / 0.75
        ways = [y + keep * part.mlp(part.norm2(y)) / 0.75 for y in (x, attended) for keep in (0, 1)]
    errors = torch.stack([(result - way).abs().amax(dim=(1, 2, 3)) for way in ways])
    assert errors.amin(dim=0).max() < 1e-5
    assert set(errors.argmin(dim=0).tolist()) == {0, 1, 2, 3}


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("size", [(8, 8), (5, 9), (1, 2)])
def test_prompt_generation_equals_spreading_and_convolving(scrambled, size, dtype, tolerance):
    part = scrambled(PromptGeneration(dim=8, prompt_dim=6, kernel_embed_dim=10), 0.5)
    x, embedding = noise(2, 8, *size) + 1, noise(2, 10, seed=1)
    result = run(part.to(dtype), x.to(dtype), embedding.to(dtype))
    assert_agrees(result, plain.prompt_generation(exact(part), x.double(), embedding.double()), tolerance)


def test_the_layer_norm_of_the_interaction_normalizes_twice_with_its_input_statistics(scrambled):
    part = scrambled(DoubleLayerNorm(16), 0.3)
    x = 3 * noise(2, 16, 5, 7) + 2
    mean, std = x.mean(dim=1, keepdim=True), x.std(dim=1, correction=0, keepdim=True)
    weight, bias = part.weight[:, None, None], part.bias[:, None, None]
    once = (x - mean) / std * weight + bias
    torch.testing.assert_close(run(part, x), (once - mean) / std * weight + bias, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("heads", [1, 2, 6])
@pytest.mark.parametrize("size", [(8, 8), (5, 9)])
def test_the_prompt_interaction_equals_the_plain_one(scrambled, size, heads, dtype, tolerance):
    part = scrambled(PromptInteraction(dim=12, num_heads=heads), 0.4).to(dtype)
    part.attention.depthwise.weight.data[3] = 0  # a channel that is dead
    features, prompt = noise(2, 8, *size).to(dtype), noise(2, 4, *size, seed=1).to(dtype)
    expected = plain.prompt_interaction(exact(part), torch.cat((features, prompt), dim=1).double(), heads)
    assert_agrees(run(part, features, prompt.permute(0, 2, 3, 1)), expected, tolerance)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_the_gated_feed_forward_equals_the_plain_one(scrambled, dtype, tolerance):
    part = scrambled(GatedFeedForward(10), 0.4)
    x = noise(2, 10, 5, 8)
    result = run(part.to(dtype), x.to(dtype))
    assert_agrees(result, plain.gated_feed_forward(exact(part), x.double()), tolerance)


@pytest.mark.parametrize("unshuffle", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(32, 64), (45, 38)])
def test_the_refinement_equals_the_plain_one(scrambled, size, unshuffle):
    setting = {name: value for name, value in TINY.items() if name != "num_feat"}
    part = scrambled(Refinement(**setting, unshuffle=unshuffle)).eval()
    image, embedding, grid = photographs(*size), noise(2, 8).abs(), {"scale": unshuffle, "unshuffle": "scale"}
    expected = plain.refinement(exact(part), image.double(), embedding.double(), setting | grid)
    assert_agrees(part(image, embedding), expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-8)])
@pytest.mark.parametrize("size", [(16, 16), (17, 22)])
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("unshuffle", [1, "scale"])
@pytest.mark.parametrize("changes", [{}, {"window_size": 6, "filter_scale": True, "kernel_size": 15}])
def test_the_whole_network_equals_the_plain_one(tiny_network, changes, unshuffle, scale, size, dtype, tolerance):
    setting = {"scale": scale, "unshuffle": unshuffle} | changes
    net, lr = tiny_network(**setting).eval().to(dtype), photographs(*size).to(dtype)
    with torch.no_grad():
        sr, kernel = net(lr)
        expected_sr, expected_kernel = plain.plain_forward(exact(net), TINY | setting, lr.double())
    assert_agrees(kernel, expected_kernel, tolerance)
    assert_agrees(sr, expected_sr, tolerance)


@pytest.mark.parametrize("name", ["PL_IDENet", "PL_IDENet_E"])
def test_a_crop_is_refined_alone_and_all_is_deconvolved(tiny_network, name):
    net = tiny_network(name, scale=2).eval()
    lr = photographs(16, 25)
    sr, kernel = net(lr, Crop(top=4, left=13, side=24))
    deblurred, known = net.wiener(net.upsampler(lr), kernel), net.embedding(kernel)
    torch.testing.assert_close(sr, net.refinement(deblurred[..., 4:28, 13:37], known))
    assert torch.equal(kernel, net(lr)[1])
    nothing, alone = net(lr, Crop(0, 0, side=0))
    assert nothing.shape == (2, 3, 0, 0)
    assert torch.equal(alone, kernel)


@torch.no_grad()
def test_a_part_is_told_which_band_is_the_last_one_though_the_halo_of_another_reaches_the_end():
    seen = []
    image = torch.rand(1, 33, CPU_BAND // 16, 1)  # bands of 16 rows
    assert torch.equal(in_bands(lambda band, last: seen.append((band.shape[1], last)) or band, image, halo=1), image)
    assert seen == [(17, False), (18, False), (2, True)]

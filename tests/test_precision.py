"""Reduced precision costs gradients little, TF32 stays in the network's part of a training step; compiled, exported."""

from functools import partial

import pytest
import torch
import torch._functorch.config
from conftest import ROOT, TINY
from plidenet import autocast
from plidenet.archs import build_network, compile_network, use_channels_last
from plidenet.archs.kernel_estimator import KernelEstimator
from plidenet.archs.layers import LayerNorm
from plidenet.archs.prompt import ChannelAttention
from plidenet.archs.swin import WindowAttention, attend
from plidenet.autocast import autocast_off, warn_of_emulation
from plidenet.config import load_options
from plidenet.crop import random_crop
from plidenet.degradation import degrade, isotropic_gaussian
from plidenet.device import choose_device
from plidenet.losses import Restoration, build_losses, total_loss
from plidenet.training import trainer
from skimage import data
from torch.nn import functional as F
from training_setup import Run

LOSSES = build_losses([("l1", 1.0), ("lr_consistency", 1.0), ("gradient_difference", 1.0)])


def relative_error(actual, expected):
    return float((actual - expected).norm() / expected.norm())


@pytest.mark.parametrize("pixels", [256, 16384])
def test_layer_norm_has_exact_gradients_under_autocast(pixels):
    norm = LayerNorm(24)
    x, weights = torch.randn(2, pixels, 24, generator=torch.Generator().manual_seed(0)).bfloat16()
    (norm(x).double() * weights.double()).sum().backward()
    expected = norm.weight.grad, norm.bias.grad
    norm.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        (norm(x) * weights).sum().backward()
    for actual, exact in zip((norm.weight.grad, norm.bias.grad), expected, strict=True):
        assert relative_error(actual, exact) < 1e-3


def test_the_gradients_of_bfloat16_are_near_those_of_float32():
    hr = torch.from_numpy(data.astronaut()[:256, :256].copy()).permute(2, 0, 1)[None] / 255
    lr = degrade(hr, isotropic_gaussian(21, 1.2), 2)
    gradients = []
    for enabled in (False, True):
        torch.manual_seed(0)
        net = build_network("PL_IDENet_E", scale=2, **{**TINY, "drop_path": 0.0})
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            sr, kernel = net(lr)
        total_loss(LOSSES, Restoration(sr=sr, kernel=kernel, lr=lr, hr=hr))[0].backward()
        gradients.append({name: parameter.grad for name, parameter in net.named_parameters() if "norm" in name})
    exact, reduced = gradients
    assert exact
    errors = {name: relative_error(reduced[name], exact[name]) for name in exact}
    assert max(errors.values()) < 0.1, errors


def test_bfloat16_does_not_round_the_logits_of_the_kernel():
    torch.manual_seed(0)
    estimator = KernelEstimator(num_feat=8, init_sigma=2.0)
    lr = torch.rand(1, 3, 32, 32)
    exact = estimator(lr)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        kernel = estimator(lr)
    assert (kernel - exact).abs().sum() < 1e-4


def test_sums_over_pixels_that_float16_could_not_hold_are_taken_in_float32():
    torch.manual_seed(0)
    attention, x = ChannelAttention(8, 2), 200 * torch.randn(1, 40, 40, 8)
    with torch.no_grad():
        expected = attention(x)
        with torch.autocast("cpu", dtype=torch.float16):
            result = attention(x)
    assert (result - expected).abs().max() < 0.01 * expected.abs().max()


class Island(torch.nn.Module):
    """A product in float32 under autocast."""

    def __init__(self):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.rand(8, 8, generator=torch.Generator().manual_seed(0)))

    def forward(self, x):
        with autocast_off(x.device):
            return x @ self.factor


@pytest.mark.skipif(not hasattr(torch._functorch.config, "backward_pass_autocast"), reason="not in older versions")
def test_what_is_in_float32_forwards_is_so_backwards_when_compiled():
    island, x = Island(), torch.rand(4, 8, generator=torch.Generator().manual_seed(1))
    gradients = []
    for network in (island, compile_network(island, backend="aot_eager")):
        island.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = network(x)
        result.square().sum().backward()
        gradients.append(island.factor.grad.clone())
    assert torch.equal(*gradients)


@pytest.mark.skipif(torch.__version__ < (2, 6), reason="torch.export of older versions fails")
@torch.no_grad()
def test_an_exported_program_restores_alike(tiny_network):
    net, lr = tiny_network(scale=2).eval(), torch.rand(1, 3, 16, 20)
    for made, expected in zip(torch.export.export(net, (lr,)).module()(lr), net(lr), strict=True):
        torch.testing.assert_close(made, expected)


def test_compiling_leaves_out_the_reductions_that_gave_wrong_gradients():
    compile_network(Island(), backend="eager")
    from torch._inductor import config

    assert not getattr(config.triton, "mix_order_reduction", False)


@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`")
def test_crops_at_other_places_are_refined_by_the_same_graphs(tmp_path, monkeypatch):
    graphs = []
    monkeypatch.setattr(
        torch, "compile", partial(torch.compile, backend=lambda graph, _: graphs.append(graph) or graph)
    )
    one = Run(tmp_path).trainer("train.compile=true", "train.refine_crop=16")
    batch = next(iter(one.batches))
    assert len({random_crop(16, (32, 32), (3, iteration)) for iteration in range(6)}) > 2
    one.train_step(batch)
    of_the_first_step = len(graphs)
    for _ in range(5):
        one.train_step(batch)
    assert len(graphs) == of_the_first_step > 1


def test_weights_in_channels_last_have_gradients_of_the_same_strides(tiny_network):
    net = tiny_network(scale=2)
    use_channels_last(net)
    sr, kernel = net(torch.rand(1, 3, 16, 16))
    (sr.sum() + kernel.square().sum()).backward()
    assert net.estimator.bottom.weight.is_contiguous(memory_format=torch.channels_last)
    assert [name for name, weight in net.named_parameters() if weight.stride() != weight.grad.stride()] == []


@pytest.mark.parametrize("shift", [0, 4])
def test_the_mask_of_window_attention_is_contiguous_as_fused_kernels_want_it(shift):
    attention = WindowAttention(dim=8, num_heads=2, window_size=8, shift=shift)
    assert attention._mask(1, 2, 3, True).is_contiguous()


def test_attention_written_out_has_the_gradients_of_the_kernels_of_pytorch():
    torch.manual_seed(0)
    query, key, value, weights = torch.randn(4, 6, 2, 16, 4, dtype=torch.float64).requires_grad_()
    mask = torch.randn(1, 2, 16, 16, dtype=torch.float64, requires_grad=True)
    results = [f(query, key, value, mask) for f in (attend, F.scaled_dot_product_attention)]
    gradients = [torch.autograd.grad((result * weights).sum(), (query, key, value, mask)) for result in results]
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


def tf32_is_allowed():
    return torch.get_float32_matmul_precision() == "high", torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize("allowed", [False, True])
def test_tf32_is_for_the_network_in_training_alone(tmp_path, monkeypatch, allowed):
    run = Run(tmp_path).trainer(f"train.tf32={str(allowed).lower()}")
    seen = {}

    def watched(name, function):
        def call(*arguments, **others):
            seen[name] = tf32_is_allowed()
            return function(*arguments, **others)

        return call

    monkeypatch.setattr(trainer, "total_loss", watched("loss", total_loss))
    monkeypatch.setattr(run, "degrade", watched("degradation", run.degrade))
    run.model = watched("network", run.model)
    run.train_step(next(iter(run.batches)))
    neither = (False, False)
    assert seen == {"degradation": neither, "network": (allowed, allowed), "loss": neither}
    assert tf32_is_allowed() == neither


def test_testing_computes_in_full_float32(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    choose_device(load_options(ROOT / "options/setting1/test/test_setting1_x4_E.yml", ["device=cpu"]))
    assert tf32_is_allowed() == (False, False)


@pytest.mark.parametrize(
    ("precision", "device", "seconds", "warned"),
    [
        ("bf16", "cpu", 5.0, True),
        ("fp16", "cpu", 99.0, True),
        ("bf16", "cpu", 0.6, False),
        ("fp32", "cpu", 5.0, False),
        ("bf16", "cuda", 5.0, False),
    ],
)
def test_a_processor_that_emulates_a_precision_is_warned_of(monkeypatch, caplog, precision, device, seconds, warned):
    times = {torch.float32: 1.0, torch.bfloat16: seconds, torch.float16: seconds}
    monkeypatch.setattr(autocast, "seconds_of_convolution", times.get)
    warn_of_emulation(precision, torch.device(device))
    assert (f"a convolution in {precision} takes {seconds} times as long" in caplog.text) == warned


def test_a_convolution_is_timed_in_seconds():
    for dtype in (torch.float32, torch.bfloat16):
        assert 1e-6 < autocast.seconds_of_convolution(dtype) < 10

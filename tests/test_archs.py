"""The networks as a whole: what they promise for every registered name and scale. The parts are in test_arch_parts."""

import pytest
import torch
from plidenet import build_network
from plidenet.archs import NETWORKS, bands, compile_network, pl_idenet
from plidenet.config.schema import SMALLEST_LR
from plidenet.degradation import degrade, imresize, isotropic_gaussian
from plidenet.errors import UserError
from plidenet.losses import Restoration, build_losses, total_loss
from plidenet.registry import Registry
from skimage import data
from torch import nn

LEARNING = ["PL_IDENet", "PL_IDENet_E", "DEblurSRResDNet"]
LOSSES = build_losses([("l1", 1.0), ("lr_consistency", 1.0), ("gradient_difference", 1.0)])
SIZES = [(16, 16), (17, 19), (23, 16)]


def photographs(scale, size=(17, 19)):
    """Two textured pairs: lr (2,3,h,w), hr (2,3,scale*h,scale*w)."""
    height, width = size[0] * scale, size[1] * scale
    crops = [image[150 : 150 + height, 100 : 100 + width] for image in (data.astronaut(), data.chelsea())]
    hr = torch.stack([torch.from_numpy(crop.copy()).permute(2, 0, 1) / 255 for crop in crops])
    return degrade(hr, isotropic_gaussian(21, 1.5), scale).clamp(0, 1), hr


def backward(net, lr, hr):
    """One forward and backward pass with all three losses."""
    sr, kernel = net(lr)
    loss, _ = total_loss(LOSSES, Restoration(sr=sr, kernel=kernel, lr=lr, hr=hr))
    loss.backward()


def assert_gradients_finite(net):
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        assert parameter.grad.isfinite().all(), f"{name} has a gradient that is not finite"


def test_the_registered_names_are_the_documented_ones():
    assert NETWORKS.names() == ["Bicubic", "DEblurSRResDNet", "PL_IDENet", "PL_IDENet_E"]
    assert NETWORKS.get("DEblurSRResDNet") is NETWORKS.get("PL_IDENet")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", NETWORKS.names())
def test_sr_has_the_scaled_size_and_the_kernel_is_a_distribution(tiny_network, name, scale, size):
    net = tiny_network(name, scale=scale).eval()
    with torch.no_grad():
        sr, kernel = net(torch.rand(2, 3, *size))
    assert sr.shape == (2, 3, scale * size[0], scale * size[1])
    assert sr.isfinite().all()
    if name != "Bicubic":
        assert kernel.shape == (2, 1, 21, 21)
        assert kernel.min() >= 0
        torch.testing.assert_close(kernel.sum(dim=(1, 2, 3)), torch.ones(2))


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", LEARNING)
def test_one_adam_step_has_finite_gradients_and_moves_every_part(tiny_network, name, scale):
    net = tiny_network(name, scale=scale)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    backward(net, *photographs(scale))
    assert_gradients_finite(net)
    optimizer.step()
    still = {name for name, value in net.state_dict().items() if torch.equal(value, before[name])}
    for part, _ in net.named_children():
        moved = {name for name in before if name.startswith(f"{part}.")} - still
        assert moved, f"no parameter of {part} moved"
    assert all(value.isfinite().all() for value in net.state_dict().values())


@pytest.mark.parametrize("name", ["PL_IDENet", "PL_IDENet_E"])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_gradients_are_finite_on_flat_images(tiny_network, name, value):
    net = tiny_network(name, scale=2)
    backward(net, torch.full((1, 3, 17, 19), value), torch.full((1, 3, 34, 38), value))
    assert_gradients_finite(net)


def test_gradients_are_finite_with_a_delta_kernel(tiny_network):
    net = tiny_network(scale=2)
    net.estimator.to_kernel.bias.data[220] = 1e4  # the center of 21x21
    lr, hr = photographs(2)
    assert net(lr)[1][0, 0, 10, 10] == 1
    backward(net, lr, hr)
    assert_gradients_finite(net)


@pytest.mark.parametrize("name", ["PL_IDENet", "PL_IDENet_E"])
def test_the_restoration_never_teaches_the_estimator(tiny_network, name):
    net = tiny_network(name, scale=2)
    lr, hr = photographs(2)
    sr, kernel = net(lr)
    (sr - hr).abs().mean().backward(retain_graph=True)
    assert all(parameter.grad is None for parameter in net.estimator.parameters())
    assert all(parameter.grad is not None for parameter in net.embedding.parameters())
    kernel.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.estimator.parameters())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["PL_IDENet", "PL_IDENet_E"])
def test_bfloat16_autocast_stays_close_to_float32(tiny_network, name, size):
    net = tiny_network(name, scale=3)
    lr, hr = photographs(3, size)
    with torch.no_grad():
        expected, expected_kernel = net.eval()(lr)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        sr, kernel = net(lr)
        backward(net.train(), lr, hr)
    assert_gradients_finite(net)
    assert kernel.dtype == torch.float32
    torch.testing.assert_close(kernel.sum(dim=(1, 2, 3)), torch.ones(2))
    torch.testing.assert_close(kernel, expected_kernel, atol=1e-4, rtol=0.05)
    assert (sr.float() - expected).abs().max() < 0.05 * expected.abs().max()


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("size", [(16, 17), (16, 37), (32, 16)])
def test_windows_may_be_larger_than_twice_the_image(tiny_network, size, scale):
    net = tiny_network("PL_IDENet_E", scale=scale, window_size=34)
    lr, hr = photographs(scale, size)
    assert net(lr)[0].shape == hr.shape
    backward(net, lr, hr)
    assert_gradients_finite(net)


def test_option_files_are_held_to_the_size_that_the_network_needs():
    assert SMALLEST_LR == pl_idenet.PLIDENet.MIN_SIZE


@pytest.mark.parametrize("size", [(15, 16), (16, 15), (1, 200)])
@pytest.mark.parametrize("name", LEARNING)
def test_an_lr_image_below_16_pixels_is_refused(tiny_network, name, size):
    with pytest.raises(ValueError, match=rf"{size[0]}x{size[1]}.*16x16"):
        tiny_network(name)(torch.rand(1, 3, *size))


@pytest.mark.parametrize("name", ["PL_IDENet", "PL_IDENet_E"])
def test_images_of_a_batch_do_not_see_each_other(tiny_network, name):
    net = tiny_network(name, scale=2).eval()
    lr, _ = photographs(2)
    with torch.no_grad():
        together, kernels = net(lr)
        for i in range(2):
            alone, kernel = net(lr[i : i + 1])
            torch.testing.assert_close(kernels[i : i + 1], kernel)
            torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(kernels[0], kernels[1], rtol=1e-2)


def test_a_run_under_inference_mode_leaves_later_training_alone(tiny_network):
    net = tiny_network(scale=2)
    lr, hr = photographs(2, (22, 21))  # a size that no other test has cached
    with torch.inference_mode():
        net(lr)
    backward(net, lr, hr)
    assert_gradients_finite(net)


@pytest.mark.parametrize("name", ["PL_IDENet", "PL_IDENet_E"])
def test_the_image_is_the_same_in_one_band_and_in_many(tiny_network, monkeypatch, name):
    net, lr = tiny_network(name, scale=2).eval(), torch.rand(2, 3, 45, 38)
    with torch.inference_mode():
        whole, _ = net(lr)
        for name in ("CPU_BAND", "LEAST_ROWS"):
            monkeypatch.setattr(bands, name, 1)  # as few rows as there can be
        banded, _ = net(lr)
    torch.testing.assert_close(banded, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["PL_IDENet", "PL_IDENet_E"])
def test_checkpointing_changes_no_gradient(tiny_network, name):
    def gradients(**setting):
        net = tiny_network(name, scale=2, drop_path=0.5, **setting).train()
        torch.manual_seed(1)  # of stochastic depth
        sr, kernel = net(lr)
        (sr.square().mean() + kernel.square().mean()).backward()
        return [parameter.grad for parameter in net.parameters()]

    lr = torch.rand(2, 3, 20, 24)
    pairs = zip(gradients(), gradients(checkpoint=True), strict=True)
    assert all(torch.equal(kept, computed_again) for kept, computed_again in pairs)


def test_stochastic_depth_acts_in_training_only(tiny_network):
    net = tiny_network(scale=2, drop_path=0.9)
    lr, _ = photographs(2)
    with torch.no_grad():
        first = net(lr)[0]
        assert not all(torch.equal(net(lr)[0], first) for _ in range(8))  # one draw may repeat by chance
        net.eval()
        assert torch.equal(net(lr)[0], net(lr)[0])


@pytest.mark.parametrize(
    ("name", "scale", "count"),
    [
        ("PL_IDENet", 4, 4_307_854),
        ("PL_IDENet", 3, 4_344_782),
        ("PL_IDENet", 2, 4_160_142),
        ("PL_IDENet_E", 4, 4_385_659),
        ("PL_IDENet_E", 2, 4_175_703),
        ("Bicubic", 4, 0),
    ],
)
def test_the_full_size_network_has_the_published_number_of_parameters(monkeypatch, name, scale, count):
    monkeypatch.setattr(nn.init, "trunc_normal_", lambda tensor, **_: tensor)  # counted, not run: spare the drawing
    net = build_network(name, scale=scale)
    assert sum(parameter.numel() for parameter in net.parameters()) == count


def test_scale_4_is_the_default():
    assert NETWORKS.get("Bicubic")().scale == 4
    assert build_network("Bicubic")(torch.rand(1, 3, 5, 5))[0].shape == (1, 3, 20, 20)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_bicubic_network_is_imresize_and_estimates_no_kernel(scale):
    lr = torch.rand(1, 3, 17, 19)
    sr, kernel = build_network("Bicubic", scale=scale)(lr)
    assert kernel is None
    assert torch.equal(sr, imresize(lr, scale))


@pytest.mark.parametrize("start", [0.8, 2.0])
def test_kernel_init_sigma_starts_the_estimator_at_that_gaussian(start):
    torch.manual_seed(0)
    net = build_network("PL_IDENet", scale=2, kernel_init_sigma=start, embed_dim=8, num_heads=(1, 1, 1, 1))
    with torch.no_grad():
        kernel = net.estimator(photographs(2)[0])
    assert (kernel - isotropic_gaussian(21, start)).abs().sum(dim=(1, 2, 3)).max() < 0.02


@pytest.mark.parametrize(
    ("name", "setting", "message"),
    [
        ("PL_IDENt", {}, r"unknown network 'PL_IDENt'; did you mean 'PL_IDENet'\? Known: Bicubic, DEblur"),
        ("PL_IDENet", {"embed_dims": 8}, r"no argument 'embed_dims'; did you mean 'embed_dim'\?"),
        ("PL_IDENet_E", {"window": 8}, "no argument 'window'"),
        ("PL_IDENet", {"scale": 5}, "scale must be one of 2, 3, 4, not 5"),
        ("PL_IDENet", {"kernel_size": 20}, "kernel_size must be positive and odd"),
        ("PL_IDENet", {"kernel_size": -1}, "kernel_size must be positive and odd"),
        ("PL_IDENet", {"num_feat": 1}, "num_feat must be at least 2"),
        ("PL_IDENet", {"kernel_init_sigma": 0}, "must be positive, not 0"),
        ("PL_IDENet", {"num_wiener_filters": 0}, "num_wiener_filters must be positive"),
        ("PL_IDENet", {"kernel_embed_dim": 0}, "kernel_embed_dim must be positive"),
        ("PL_IDENet", {"prompt_dims": (0, 64, 64, 64)}, "prompt_dims, prompt_heads must be positive"),
        ("PL_IDENet", {"depths": (-1, 4, 4, 4)}, "PL_IDENet cannot be built"),
        ("PL_IDENet", {"drop_path": 1}, "drop_path must be at least 0 and less than 1"),
        ("PL_IDENet", {"unshuffle": 3}, "unshuffle must be 1 or 'scale'"),
        ("PL_IDENet", {"depths": (4, 4)}, "one entry per group"),
        ("PL_IDENet", {"num_heads": (5, 4, 4, 4)}, "96 channels cannot be divided into 5"),
        ("PL_IDENet", {"prompt_heads": (3, 2, 4, 8)}, "128 channels .* into 3 prompt heads"),
    ],
)
def test_a_wrong_setting_is_refused_with_the_reason(name, setting, message):
    with pytest.raises(UserError, match=message):
        build_network(name, **setting)


def test_a_required_argument_is_asked_for():
    registry = Registry("thing")
    registry.register("a")(lambda *, size: size)
    with pytest.raises(UserError, match=r"thing a: missing a required.* argument: 'size'"):
        registry.build("a")


def test_a_compiled_network_compiles_the_work_on_a_band(tiny_network, monkeypatch):
    net, lr = tiny_network(scale=4).eval(), torch.rand(1, 3, 40, 24)
    shapes, targets = set(), set()

    def backend(graph, inputs):
        shapes.update(tuple(value.shape) for value in inputs if isinstance(value, torch.Tensor))
        targets.update(str(node.target) for node in graph.graph.nodes)
        return graph

    monkeypatch.setattr(bands, "CPU_BAND", 1)
    compiled = compile_network(net, dynamic=False, backend=backend)
    with torch.inference_mode():
        for one, other in zip(compiled(lr), net(lr), strict=True):
            torch.testing.assert_close(one, other)
    assert (1, 8, 96, 8) in shapes, "one row of windows, of the 20 that a block sees"
    assert not any("fft" in target for target in targets), "the deconvolution is left to Python"

"""Starting from weights of a kindred network: x4's halve for x2, PL_IDENet_E's refine at HR size; both beat bicubic."""

import json
import math

import pytest
import torch
from conftest import ROOT, TINY
from plidenet import build_network
from plidenet.archs.halve_scale import fit_strengths, pink_noise, ridge_regression
from plidenet.archs.transfer import transfer
from plidenet.checkpoint import save_checkpoint
from plidenet.config import load_options
from plidenet.degradation import degrade, imresize, isotropic_gaussian
from plidenet.errors import UserError
from plidenet.evaluation.candidate import load_network
from plidenet.metrics import kernel_l1
from plidenet.training.start import load_start
from skimage import data
from torch.nn import functional as F
from training_setup import Run, assert_identical

X2 = ROOT / "options/setting1/train/train_setting1_x2_E.yml"
X4 = ROOT / "options/setting1/train/train_setting1_x4.yml"
FAMILY = ["PL_IDENet", "PL_IDENet_E"]


@pytest.fixture
def blank(tiny_network):
    """A tiny network of zeros: whatever else it holds afterwards was brought over."""

    def build(name, scale):
        net = tiny_network(name, scale=scale).eval().requires_grad_(False)
        for parameter in net.parameters():
            parameter.zero_()
        return net

    return build


@pytest.fixture
def halved(tiny_network, blank):
    """A network at x4 and the one at x2 made of it."""

    def build(name="PL_IDENet_E", **setting):
        source, target = tiny_network(name, scale=4, **setting).eval(), blank(name, 2)
        transfer(source, target)
        return source, target

    return build


@pytest.fixture
def finer(tiny_network, blank):
    """A PL_IDENet_E and the PL_IDENet made of it."""

    def build(scale):
        source, target = tiny_network("PL_IDENet_E", scale=scale).eval(), blank("PL_IDENet", scale)
        transfer(source, target)
        return source, target

    return build


@pytest.mark.parametrize("name", FAMILY)
def test_all_that_does_not_depend_on_the_scale_is_taken_over(halved, name):
    source, target = (net.state_dict() for net in halved(name))
    changed = {key for key in target if key not in source or not torch.equal(source[key], target[key])}
    parts = {"estimator.to_kernel", "embedding.1", "upsampler.conv_last"}
    if name == "PL_IDENet_E":
        parts |= {"refinement.conv_first", "refinement.conv_last"}
    assert {key.rpartition(".")[0] for key in changed} - {"wiener"} == parts


@pytest.mark.parametrize("sigma", [1.6, 2.4, 3.2])
@pytest.mark.parametrize("unevenness", [0, 0.3])
def test_a_gaussian_kernel_gets_half_its_width(tiny_network, sigma, unevenness):
    source, target = (tiny_network(scale=scale).eval() for scale in (4, 2))
    noise = unevenness * torch.randn(21**2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        source.estimator.to_kernel.weight.zero_()
        source.estimator.to_kernel.bias.copy_(isotropic_gaussian(21, sigma).log().flatten() + noise)
        transfer(source, target)
        kernel = target.estimator(torch.rand(1, 3, 16, 16))[0, 0]
    if unevenness:
        assert kernel_l1(kernel, isotropic_gaussian(21, sigma / 2)) < 0.3
    else:
        torch.testing.assert_close(kernel, isotropic_gaussian(21, sigma / 2), rtol=1e-4, atol=1e-6)


def test_the_embedding_of_a_kernel_of_half_the_width_stays(halved):
    source, target = halved()
    with torch.no_grad():
        wide, narrow = (
            net.embedding[1](isotropic_gaussian(21, sigma).flatten()) for net, sigma in ((source, 3.0), (target, 1.5))
        )
    torch.testing.assert_close(narrow, wide, rtol=0.02, atol=0.002)


def test_where_slopes_are_penalized_the_strengths_are_divided_by_about_four(tiny_network):
    source, target = (tiny_network(scale=scale) for scale in (4, 2))
    with torch.no_grad():
        for net in (source, target):
            net.upsampler = torch.nn.Upsample(scale_factor=net.scale, mode="bicubic")
            net.wiener.regularizers.zero_()
            net.wiener.regularizers[::2, 2, 2:4] = net.wiener.regularizers[1::2, 2:4, 2] = torch.tensor([-1.0, 1.0])
            net.wiener.log_strengths.fill_(math.log(1e-3))
        fit_strengths(source, target, pink_noise())
    assert all(2 < 1e-3 / strength < 6 for strength in target.wiener.strengths().tolist())


def test_a_layer_is_fitted_to_what_is_wanted_of_it():
    layer, wanted = torch.nn.Conv2d(12, 8, 3, padding=1), torch.nn.Conv2d(12, 8, 3, padding=1)
    features = torch.randn(2, 12, 32, 24, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        ridge_regression(layer, features, wanted(features))
    torch.testing.assert_close(dict(layer.state_dict()), dict(wanted.state_dict()), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_refinement_at_hr_size_answers_as_on_the_lr_grid_to_an_image_enlarged(finer, scale):
    source, target = finer(scale)
    image, embedding = torch.rand(2, 3, 24, 16), torch.rand(2, 8)
    with torch.no_grad():
        enlarged = F.interpolate(image, scale_factor=float(scale))
        wanted = F.avg_pool2d(source.refinement(enlarged, embedding), scale)
        torch.testing.assert_close(target.refinement(image, embedding), wanted)


def test_all_but_two_layers_is_taken_over_to_hr_size(finer):
    source, target = (net.state_dict() for net in finer(4))
    changed = {key.rpartition(".")[0] for key in target if not torch.equal(source[key], target[key])}
    assert changed == {"refinement.conv_first", "refinement.conv_last"}


def photograph(scale, sigma):
    """An LR image of 48x48, blurred by `sigma` HR pixels, and its HR image."""
    size = 48 * scale
    hr = torch.from_numpy(data.astronaut()[: 2 * size : 2, : 2 * size : 2].copy()).permute(2, 0, 1)[None] / 255
    return degrade(hr, isotropic_gaussian(21, sigma)[None, None], scale).clamp(0, 1), hr


@pytest.mark.parametrize(
    ("opt", "name", "sigma", "path", "gain"),
    [(X2, "PL_IDENet_E", 1.2, "pretrain_scale=4", 4), (X4, "PL_IDENet", 2.4, "pretrain_network=PL_IDENet_E", 1.5)],
)
def test_the_shipped_weights_brought_over_are_above_bicubic_without_any_training(opt, name, sigma, path, gain):
    weights = "experiments/pretrained/PL_IDENet_E_x4_setting1.pth"
    options = load_options(opt, [f"path.pretrain_model_G={weights}", f"path.{path}"])
    net = build_network(name, scale=options.scale)
    load_start(net, options.path.pretrain_model_G, options)
    lr, hr = photograph(options.scale, sigma)
    with torch.no_grad():
        sr, _ = net.eval()(lr)
    errors = [(image - hr)[..., 4:-4, 4:-4].square().mean() for image in (sr, imresize(lr, options.scale))]
    assert 10 * torch.log10(errors[1] / errors[0]) > gain


def test_a_run_at_x2_starts_from_the_halved_weights(halved, tmp_path):
    source, target = halved(kernel_init_sigma=1.0, drop_path=0.2)
    save_checkpoint(tmp_path / "x4.pth", params=source.state_dict())
    trainer = Run(tmp_path).trainer(f"path.pretrain_model_G={tmp_path}/x4.pth", "path.pretrain_scale=4")
    assert_identical(dict(trainer.net.state_dict()), dict(target.state_dict()))


def test_what_a_run_made_of_them_is_tested_as_it_is(halved, tmp_path):
    _, target = halved()
    save_checkpoint(tmp_path / "x2.pth", params=target.state_dict())
    options = Run(tmp_path).options("path.pretrain_model_G=x4.pth", "path.pretrain_scale=4")
    assert_identical(dict(load_network(options, tmp_path / "x2.pth").state_dict()), dict(target.state_dict()))


def test_filter_scales_come_along(tiny_network):
    source, target = tiny_network(scale=4, filter_scale=True), tiny_network(scale=2)
    transfer(source, target)
    assert torch.equal(target.wiener.filter_scale, source.wiener.filter_scale)


def test_only_x4_is_halved(tiny_network):
    with pytest.raises(ValueError, match="from x4 to x2, not from x3 to x2"):
        transfer(tiny_network(scale=3), tiny_network(scale=2))


def test_the_scale_is_halved_and_the_grid_made_finer_at_once(halved, blank):
    source, between = halved()
    at_once, one_by_one = blank("PL_IDENet", 2), blank("PL_IDENet", 2)
    transfer(source, at_once)
    transfer(between, one_by_one)
    states = [dict(net.state_dict()) for net in (at_once, one_by_one)]
    for state in states:  # fitted for the LR grid only
        del state["refinement.conv_first.weight"], state["refinement.conv_first.bias"]
    torch.testing.assert_close(*states)


def test_a_network_whose_options_name_its_grid_starts_from_the_other(tiny_network, blank, tmp_path):
    source = tiny_network("PL_IDENet_E", scale=2)
    save_checkpoint(tmp_path / "E.pth", params=source.state_dict())
    network = f"network_G={{which_model_G: PL_IDENet, setting: {json.dumps({**TINY, 'unshuffle': 1})}}}"
    options = load_options(X2, [network, "path.pretrain_scale=", "path.pretrain_network=PL_IDENet_E"])
    started, expected = blank("PL_IDENet", 2), blank("PL_IDENet", 2)
    load_start(started, tmp_path / "E.pth", options)
    transfer(source, expected)
    assert_identical(dict(started.state_dict()), dict(expected.state_dict()))


def test_weights_that_are_not_what_the_options_say_are_told(tiny_network, tmp_path):
    save_checkpoint(tmp_path / "start.pth", params=tiny_network("PL_IDENet_E", scale=2).state_dict())
    options = load_options(X2, [f"network_G.setting={json.dumps(TINY)}"])
    message = (
        "like weights of PL_IDENet_E x2, .* PL_IDENet_E x4; .*path.pretrain_scale say that these are weights of .* x4"
    )
    with pytest.raises(UserError, match=message):
        load_start(tiny_network("PL_IDENet_E", scale=2), tmp_path / "start.pth", options)


@pytest.mark.parametrize(
    ("name", "start", "message"),
    [
        ("Bicubic", "path.pretrain_scale=4", "Bicubic x2 cannot start from weights of Bicubic x4"),
        ("PL_IDENet_E", "path.pretrain_network=PL_IDENet", "PL_IDENet_E x2 .* PL_IDENet x2: .* to a finer grid"),
        ("PL_IDENet", "path.pretrain_network=PL_IDENet_F", "PL_IDENet_F.*PL_IDENet_E"),
    ],
)
def test_what_a_network_cannot_start_from_is_refused(tiny_network, tmp_path, name, start, message):
    setting = {} if name == "Bicubic" else TINY
    network = f"network_G={{which_model_G: {name}, setting: {json.dumps(setting)}}}"
    options = load_options(X2, [network, "path.pretrain_scale=", start])
    save_checkpoint(tmp_path / "start.pth", params=tiny_network("PL_IDENet", scale=2).state_dict())
    with pytest.raises(UserError, match=message):
        load_start(tiny_network(name, scale=2), tmp_path / "start.pth", options)

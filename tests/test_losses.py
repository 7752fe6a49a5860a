"""The terms of the loss, their sum, and the learning rate schedules."""

import math

import numpy as np
import pytest
import torch
from plidenet.config.training import Train
from plidenet.crop import Crop
from plidenet.degradation import degrade, isotropic_gaussian
from plidenet.errors import UserError
from plidenet.losses import LOSSES, Restoration, Term, build_losses, total_loss
from plidenet.training.schedules import SCHEDULES, learning_rate, warn_of_long_warm_up
from scipy import ndimage
from skimage import data

NAMES = ["gradient_difference", "l1", "lr_consistency"]


def restoration(size=(9, 8), **changes):
    """Random images and kernels that agree in nothing, kernels of 5x5."""
    random = np.random.default_rng(0)
    height, width = size
    kernel = random.random((2, 1, 5, 5))
    arrays = {
        "sr": random.random((2, 3, 2 * height, 2 * width)) * 1.4 - 0.2,
        "kernel": kernel / kernel.sum((2, 3), keepdims=True),
        "lr": random.random((2, 3, height, width)),
        "hr": random.random((2, 3, 2 * height, 2 * width)),
    }
    return Restoration(**{name: torch.from_numpy(array).float() for name, array in arrays.items()} | changes)


def loss(name, what):
    return LOSSES.get(name)(what)


def numpy_of(what):
    return (tensor.double().numpy() for tensor in (what.sr, what.kernel, what.lr, what.hr))


def test_the_registered_names_are_the_documented_ones():
    assert LOSSES.names() == NAMES
    assert [term.type for term in Train().losses] == ["l1", "lr_consistency", "gradient_difference"]
    assert {term.weight for term in Train().losses} == {1.0}


def test_l1_is_the_mean_absolute_difference():
    what = restoration()
    sr, _, _, hr = numpy_of(what)
    assert loss("l1", what).item() == pytest.approx(np.abs(sr - hr).mean())


def test_lr_consistency_compares_lr_with_hr_blurred_by_the_estimated_kernel_and_shrunk():
    what = restoration()
    _, kernels, lr, hr = numpy_of(what)
    taps = np.array([-3, -9, 29, 111, 111, 29, -9, -3, 0]) / 256  # MATLAB's bicubic at 1/2, about a pixel's left edge
    predicted = []
    for image, (kernel,) in zip(hr, kernels, strict=True):
        blurred = [ndimage.correlate(channel, kernel, mode="mirror") for channel in image]
        for axis in (1, 2):
            blurred = ndimage.correlate1d(blurred, taps, axis=axis, mode="reflect")
        predicted.append(blurred[:, 1::2, 1::2])
    assert loss("lr_consistency", what).item() == pytest.approx(np.abs(predicted - lr).mean(), rel=1e-5)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lr_consistency_vanishes_for_the_true_kernel(scale):
    hr = torch.from_numpy(data.chelsea()[100:148, 100:172]).permute(2, 0, 1)[None] / 255
    kernel = isotropic_gaussian(21, 1.5)[None, None]
    what = Restoration(sr=hr, kernel=kernel, lr=degrade(hr, kernel, scale), hr=hr)
    assert what.scale == scale
    assert loss("lr_consistency", what) < 1e-7
    wrong = Restoration(sr=hr, kernel=isotropic_gaussian(21, 2.5)[None, None], lr=what.lr, hr=hr)
    assert loss("lr_consistency", wrong) > 1e-3


def test_lr_consistency_does_not_round_the_prediction():
    hr = torch.full((1, 3, 8, 8), 0.3 / 255)
    what = Restoration(sr=hr, kernel=torch.ones(1, 1, 1, 1), lr=torch.zeros(1, 3, 4, 4), hr=hr)
    assert loss("lr_consistency", what).item() == pytest.approx(0.3 / 255)


def test_gradient_difference_sums_both_directions_over_the_number_of_values():
    what = restoration()
    sr, _, _, hr = numpy_of(what)
    total = sum(
        np.abs(np.diff(sr[i, c], axis=axis) - np.diff(hr[i, c], axis=axis)).sum()
        for i in range(2)
        for c in range(3)
        for axis in (0, 1)
    )
    assert loss("gradient_difference", what).item() == pytest.approx(total / (2 * 3 * 18 * 16))


def test_gradient_difference_of_a_spot_computed_by_hand():
    hr = torch.rand(1, 3, 8, 8)
    sr = hr.clone()
    sr[0, 0, 4, 4] += 0.5  # four neighbors
    sr[0, 1, 0, 0] += 0.5  # two neighbors, in a corner
    what = Restoration(sr=sr, kernel=torch.ones(1, 1, 1, 1), lr=hr[..., ::2, ::2], hr=hr)
    assert loss("gradient_difference", what).item() == pytest.approx(6 * 0.5 / (3 * 8 * 8))
    shifted = Restoration(sr=hr + 0.2, kernel=what.kernel, lr=what.lr, hr=hr)
    assert loss("gradient_difference", shifted) < 1e-6


@pytest.mark.parametrize("name", ["l1", "gradient_difference"])
def test_a_restored_crop_is_compared_with_that_part_of_the_true_image(name):
    what, crop = restoration(size=(8, 8)), Crop(top=3, left=1, side=2)
    sr, target = crop.of(what.sr), what.hr[..., 3:5, 1:3]
    part = Restoration(sr=sr, kernel=what.kernel, lr=what.lr, hr=what.hr, crop=crop)
    assert loss(name, part) == loss(name, Restoration(sr=sr, kernel=what.kernel, lr=what.lr, hr=target))
    assert loss("lr_consistency", part) == loss("lr_consistency", what)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_of_half_precision_output_are_computed_in_float32(name, dtype):
    whole = restoration()
    halved = restoration(sr=whole.sr.to(dtype))
    value = loss(name, halved)
    assert value.dtype == torch.float32
    assert value.dim() == 0
    rounded = restoration(sr=whole.sr.to(dtype).float())
    torch.testing.assert_close(value, loss(name, rounded))


@pytest.mark.parametrize(
    ("name", "learner"), [("l1", "sr"), ("lr_consistency", "kernel"), ("gradient_difference", "sr")]
)
def test_each_loss_teaches_one_part_of_the_network(name, learner):
    what = restoration()
    outputs = {"sr": what.sr.requires_grad_(), "kernel": what.kernel.requires_grad_()}
    loss(name, what).backward()
    learned = outputs.pop(learner).grad
    assert learned.isfinite().all()
    assert (learned.flatten(1).abs().amax(1) > 0).all(), "an image of the batch teaches nothing"
    (other,) = outputs.values()
    assert other.grad is None


def test_the_gradient_of_lr_consistency_descends_towards_the_true_kernel():
    hr = torch.from_numpy(data.chelsea()[100:148, 100:148]).permute(2, 0, 1)[None] / 255
    lr = degrade(hr, isotropic_gaussian(21, 2.0), 2)
    width = torch.tensor([1.0, 3.0], requires_grad=True)
    for index in range(2):
        kernel = isotropic_gaussian(21, width)[index : index + 1, None]
        loss("lr_consistency", Restoration(sr=hr, kernel=kernel, lr=lr, hr=hr)).backward()
    assert width.grad[0] < 0 < width.grad[1]


def test_the_total_is_the_weighted_sum_and_the_parts_are_unweighted():
    what = restoration()
    terms = build_losses([("l1", 0.5), ("gradient_difference", 3.0), ("lr_consistency", 0.0)])
    assert [(term.name, term.weight) for term in terms] == [
        ("l1", 0.5),
        ("gradient_difference", 3.0),
        ("lr_consistency", 0.0),
    ]
    total, values = total_loss(terms, what)
    assert list(values) == ["l1", "gradient_difference", "lr_consistency"]
    for name, value in values.items():
        assert value == loss(name, what)
    torch.testing.assert_close(total, 0.5 * values["l1"] + 3 * values["gradient_difference"])


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (torch.ones(2, 3), r"a tensor of shape \(2, 3\)"),
        (torch.ones(1), r"a tensor of shape \(1,\)"),
        (1.0, "float"),
        (None, "NoneType"),
    ],
)
def test_a_loss_that_is_no_scalar_is_named(value, found):
    terms = [Term("mine", lambda _: value, 1.0)]
    with pytest.raises(UserError, match=rf"the loss mine must return a tensor of one number .*, not {found}$"):
        total_loss(terms, restoration())


def test_weights_scale_the_gradient():
    gradients = []
    for weight in (1.0, 2.5):
        what = restoration()
        what.sr.requires_grad_()
        total_loss(build_losses([("l1", weight)]), what)[0].backward()
        gradients.append(what.sr.grad)
    torch.testing.assert_close(gradients[1], 2.5 * gradients[0])


@pytest.mark.parametrize(
    ("name", "hint"), [("lr_consistancy", "; did you mean 'lr_consistency'?"), ("charbonnier", ".")]
)
def test_an_unknown_loss_is_refused_with_the_nearest_and_all_names(name, hint):
    with pytest.raises(UserError) as error:
        build_losses([("l1", 1.0), (name, 1.0)])
    assert str(error.value) == f"unknown loss '{name}'{hint} Known: gradient_difference, l1, lr_consistency"


def test_the_multi_step_rate_is_halved_exactly_at_the_released_steps():
    options = Train()
    expected = {
        0: 1e-4,
        249_999: 1e-4,
        250_000: 5e-5,
        399_999: 5e-5,
        400_000: 2.5e-5,
        449_999: 2.5e-5,
        450_000: 1.25e-5,
        475_000: 6.25e-6,
        499_999: 6.25e-6,
    }
    assert {step: learning_rate(options, step) for step in expected} == pytest.approx(expected)


@pytest.mark.parametrize(
    ("options", "build"),
    [
        (
            {"lr_steps": (7, 3), "lr_gamma": 0.1},
            lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 7], 0.1),
        ),
        (
            {"lr_scheme": "CosineAnnealingLR", "eta_min": 1e-6},
            lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10, 1e-6),
        ),
    ],
)
def test_schedules_agree_with_those_of_torch(options, build):
    options = Train(niter=10, lr_G=2e-4, **options)
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=2e-4)
    scheduler = build(optimizer)
    for step in range(10):
        assert learning_rate(options, step) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()


def test_the_cosine_ends_at_eta_min_and_stays_there():
    options = Train(niter=1000, lr_G=3e-4, lr_scheme="CosineAnnealingLR", eta_min=1e-7)
    assert learning_rate(options, 0) == pytest.approx(3e-4)
    assert learning_rate(options, 250) == pytest.approx(1e-7 + (3e-4 - 1e-7) * (2 + math.sqrt(2)) / 4)
    assert learning_rate(options, 500) == pytest.approx((3e-4 + 1e-7) / 2)
    assert learning_rate(options, 1000) == pytest.approx(1e-7)
    assert learning_rate(options, 1500) == pytest.approx(1e-7)


@pytest.mark.parametrize("scheme", SCHEDULES)
def test_the_warm_up_climbs_in_equal_steps_to_the_full_rate(scheme):
    options = Train(niter=100, lr_G=1e-3, lr_scheme=scheme, warmup_iter=10, lr_steps=(50,))
    rates = [learning_rate(options, step) for step in range(10)]
    assert rates == pytest.approx([1e-4 * (step + 1) for step in range(10)])
    assert learning_rate(options, 10) == pytest.approx(1e-3)
    if scheme == "CosineAnnealingLR":
        assert learning_rate(options, 55) == pytest.approx(5e-4)


@pytest.mark.parametrize(("niter", "told"), [(11, False), (10, True), (4, True)])
def test_a_run_that_ends_before_its_warm_up_is_told_of(caplog, niter, told):
    warn_of_long_warm_up(Train(niter=niter, lr_G=1e-3, warmup_iter=10))
    assert bool(caplog.text) is told
    if niter == 4:
        assert "the run ends within the warm-up, at lr 4.0e-04: train.warmup_iter is 10, train.niter 4" in caplog.text


@pytest.mark.parametrize("warmup", [-1, 0])
def test_without_warm_up_the_first_rate_is_the_full_one(warmup):
    for scheme in SCHEDULES:
        assert learning_rate(Train(lr_scheme=scheme, warmup_iter=warmup), 0) == pytest.approx(1e-4)

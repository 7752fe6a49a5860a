"""Muon: which weights it takes, what a step of it is, and runs with it."""

from unittest.mock import Mock

import numpy as np
import pytest
import torch
from plidenet import build_network
from plidenet.errors import UserError
from plidenet.training import optimizers
from plidenet.training.optimizers import MOMENTUM, Muon, hidden_weights, matrix_steps, orthogonalized
from training_setup import AUTO

MUON = "train.optimizer=Muon"


def random_gradients(net, seed):
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.grad = 0.01 * torch.randn(parameter.shape, generator=generator)


def plain_step(gradient):
    """What `matrix_steps` makes of one weight's gradient, in numpy and float64."""
    matrix = gradient.double().numpy().reshape(len(gradient), -1)
    parts = 3 if gradient.dim() == 2 and matrix.shape[0] == 3 * matrix.shape[1] else 1
    steps = []
    for x in np.split(matrix, parts):
        size = 0.2 * np.sqrt(max(x.shape))
        left, values, right = np.linalg.svd(x, full_matrices=False)
        values = values / np.linalg.norm(x)
        for _ in range(5):
            values = 3.4445 * values - 4.775 * values**3 + 2.0315 * values**5
        steps.append(size * (left * values) @ right)
    return torch.from_numpy(np.concatenate(steps)).view_as(gradient)


@pytest.mark.parametrize("name", ["PL_IDENet", "PL_IDENet_E"])
def test_it_takes_what_leads_from_features_to_features(name):
    net = build_network(name)
    hidden = {id(weight) for weight in hidden_weights(net)}
    taken = {key for key, parameter in net.named_parameters() if id(parameter) in hidden}
    assert len(taken) == 106
    assert "refinement.groups.3.blocks.3.attention.qkv.weight" in taken
    assert "refinement.groups.0.prompt.conv.weight" in taken
    assert "estimator.up_1.weight" in taken
    rest = {key: parameter for key, parameter in net.named_parameters() if key not in taken and parameter.dim() > 1}
    others = (
        "conv_first",
        "conv_last",
        "to_kernel",
        "encode_1.0",
        "embedding",
        "depthwise",
        "position_bias",
        "wiener.",
    )
    assert all(any(other in key for other in others) for key in rest)
    assert sum(weight.numel() for weight in hidden_weights(net)) > 0.9 * sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("shape", [(4, 96, 96), (2, 96, 864), (1, 441, 40)])
def test_singular_values_come_close_to_one_and_directions_stay(shape):
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    left, _, right = torch.linalg.svd(noise, full_matrices=False)
    result = orthogonalized(left * torch.linspace(1, 0.05, min(shape[1:])) @ right)
    along = left.mT @ result @ right.mT
    values = along.diagonal(dim1=1, dim2=2)
    assert 0.6 < values.min() < values.max() < 1.3
    assert (along - torch.diag_embed(values)).abs().max() < 1e-4
    assert torch.equal(orthogonalized(torch.zeros(shape)), torch.zeros(shape))


@pytest.mark.parametrize("shape", [(8, 8), (24, 8), (8, 24), (6, 5, 3, 3), (9, 3, 1, 1)])
def test_a_step_is_as_the_definition_says(shape):
    gradients = torch.randn((2, *shape), generator=torch.Generator().manual_seed(0))
    for step, gradient in zip(matrix_steps(gradients), gradients, strict=True):
        torch.testing.assert_close(step.double(), plain_step(gradient), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("shape", "rank", "most"), [((96, 96), 96, 0.05), ((288, 96), 96, 0.05), ((96, 96), 16, 0.4)])
def test_steps_in_bfloat16_are_nearly_the_same_but_for_gradients_of_low_rank(shape, rank, most):
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(2, *sides, generator=generator) for sides in ((shape[0], rank), (rank, shape[1])))
    steps = matrix_steps(left @ right)
    assert (matrix_steps((left @ right).bfloat16()).float() - steps).norm() < most * steps.norm()


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", torch.bfloat16), ("fp32", torch.float32)])
def test_training_in_bfloat16_orthogonalizes_in_it(run, monkeypatch, precision, dtype):
    orthogonalize = Mock(wraps=matrix_steps)
    monkeypatch.setattr(optimizers, "matrix_steps", orthogonalize)
    run.train(MUON, f"train.precision={precision}", "train.niter=1")
    assert {call.args[0].dtype for call in orthogonalize.call_args_list} == {dtype}
    assert run.train(MUON, AUTO, f"train.precision={precision}", "train.niter=2").iteration == 2


def test_steps_follow_momentum_and_all_else_is_adam(tiny_network):
    net, twin, start = (tiny_network("PL_IDENet_E", scale=2) for _ in range(3))
    muon = Muon(net, lr=1e-3, betas=(0.9, 0.99))
    adam = torch.optim.Adam(twin.parameters(), lr=1e-3, betas=(0.9, 0.99))
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    hidden = [names[id(weight)] for weight in hidden_weights(net)]
    moved = {name: torch.zeros(()) for name in hidden}
    momentum = {name: torch.zeros(()) for name in hidden}
    for seed in range(3):
        for one in (net, twin):
            random_gradients(one, seed)
        for name in hidden:
            gradient = twin.get_parameter(name).grad
            momentum[name] = MOMENTUM * momentum[name] + (1 - MOMENTUM) * gradient
            moved[name] = moved[name] - 1e-3 * plain_step((1 - MOMENTUM) * gradient + MOMENTUM * momentum[name])
        muon.step()
        adam.step()
    for name, parameter in net.named_parameters():
        expected = start.get_parameter(name) + moved[name] if name in hidden else twin.get_parameter(name)
        torch.testing.assert_close(parameter.double(), expected.double(), rtol=1e-4, atol=1e-5)


def test_weights_without_gradient_stay_as_they_are(tiny_network):
    net, start = (tiny_network("PL_IDENet_E", scale=2) for _ in range(2))
    random_gradients(net.estimator, 0)
    Muon(net, lr=1e-3).step()
    for name, parameter in net.named_parameters():
        assert torch.equal(parameter, start.get_parameter(name)) != name.startswith("estimator.")


@pytest.mark.parametrize(("before", "after"), [("Adam", "Muon"), ("Muon", "Adam")])
def test_a_state_of_the_other_optimizer_is_refused(run, before, after):
    run.train("train.niter=2", f"train.optimizer={before}")
    with pytest.raises(UserError, match=r"2\.state does not fit .* another train\.optimizer"):
        run.trainer(AUTO, f"train.optimizer={after}")


def test_weight_decay_is_adams(run):
    with pytest.raises(UserError, match=r"train\.weight_decay_G is for Adam only"):
        run.options(MUON, "train.weight_decay_G=0.1")

"""The weights that a new network starts from, and its stochastic depth."""

import math

import numpy as np
import torch
from plidenet import build_network
from plidenet.archs.wiener import WienerDeconvolution


def test_the_wiener_layer_starts_at_the_dct_basis_and_evenly_spaced_strengths():
    part = WienerDeconvolution()
    cosine = np.cos(np.pi * np.outer(np.arange(5), 2 * np.arange(5) + 1) / 10) * math.sqrt(2 / 5)
    cosine[0] = math.sqrt(1 / 5)
    atoms = [np.outer(cosine[u], cosine[v]) for u in range(5) for v in range(5)][1:]
    np.testing.assert_allclose(part.regularizers.detach().numpy(), np.stack(atoms), atol=1e-7)
    np.testing.assert_allclose(part.log_strengths.detach().numpy(), np.log(np.logspace(-5, -2, 4)), rtol=1e-6)
    assert part.mixture.tolist() == [0.25] * 4
    assert part.filter_scale is None
    assert sum(parameter.numel() for parameter in part.parameters()) == 608


def test_stochastic_depth_grows_linearly_over_all_blocks():
    net = build_network("PL_IDENet", embed_dim=8, num_feat=8)
    blocks = [block for group in net.refinement.groups for block in group.blocks]
    np.testing.assert_allclose([block.drop_rate for block in blocks], np.linspace(0, 0.1, 16), atol=1e-7)
    assert [block.attention.shift for block in blocks] == [0, 4] * 8


def test_the_start_is_a_normal_of_width_0_02_in_estimator_and_refinement():
    torch.manual_seed(0)
    net = build_network("PL_IDENet", embed_dim=24, depths=(1, 1, 1, 1), prompt_dims=(8, 8, 8, 8))
    for name, value in [*net.estimator.named_parameters(), *net.refinement.named_parameters()]:
        if name.startswith("up_"):  # transposed convolutions keep torch's start
            continue
        if "norm" in name or name.endswith("temperature"):
            assert (value == (0 if name.endswith("bias") else 1)).all(), name
        elif name.endswith(".bias"):
            assert (value == 0).all(), name
        else:  # five standard errors; a cut at two widths would show as a width of 0.0176
            assert abs(value.std().item() / 0.02 - 1) < 5 / math.sqrt(2 * value.numel()), name
            assert abs(value.mean().item() / 0.02) < 5 / math.sqrt(value.numel()), name


def test_upsampler_and_embedding_start_as_torch_does():
    torch.manual_seed(0)
    net = build_network("PL_IDENet", embed_dim=8, depths=(1, 1, 1, 1))
    for part in (net.upsampler.conv_first, net.upsampler.conv_last, net.embedding[1], net.estimator.up_1):
        fan_in = part.weight[0].numel()
        assert 0.9 < part.weight.abs().max() * math.sqrt(fan_in) <= 1
        assert part.bias.abs().max() > 0

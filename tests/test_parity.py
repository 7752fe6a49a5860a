"""The network and its plain transcription give the outputs stored from the authors' network, for the same weights.

Weights: `released_state`. Outputs: reference/*.npz (lr, sr, kernel), of one 24x24 image, and of two 19x26 images with a
checkpoint that carries the optional filter scale of the deconvolution. Values of sr reach 5.
"""

import numpy as np
import plain_network as plain
import pytest
import torch
from plidenet import load_checkpoint
from released_weights import REFERENCE, blank_network, released_state

CASES = [("parity_x4.npz", False), ("parity_x4_odd_batch_filter_scale.npz", True)]


@pytest.fixture
def loaded(tmp_path):
    """Build the network and load the released weights; returns it and the stored arrays of a case."""

    def load(name, wiener_scale):
        torch.save(released_state(4, wiener_scale), tmp_path / "released.pth")
        net = blank_network(4).eval()
        load_checkpoint(net, tmp_path / "released.pth")
        return net, np.load(REFERENCE / name)

    return load


def assert_equals_stored(sr, kernel, stored):
    np.testing.assert_allclose(sr.numpy(), stored["sr"], atol=3e-5, rtol=0)
    np.testing.assert_allclose(kernel.numpy(), stored["kernel"], atol=1e-7, rtol=0)


@pytest.mark.parametrize(("name", "wiener_scale"), CASES)
def test_the_network_equals_that_of_the_authors(loaded, name, wiener_scale):
    net, stored = loaded(name, wiener_scale)
    with torch.no_grad():
        assert_equals_stored(*net(torch.from_numpy(stored["lr"])), stored)


def test_the_plain_transcription_equals_the_network_of_the_authors(loaded):
    net, stored = loaded(*CASES[0])
    with torch.no_grad():
        assert_equals_stored(*plain.plain_forward(net.state_dict(), {}, torch.from_numpy(stored["lr"])), stored)

"""Checkpoints in the authors' format, from the list of their keys and shapes, filled with reproducible numbers."""

import json
import zlib
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from plidenet import build_network
from torch import nn

REFERENCE = Path(__file__).parent / "reference"
STRENGTHS = np.log([1e-4, 1e-3, 1e-2, 1e-1]).reshape(4, 1)

# How each kind of tensor is filled: the first pattern whose test holds gives (center, spread).
KINDS = [
    (lambda key: key.endswith("relative_position_bias_table"), (0, 0.5)),
    (lambda key: key.endswith("temperature"), (1, 0.2)),
    (lambda key: key.endswith("deblur.alpha"), (STRENGTHS, 0.1)),
    (lambda key: key.endswith("deblur.weights"), (0.25, 0.05)),
    (lambda key: key.endswith("wiener_scale"), (0.1, 0.1)),
    (lambda key: key.endswith((".bias", "bias_f")), (0, 0.05)),
    (lambda key: "norm" in key and key.endswith("weight"), (1, 0.1)),
    (lambda key: key.endswith("scale_f"), (1, 0)),
]


def released_state(scale, wiener_scale=False):
    """A released state dict for scale 2 or 4, the same at every call."""
    shapes = json.loads((REFERENCE / f"official_keys_x{scale}.json").read_text())
    if wiener_scale:
        shapes["netDe.deblur.wiener_scale"] = [24]
    return {key: torch.from_numpy(filled(key, shape)) for key, shape in shapes.items()}


def filled(key, shape):
    """Numbers drawn from a generator that is seeded by the key: any order of the keys gives the same ones."""
    noise = np.random.default_rng(zlib.crc32(key.encode())).standard_normal(shape).astype(np.float32)
    for holds, (center, spread) in KINDS:
        if holds(key):
            return np.float32(center) + np.float32(spread) * noise
    gain = 3 if key.endswith("conv_6.2.weight") else 1  # the kernel's logits, spread enough for a kernel with a shape
    return noise * np.float32(gain / np.prod(shape[1:]) ** 0.5)


def blank_network(scale):
    """The network at full width, without the slow random start that a checkpoint overwrites."""
    with mock.patch.object(nn.init, "trunc_normal_", lambda tensor, **_: nn.init.zeros_(tensor)):
        return build_network("PL_IDENet", scale=scale)

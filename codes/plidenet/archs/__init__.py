"""Networks, one file a part, and `build_network`."""

from typing import Any

from torch import nn

from plidenet.archs import bicubic, pl_idenet
from plidenet.archs.compiling import compile_network
from plidenet.archs.layers import use_channels_last
from plidenet.archs.registry import NETWORKS

__all__ = ["NETWORKS", "bicubic", "build_network", "compile_network", "pl_idenet", "use_channels_last"]


def build_network(name: str, **setting: Any) -> nn.Module:
    """Build a network by its registered name.

    Args:
        name: "PL_IDENet" (also "DEblurSRResDNet"), "PL_IDENet_E" or "Bicubic".
        setting: the constructor's arguments, as under `network_G.setting` in the YAML.

    Raises:
        UserError: an unknown name or argument, with the nearest known one.
    """
    return NETWORKS.build(name, **setting)

"""The weights that a run starts from, brought into its network."""

from pathlib import Path

from torch import nn

from plidenet.archs import build_network
from plidenet.archs.halve_scale import halve_scale
from plidenet.archs.pl_idenet import PLIDENet
from plidenet.checkpoint import CheckpointInfo, load_checkpoint
from plidenet.config import Options
from plidenet.errors import UserError


def load_start(net: nn.Module, path: Path, options: Options) -> CheckpointInfo:
    """Load weights as `path.strict_load` and `path.pretrain_scale` say, in place.

    Args:
        net: the network of the options, on the CPU.
        path: the file of weights.

    Returns:
        what was found in the file and taken.

    Raises:
        UserError: as `load_checkpoint`, or weights of another scale for a network that cannot be halved.
    """
    if options.path.pretrain_scale in (None, options.scale):
        return load_checkpoint(net, path, options.path.strict_load)
    name = options.network_G.which_model_G
    source = build_network(name, **{**options.network_setting, "scale": options.path.pretrain_scale})
    if not (isinstance(source, PLIDENet) and isinstance(net, PLIDENet)):
        raise UserError(f"path.pretrain_scale is of no use with {name}, which has no weights to halve")
    found = load_checkpoint(source, path, options.path.strict_load)
    halve_scale(source, net)
    return found

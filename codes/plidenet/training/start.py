"""The initial weights of a training run."""

from dataclasses import replace
from inspect import signature
from pathlib import Path

from torch import nn

from plidenet.archs import build_network
from plidenet.archs.pl_idenet import PLIDENet
from plidenet.archs.transfer import transfer
from plidenet.checkpoint import CheckpointInfo, load_checkpoint
from plidenet.config import Options
from plidenet.errors import UserError
from plidenet.names import some


def load_start(net: nn.Module, path: Path, options: Options) -> CheckpointInfo:
    """Load weights as `path.strict_load`, `path.pretrain_network` and `path.pretrain_scale` say, in place.

    Args:
        net: the network of the options, on the CPU.
        path: the file of weights.

    Returns:
        what was found in the file and taken.

    Raises:
        UserError: as `load_checkpoint`, or weights of a network or scale that this network cannot start from.
    """
    own = options.network_G.which_model_G, options.scale
    name, scale = options.path.pretrain_network or own[0], options.path.pretrain_scale or own[1]
    if (name, scale) == own:
        return load_checkpoint(net, path, options.path.strict_load)
    setting = {**options.network_setting, "scale": scale}
    if name != own[0]:
        setting.pop("unshuffle", None)  # in which the two networks differ
    source = build_network(name, **setting)
    refusal = f"{own[0]} x{own[1]} cannot start from weights of {name} x{scale}"
    if not (isinstance(source, PLIDENet) and isinstance(net, PLIDENet)):
        raise UserError(refusal)
    try:
        found = load_checkpoint(source, path, options.path.strict_load)
    except UserError as error:
        said = f"path.pretrain_network and path.pretrain_scale say that these are weights of {name} x{scale}"
        raise UserError(f"{error}; {said}") from error
    try:
        taken = transfer(source, net)
    except (ValueError, AttributeError, KeyError, RuntimeError) as error:  # a part of one's own, say
        raise UserError(f"{refusal}: {' '.join(str(error).split())}") from error
    missing = [name for name in net.state_dict() if name not in taken]
    if options.path.strict_load and missing:
        raise UserError(f"{refusal} (path.strict_load); missing or of another shape: {some(missing)}")
    ignored = [*found.ignored, *(name for name in source.state_dict() if name not in taken)]
    return replace(found, taken=taken, ignored=ignored, missing=missing)


def require_crops(net: nn.Module, options: Options) -> None:
    """UserError where `train.refine_crop` is set but the network takes no crop."""
    if options.train.refine_crop is None:
        return
    try:
        signature(net.forward).bind("lr", "crop")
    except TypeError as error:
        name = options.network_G.which_model_G
        raise UserError(f"train.refine_crop needs forward(lr, crop=None), which {name} lacks") from error

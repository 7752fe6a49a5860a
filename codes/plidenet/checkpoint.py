"""Files of weights: read (own or released format, told apart), check against a network, write."""

import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from plidenet import released_format
from plidenet.archs.recognize import recognize
from plidenet.errors import UserError
from plidenet.files import replacing
from plidenet.names import some

PREFIXES = ("module.", "_orig_mod.")  # of DistributedDataParallel and torch.compile
FILTER_SCALE, REGULARIZERS = "wiener.filter_scale", "wiener.regularizers"


@dataclass(frozen=True)
class CheckpointInfo:
    """What `load_checkpoint` found.

    Attributes:
        format: "own" or "released".
        weights: which weights of the file were taken: "params_ema", "params" or "state_dict".
        taken: names of the tensors that were loaded.
        ignored: keys of the file that the network does not need.
        missing: the network's tensors that the file lacks or has in another shape (only with strict=False).
    """

    format: str
    weights: str
    taken: list[str] = field(repr=False)
    ignored: list[str] = field(repr=False)
    missing: list[str] = field(repr=False)

    def __str__(self) -> str:
        text = f"{self.format} format, {self.weights}: {len(self.taken)} tensors taken"
        lists = [("ignored", self.ignored), ("left as they were", self.missing)]
        return ", ".join([text, *(f"{len(names)} {what} ({some(names)})" for what, names in lists if names)])


def load_checkpoint(net: nn.Module, path: str | os.PathLike[str], strict: bool = True) -> CheckpointInfo:
    """Load weights into a network, in place.

    Reads this project's files ({"params", "params_ema"}: the EMA weights where there are any), bare state dicts, and
    the authors' released checkpoints. Nothing but tensors is ever unpickled.

    Args:
        net: the network; it may be compiled, or wrapped to train on several GPUs.
        path: the file.
        strict: refuse a checkpoint that does not fit exactly; otherwise take what agrees in name and shape.

    Returns:
        what was found and taken.

    Raises:
        UserError: the file is missing or no checkpoint, holds values that are not finite, or does not fit; the
            message says which keys and shapes disagree.
    """
    state, form, weights, ignored = read_weights(path)
    net = _unwrapped(net)
    own = net.state_dict()
    if _lacks_filter_scale(own, state):
        own[FILTER_SCALE] = own[REGULARIZERS].new_zeros(len(own[REGULARIZERS]))
    if FILTER_SCALE in own and REGULARIZERS in state:  # without a scale, every factor exp(s_i) is 1
        state.setdefault(FILTER_SCALE, torch.zeros_like(own[FILTER_SCALE], device="cpu"))
    absent = [name for name in own if name not in state]
    unknown = [name for name in state if name not in own]
    misfits = [name for name in own if name in state and not _fits(state[name], own[name])]
    if strict and (absent or unknown or misfits):
        run = Path(path).resolve().parent.parent / "resolved.yml"
        hint = f"; the option file of its run is {run}" if run.is_file() else ""
        problem = _disagreement(own, state, absent, unknown, misfits)
        raise UserError(f"{path} does not fit the network: {problem}{hint}")
    taken = {name: value for name, value in state.items() if name in own and name not in misfits}
    if not taken and own:
        raise UserError(f"{path} has no tensor in common with the network")
    add_filter_scale(net, taken)
    net.load_state_dict(taken, strict=False)
    return CheckpointInfo(form, weights, sorted(taken), ignored + unknown, absent + misfits)


def add_filter_scale(net: nn.Module, weights: Any) -> None:
    """Give a network's Wiener layer a filter scale if `weights` hold one and it has none."""
    if isinstance(weights, Mapping) and _lacks_filter_scale(net.state_dict(), weights):
        wiener: Any = net.get_submodule("wiener")
        wiener.add_filter_scale()


def _lacks_filter_scale(own: Mapping[str, Any], weights: Mapping[str, Any]) -> bool:
    return FILTER_SCALE in weights and FILTER_SCALE not in own and REGULARIZERS in own


def read_weights(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], str, str, list[str]]:
    """Read a file of weights: (state dict under this project's names, format, which weights, ignored keys)."""
    content = load_tensors(path)
    if {"iteration", "guard"} <= content.keys():
        raise UserError(f"{path} is a training state: weights are in the folder `models` of its run")
    weights = next((name for name in ("params_ema", "params", "state_dict") if name in content), "")
    state = content[weights] if weights else content
    if not isinstance(state, Mapping) or not state or not all(map(_is_entry, state.items())):
        found = weights or some([str(key) for key in content]) or "nothing"
        raise UserError(
            f"{path} is not a checkpoint: expected a state dict of tensors, alone or as params_ema, params or "
            f"state_dict, but found {found}" + (", which is none" if weights else "")
        )
    odd = [key for key, value in state.items() if not _is_plain(value)]
    if odd:
        raise UserError(f"{path} holds tensors that are not real, dense and stored in full: {some(odd)}")
    broken = [key for key, value in state.items() if value.is_floating_point() and not value.float().isfinite().all()]
    if broken:
        raise UserError(f"{path} holds values that are not finite, in {some(broken)}")
    state = {_strip(key): value for key, value in state.items()}
    if released_format.is_released(state):
        state, ignored = released_format.translate(state)
        return state, "released", weights or "state_dict", ignored
    return state, "own", weights or "state_dict", []


def load_tensors(path: str | os.PathLike[str]) -> dict[str, Any]:
    """torch.load that runs no code of the file's and turns every failure into a UserError."""
    if not Path(path).is_file():
        raise UserError(f"no checkpoint at {path}" + (", which is a folder" if Path(path).is_dir() else ""))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of kinds of tensors that are refused anyway
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:  # torch's own message advises to let the file run code
        raise UserError(f"{path} cannot be read as a checkpoint: it is damaged or holds more than tensors") from error
    except Exception as error:  # torch.load raises anything, often an EOFError without a message
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{path} cannot be read as a checkpoint: {reason}") from error
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a checkpoint: it holds a {type(content).__name__}")
    return content


def save_checkpoint(path: str | os.PathLike[str], **weights: Mapping[str, Tensor]) -> None:
    """Write {"params": state dict, ...}, tensors only.

    Args:
        path: the file; its folder is made. An older file of that name is replaced in one step.
        weights: state dicts by name: `params`, `params_ema`.
    """
    tensors = {name: {_strip(key): value.detach().cpu() for key, value in s.items()} for name, s in weights.items()}
    save_atomically(tensors, path)


def save_atomically(content: Any, path: str | os.PathLike[str]) -> None:
    """torch.save to a temporary file beside the target, flushed to disk, then renamed: never half a file.

    Raises:
        UserError: the file cannot be written, say because the disk is full; an older file of that name is untouched.
    """
    try:
        with replacing(Path(path)) as temporary, temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch.save answers a full disk with either
        cause = error if isinstance(error, OSError) else error.__context__
        reason = cause.strerror if isinstance(cause, OSError) else error
        raise UserError(f"{path} cannot be written: {reason}; what was there before is unharmed") from error


def _is_entry(item: tuple[Any, Any]) -> bool:
    return isinstance(item[0], str) and isinstance(item[1], Tensor)


def _is_plain(value: Tensor) -> bool:
    """Whether a tensor is real, dense, on the CPU and fully stored: others can claim any size in a small file."""
    dense = value.layout is torch.strided and value.device.type == "cpu" and not value.is_nested
    return (
        dense
        and not (value.is_quantized or value.is_complex())
        and value.untyped_storage().nbytes() >= value.numel() * value.element_size()
    )


def _unwrapped(net: nn.Module) -> nn.Module:
    """The network within torch.compile and DistributedDataParallel."""
    children = [(f"{name}.", child) for name, child in net.named_children()]
    wraps = len(children) == 1 and children[0][0] in PREFIXES and not any(True for _ in net.parameters(recurse=False))
    return _unwrapped(children[0][1]) if wraps else net


def _strip(key: str) -> str:
    while key.startswith(PREFIXES):
        key = key[key.index(".") + 1 :]
    return key


def _fits(value: Tensor, own: Tensor) -> bool:
    return value.shape == own.shape and value.is_floating_point() == own.is_floating_point()


def _disagreement(
    own: Mapping[str, Tensor], state: Mapping[str, Tensor], absent: list[str], unknown: list[str], misfits: list[str]
) -> str:
    shapes = [f"{name} is {_kind(state[name], own[name])}, not {_kind(own[name], state[name])}" for name in misfits]
    theirs, ours = recognize(state), recognize(own)
    differ = theirs and ours and theirs != ours
    origin = [f"it looks like weights of {theirs}, the network is {ours}"] if differ else []
    parts = [("", origin), ("other shapes: ", shapes), ("missing: ", absent), ("unknown: ", unknown)]
    return "; ".join(title + some(names) for title, names in parts if names)


def _kind(value: Tensor, other: Tensor) -> str:
    """The shape of a tensor, or its type where it has the shape of the other one."""
    return str(value.dtype if value.shape == other.shape else tuple(value.shape))

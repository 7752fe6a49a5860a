"""Choice of the device, and TF32."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from plidenet import distributed
from plidenet.config import Options
from plidenet.errors import UserError

log = logging.getLogger(__name__)


def choose_device(options: Options) -> torch.device:
    """The device of this process.

    `auto` is `cuda` where there is CUDA, else the CPU. With `cuda`, process i of those that torchrun starts on this
    machine takes GPU i, or entry i of gpu_ids. It becomes CUDA's current one, and computes in full float32, except
    within `tf32`.

    Raises:
        UserError: a device that does not exist here, or too few for the processes.
    """
    name = options.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    number, count = distributed.place_on_machine()
    if name.startswith("cuda:") and count > 1:
        raise UserError(f"device '{name}' cannot be shared by {count} processes; with device: cuda each takes its own")
    if name == "cuda":
        gpus = options.gpu_ids or range(count)
        if len(gpus) < count:
            raise UserError(
                f"gpu_ids lists {len(gpus)} GPUs, too few for {count} processes; gpu_ids: ~ takes GPUs in order"
            )
        if len(gpus) > count:
            _warn(f"gpu_ids: {count} of {len(gpus)} GPUs are used; torchrun --nproc_per_node={len(gpus)} uses all")
        name = f"cuda:{gpus[number]}"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device '{name}' cannot be used: {str(error).splitlines()[0]}") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    set_tf32(False)
    return device


@cache
def _warn(sentence: str) -> None:
    """Log a warning once, however often a program chooses its device."""
    log.warning(sentence)


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """`set_tf32` within a context, and full float32 after it."""
    set_tf32(allowed)
    try:
        yield
    finally:
        set_tf32(False)


def set_tf32(allowed: bool) -> None:
    """Allow or forbid TF32 (10 of 23 mantissa bits) for float32 matrix products and convolutions on a GPU."""
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed

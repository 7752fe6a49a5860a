"""Several processes, one run: what a process started by torchrun shares with the others. All of it works alone too."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain, zip_longest
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from plidenet.errors import UserError

T = TypeVar("T")
SETTLING = 0.3  # seconds


@contextmanager
def process_group(device: torch.device, timeout: float) -> Iterator[None]:
    """Join the processes of this run, where torchrun has started several: by NCCL on GPUs, by Gloo on CPUs.

    Args:
        device: what this process computes on.
        timeout: seconds that a process waits for the others before it gives up with an error.
    """
    if world_size() == 1:
        yield
        return
    import torch.distributed.nn  # noqa: F401 (imported within a group, it would keep that group and its threads)

    gpu = device if device.type == "cuda" else None
    dist.init_process_group("nccl" if gpu else "gloo", timeout=timedelta(seconds=timeout), device_id=gpu)
    yield
    dist.barrier()
    time.sleep(SETTLING)  # Gloo's threads need the GIL to free the last tensors: ended before that, they deadlock
    dist.destroy_process_group()  # not after an error: it would wait for processes that are still at work


def rank() -> int:
    """Number of this process, from 0, as torchrun's environment says."""
    return int(os.environ.get("RANK", 0))


def world_size() -> int:
    """Number of processes."""
    return int(os.environ.get("WORLD_SIZE", 1))


def place_on_machine() -> tuple[int, int]:
    """Number of this process, from 0, among those on this machine, and how many these are."""
    number, count = (int(os.environ.get(key, value)) for key, value in (("LOCAL_RANK", 0), ("LOCAL_WORLD_SIZE", 1)))
    return number, max(count, number + 1)  # launchers other than torchrun may tell the number alone


def is_main() -> bool:
    """Whether this is rank 0, which logs and writes shared files."""
    return rank() == 0


def mean(values: Tensor) -> Tensor:
    """The mean of a tensor over the processes, the same in all; may overwrite `values`."""
    if world_size() > 1:
        dist.all_reduce(values)
        values = values / world_size()
    return values


def share_weights(net: nn.Module) -> None:
    """Give all processes the first one's weights: on other hardware, one seed can give slightly different ones."""
    if world_size() > 1:
        for tensor in net.state_dict().values():
            dist.broadcast(tensor, src=0)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes.

    All go in one all-reduce: for a network of four million parameters that takes less than a millisecond between GPUs
    of one machine, and the network needs no DDP wrapper.
    """
    if world_size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    averaged = mean(torch.cat([gradient.flatten() for gradient in gradients]))
    parts = averaged.split([gradient.numel() for gradient in gradients])
    torch._foreach_copy_(gradients, [part.view_as(gradient) for gradient, part in zip(gradients, parts, strict=True)])


def in_step(items: Iterable[T], device: torch.device) -> Iterator[T]:
    """Iterate in all processes alike: an error on the way to the next item ends the iteration in every process.

    Args:
        items: as many in every process.
        device: what this process computes on.

    Raises:
        UserError: another process could not go on. The one that could not raises its own error.
    """
    if world_size() == 1:
        yield from items
        return
    iterator, end = iter(items), object()
    while True:
        failure, item = None, end
        try:
            item = next(iterator, end)
        except Exception as error:
            failure = error
        if mean(torch.full((), float(failure is not None), device=device)) > 0:
            raise failure or UserError("another process could not go on: its own message says why")
        if item is end:
            return
        yield item  # type: ignore[misc]


def gather_interleaved(share: Sequence[T]) -> list[T]:
    """Join the shares of all processes, of which process r holds items r, r + world_size, ...; all get the whole."""
    if world_size() == 1:
        return list(share)
    shares: list[list[T]] = [[] for _ in range(world_size())]
    dist.all_gather_object(shares, list(share))
    nothing = object()
    return [item for item in chain(*zip_longest(*shares, fillvalue=nothing)) if item is not nothing]  # type: ignore[misc]


def raise_in_all(failure: Exception | None) -> None:
    """Raise in every process what any of them met; all call this."""
    for met in gather_interleaved([failure]):
        if met is not None:
            raise met

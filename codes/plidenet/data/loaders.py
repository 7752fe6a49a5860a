"""Loaders: endless shuffled batches for training, single images in order for evaluation."""

import atexit
import copy
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from multiprocessing.process import BaseProcess
from typing import Any, Literal
from weakref import WeakSet

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from plidenet import distributed
from plidenet.data.datasets import GTDataset, LQGTDataset
from plidenet.errors import UserError

STARTED: WeakSet[BaseProcess] = WeakSet()  # the workers of all loaders
SeededIndex = tuple[int, tuple[int, int]]  # which image, and the seed of its crop and orientation


class RepeatingBatches(Sampler[list[SeededIndex]]):
    """Endless batches of (index, seed) that depend on their number alone, so that training can resume at any iteration.

    Each pass over the data has its own random order. The batch of iteration i is the same for any number of processes,
    each of which takes an equal share of it.

    Args:
        length: number of images.
        batch_size: images in a batch, over all processes.
        seed: of the orders and of each sample's crop and augmentation.
        start: the first batch's number.
        rank: which process's share to yield.
        world_size: number of processes, a divisor of batch_size.
    """

    def __init__(
        self, length: int, batch_size: int, seed: int, start: int = 0, rank: int = 0, world_size: int = 1
    ) -> None:
        self.length, self.batch_size, self.seed, self.start = length, batch_size, seed, start
        share = batch_size // world_size
        self.slots = range(rank * share, (rank + 1) * share)

    def __iter__(self) -> Iterator[list[SeededIndex]]:
        epoch, order = -1, np.empty(0, int)
        for iteration in count(self.start):
            batch = []
            for slot in self.slots:
                position = iteration * self.batch_size + slot
                if position // self.length != epoch:
                    epoch = position // self.length
                    order = np.random.default_rng((self.seed, epoch)).permutation(self.length)
                batch.append((int(order[position % self.length]), (self.seed, position)))
            yield batch


def build_train_loader(
    dataset: GTDataset | LQGTDataset,
    *,
    batch_size: int,
    n_workers: int,
    seed: int,
    device: torch.device,
    start: int = 0,
    cache: Literal["none", "ram", "gpu"] = "none",
) -> DataLoader[dict[str, Any]]:
    """Endless batches for training: this process's share of them, the same whatever the cache and the workers.

    Args:
        dataset: the images, with a crop size; with a cache, it keeps them in memory from then on.
        batch_size: images in a batch, over all processes.
        n_workers: processes that read images, where there is no cache; see `worker_count`.
        seed: of orders, crops and orientations.
        device: what training computes on.
        start: the first batch's number.
        cache: "none" reads every image from its file or LMDB when it is needed; "ram" and "gpu" keep all images in
            main memory or on the device, and need no workers.

    Raises:
        UserError: a batch that cannot be divided among the processes.
        OutOfMemory: more images than memory holds, with a cache.
    """
    world = distributed.world_size()
    if batch_size % world:
        raise UserError(f"a batch of {batch_size} images cannot be divided equally among {world} processes")
    batches = RepeatingBatches(len(dataset), batch_size, seed, start, distributed.rank(), world)
    if cache != "none":
        dataset.keep_in_memory(device if cache == "gpu" else torch.device("cpu"))
    workers = worker_arguments(n_workers if cache == "none" else 0)
    prefetch = 4 if workers else None
    pin = device.type == "cuda" and cache != "gpu"
    return DataLoader(dataset, batch_sampler=batches, prefetch_factor=prefetch, pin_memory=pin, **workers)


def build_eval_loader(dataset: Dataset[dict[str, Any]], n_workers: int) -> DataLoader[dict[str, Any]]:
    """Single samples in order, without a batch axis; of several processes each takes every world_size-th."""
    share = range(distributed.rank(), len(dataset), distributed.world_size())  # type: ignore[arg-type]
    return DataLoader(dataset, batch_size=None, sampler=share, **worker_arguments(n_workers))


def worker_count(n_workers: int) -> int:
    """`n_workers`, but no more than the CPUs that this process may use: others would only wait for those."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(n_workers, cpus)


def worker_arguments(n_workers: int) -> dict[str, Any]:
    """Arguments of a DataLoader about its worker processes: none where it has none."""
    if not (workers := worker_count(n_workers)):
        return {}
    context = copy.copy(multiprocessing.get_context())
    context.Event = UnlockedEvent  # type: ignore[assignment, method-assign]
    context.Process = partial(make_worker, context.Process)  # type: ignore[assignment, misc]
    return {
        "num_workers": workers,
        "multiprocessing_context": context,
        "worker_init_fn": leave_interrupts_alone,
    }


def make_worker(kind: type[BaseProcess], *arguments: Any, **options: Any) -> BaseProcess:
    """A process of a multiprocessing context, remembered for `kill_workers`."""
    worker = kind(*arguments, **options)
    STARTED.add(worker)
    return worker


class UnlockedEvent:
    """A multiprocessing event without a lock: a process killed while reading it cannot leave others waiting.

    With the locked one, a DataLoader whose worker was killed can wait forever when it shuts down.
    """

    def __init__(self) -> None:
        self._flag = multiprocessing.RawValue("b", 0)

    def set(self) -> None:
        self._flag.value = 1

    def is_set(self) -> bool:
        return self._flag.value == 1


def leave_interrupts_alone(worker: int) -> None:
    """Ignore Ctrl-C and SIGTERM, which reach all processes of a terminal or job: the main one ends the workers."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def loader_deaths_explained(advice: str) -> Iterator[None]:
    """Turn PyTorch's error about a killed loader process (most often out of memory) into a one-sentence UserError.

    Args:
        advice: what to do then; ends the sentence.

    Raises:
        UserError: a loader process was killed. PyTorch may report it anywhere in the block.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise UserError(f"{str(error).split('. ')[0]}; {advice}") from error


@atexit.register
def kill_workers() -> None:
    """Kill workers left by an error: multiprocessing would send SIGTERM, which they ignore, and wait forever."""
    for worker in STARTED.intersection(multiprocessing.active_children()):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler takes it for an accident
        worker.kill()

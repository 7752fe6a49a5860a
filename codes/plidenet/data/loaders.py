"""Loaders: endless shuffled batches for training, single images in order for evaluation."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler


class RepeatingBatches(Sampler[list[tuple[int, tuple[int, int]]]]):
    """Endless batches of (index, seed) that depend on their number alone, so that any iteration can be resumed at.

    Each pass over the data has its own random order. The batch of iteration i is the same for any number of processes,
    which take their equal shares of it.

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

    def __iter__(self) -> Iterator[list[tuple[int, tuple[int, int]]]]:
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
    dataset: Dataset[dict[str, Any]],
    *,
    batch_size: int,
    n_workers: int,
    seed: int,
    start: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> DataLoader[dict[str, Any]]:
    """Endless batches for training, from batch number `start` on; arguments as for `RepeatingBatches`."""
    batches = RepeatingBatches(len(dataset), batch_size, seed, start, rank, world_size)  # type: ignore[arg-type]
    return DataLoader(dataset, batch_sampler=batches, num_workers=n_workers, pin_memory=torch.cuda.is_available())


def build_eval_loader(
    dataset: Dataset[dict[str, Any]], n_workers: int, rank: int = 0, world_size: int = 1
) -> DataLoader[dict[str, Any]]:
    """Single samples in order, without a batch axis; of several processes each takes every world_size-th."""
    share = range(rank, len(dataset), world_size)  # type: ignore[arg-type]
    return DataLoader(dataset, batch_size=None, sampler=share, num_workers=n_workers)

"""Times of several functions that take turns, so that a machine that slows down slows down all of them."""

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Timing:
    """Times of one function, in seconds, one per repetition.

    Attributes:
        wall: on a GPU between two CUDA events, else by the clock.
        cpu: of all threads of the process; on a GPU, without the wait for it.
    """

    wall: Sequence[float]
    cpu: Sequence[float]

    @property
    def median_wall(self) -> float:
        return statistics.median(self.wall)

    @property
    def median_cpu(self) -> float:
        return statistics.median(self.cpu)


def interleaved(runs: Sequence[Callable[[], None]], rounds: Iterable[int], device: torch.device) -> list[Timing]:
    """Time functions in rounds: each once, one after the other, in every round.

    Args:
        runs: the functions, warmed up.
        rounds: one entry a round, for instance a range with a progress bar.
        device: where they work.
    """
    times: list[list[tuple[float, float]]] = [[] for _ in runs]
    for _ in rounds:
        for run, own in zip(runs, times, strict=True):
            own.append(_once(run, device))
    return [Timing(*zip(*own, strict=True)) for own in times]


def _once(run: Callable[[], None], device: torch.device) -> tuple[float, float]:
    if device.type == "cuda":
        return _once_on_gpu(run)
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def _once_on_gpu(run: Callable[[], None]) -> tuple[float, float]:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    cpu = time.process_time()
    begin.record()
    run()
    end.record()
    launching = time.process_time() - cpu  # before the synchronization, which burns CPU time by waiting
    torch.cuda.synchronize()
    return begin.elapsed_time(end) / 1000, launching

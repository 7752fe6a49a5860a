"""Threads for decoding and encoding, which release Python's global interpreter lock."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def map_threads(function: Callable[[A], B], items: Iterable[A], workers: int) -> Iterator[B]:
    """Like map(), in order, in `workers` threads, never more than two results ahead per thread."""
    with ThreadPoolExecutor(max(workers, 1)) as pool:
        waiting: deque[Future[B]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

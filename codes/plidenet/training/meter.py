"""The steps between two reports: means of their values, and seconds per step."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import fmean
from typing import Any


class Meter:
    """Collects the values of the steps since the last report, whose mean says more than a single batch.

    Values that are not finite, of steps that were skipped, count only where there are no others. The names are
    the last step's: a run resumed with other losses may have begun with other names.
    """

    def __init__(self) -> None:
        self.values: list[dict[str, float]] = []
        self.start_clock()

    def start_clock(self) -> None:
        """Time the steps from here on."""
        self.timed, self.since = 0, time.monotonic()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Time spent inside is not counted as the steps'."""
        began = time.monotonic()
        yield
        self.since += time.monotonic() - began

    def add(self, values: dict[str, float]) -> None:
        """Count a step, with its values by name."""
        self.values.append(values)
        self.timed += 1

    def take(self) -> tuple[dict[str, float], float]:
        """The means by name, and the seconds of a step; counting begins anew."""
        means = {}
        for name, last in self.values[-1].items():
            finite = [values[name] for values in self.values if math.isfinite(values.get(name, math.nan))]
            means[name] = fmean(finite) if finite else last
        seconds = (time.monotonic() - self.since) / self.timed
        self.values = []
        self.start_clock()
        return means, seconds

    def state_dict(self) -> dict[str, Any]:
        return {"values": self.values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.values = [{str(name): float(value) for name, value in step.items()} for step in state["values"]]

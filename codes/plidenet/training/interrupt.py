"""Ctrl-C and SIGTERM, turned into a wish to stop that the training loop heeds after its current step."""

import signal
from types import FrameType


class Interrupt:
    """While the block lasts, SIGINT or SIGTERM sets `requested`; a second SIGINT acts as ever.

    A second SIGTERM does not: where a scheduler sends one to all processes, torchrun passes on another.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "Interrupt":
        self._previous = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, self._previous[signal.SIGINT])

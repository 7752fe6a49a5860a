"""Ctrl-C and SIGTERM as requests to stop, which training honors after its current step or validation image."""

import os
import signal
from contextlib import suppress
from types import FrameType

from plidenet import distributed

STDERR = 2
NOTICE = b"\nstopping after this step or image; press Ctrl-C again to stop at once, without saving\n"


class Stopped(Exception):
    """Work ends here, in all processes alike, as one of them was asked to stop."""


class Interrupt:
    """Within the block, SIGINT or SIGTERM sets `requested`; a second SIGINT acts as usual.

    A second SIGTERM does not: where a scheduler sends one to all processes, torchrun forwards another.
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

    def heed(self) -> None:
        """Raise Stopped in all processes if one was asked to stop; all have to call this at the same point."""
        if any(distributed.gather_interleaved([self.requested])):
            raise Stopped

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, self._previous[signal.SIGINT])
            if distributed.is_main():
                with suppress(OSError):  # the terminal may be gone
                    os.write(STDERR, NOTICE)  # Python's streams are not reentrant: this may interrupt a write

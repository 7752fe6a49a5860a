"""A reader that does all that readers must not do, to see that it is noticed."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from random import Random

from plidenet.errors import UserError


def refuse(text: str) -> None:
    raise UserError(text)


class Faulty:
    """Its first two cases are as they should be."""

    writes = False

    def __init__(self, folder: Path) -> None:
        pass

    def case(self, rng: Random, number: int, folder: Path) -> Callable[[], object]:
        return [
            lambda: None,
            lambda: refuse("this file is damaged"),
            lambda: os.kill(os.getpid(), signal.SIGSEGV),
            lambda: (signal.setitimer(signal.ITIMER_REAL, 0.1), [None for _ in iter(int, 1)]),
            lambda: {}["a"],
            lambda: os.system("true"),
            lambda: (folder / "none").rmdir(),
            lambda: (folder / "half").write_text("written"),
            lambda: refuse(""),
        ][number]

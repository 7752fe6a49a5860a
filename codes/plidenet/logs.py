"""Log lines on the screen and in a file."""

import logging
import sys
from logging.handlers import MemoryHandler
from pathlib import Path

from plidenet.distributed import is_main

PACKAGE = logging.getLogger("plidenet")


def log_to_screen() -> None:
    """Show the package's log lines of level INFO and above; of other processes than the main one, errors alone."""
    if is_main():
        _add(_Screen(sys.stdout))
    else:
        PACKAGE.setLevel(logging.ERROR)


def log_to_memory() -> MemoryHandler:
    """Keep log lines from now on, for the file that is not there yet."""
    handler = MemoryHandler(sys.maxsize, flushLevel=sys.maxsize)
    if is_main():
        _add(handler)
    return handler


def log_to_file(path: Path, earlier: MemoryHandler) -> None:
    """Append log lines to a file, too, beginning with those in `earlier`."""
    file = logging.FileHandler(path, encoding="utf-8")
    _add(file)
    PACKAGE.removeHandler(earlier)
    earlier.setTarget(file)
    earlier.close()


class _Screen(logging.StreamHandler):
    """Work goes on, and its log in the file, where nobody reads the screen any more (`| head`)."""

    def handleError(self, record: logging.LogRecord) -> None:
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)


def _add(handler: logging.Handler) -> None:
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%y-%m-%d %H:%M:%S"))
    PACKAGE.setLevel(logging.INFO)
    PACKAGE.addHandler(handler)

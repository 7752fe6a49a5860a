"""Log lines on the screen and in a file."""

import logging
import sys
from pathlib import Path


def log_to_screen() -> None:
    """Show the package's log lines of level INFO and above."""
    _add(logging.StreamHandler(sys.stdout))


def log_to_file(path: Path) -> None:
    """Append the package's log lines to a file, too."""
    _add(logging.FileHandler(path, encoding="utf-8"))


def _add(handler: logging.Handler) -> None:
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%y-%m-%d %H:%M:%S"))
    logger = logging.getLogger("plidenet")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)

"""Names in messages."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

SHOWN = 8


def some(names: Sequence[str]) -> str:
    """The first names of a list, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def suggest(name: str, known: Iterable[str]) -> str:
    """A tail for an error message: the nearest known name where there is one, then all of them.

    >>> suggest("PL_IDENt", ["PL_IDENet", "Bicubic"])
    "; did you mean 'PL_IDENet'? Known: Bicubic, PL_IDENet"
    """
    names = sorted(known)
    nearest = get_close_matches(name, names, n=1)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else "."
    return f"{hint} Known: {', '.join(names)}"

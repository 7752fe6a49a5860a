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
    return f"{nearest(name, names) or '.'} Known: {', '.join(names)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """A tail for an error message that lists the known names already: the nearest one, or nothing."""
    found = get_close_matches(name, list(known), n=1)
    return f"; did you mean '{found[0]}'?" if found else ""

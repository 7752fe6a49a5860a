"""Help with misspelt names."""

from collections.abc import Iterable
from difflib import get_close_matches


def suggest(name: str, known: Iterable[str]) -> str:
    """A tail for an error message: the nearest known name where there is one, then all of them.

    >>> suggest("PL_IDENt", ["PL_IDENet", "Bicubic"])
    "; did you mean 'PL_IDENet'? Known: Bicubic, PL_IDENet"
    """
    names = sorted(known)
    nearest = get_close_matches(name, names, n=1)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else "."
    return f"{hint} Known: {', '.join(names)}"

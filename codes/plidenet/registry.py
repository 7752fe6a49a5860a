"""A small registry, from names in a YAML file to networks, losses and data sets."""

import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from plidenet.errors import UserError
from plidenet.names import suggest

PARTS = "plidenet_parts:"  # prefix of the module names given to files in `parts`
T = TypeVar("T", bound=Callable[..., Any])


class Registry:
    """A table of classes or functions by name.

    Args:
        kind: what the entries are, for error messages ("network", "loss", ...).
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Callable[..., Any]] = {}

    def register(self, *names: str) -> Callable[[T], T]:
        """Decorator: register a class or function under each of `names`; UserError where another one has a name.

        What a notebook's cell defines anew when it runs again takes the place of its earlier self.
        """

        def enter(entry: T) -> T:
            for name in names:
                if name in self._entries and not _same_cell(self._entries[name], entry):
                    raise UserError(f"{self.kind} '{name}' is registered twice")
                self._entries[name] = entry
            return entry

        return enter

    def names(self) -> list[str]:
        return sorted(self._entries)

    def get(self, name: str) -> Callable[..., Any]:
        """The entry called `name`; UserError with the nearest and all known names where there is none."""
        if name not in self._entries:
            raise UserError(f"unknown {self.kind} '{name}'{suggest(name, self._entries)}")
        return self._entries[name]

    def build(self, name: str, **arguments: Any) -> Any:
        """Call the entry with keyword arguments.

        Raises:
            UserError: there is no such entry, it takes no argument of such a name, needs another one, or fails, say for
                values that it does not take; the message says on which line where that is in one of `parts`.
        """
        entry = self.get(name)
        signature = inspect.signature(entry)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature.parameters.values()):
            for argument in arguments:
                if argument not in signature.parameters:
                    known = suggest(argument, signature.parameters)
                    raise UserError(f"{self.kind} {name} takes no argument '{argument}'{known}")
        try:
            signature.bind(**arguments)
        except TypeError as error:
            raise UserError(f"{self.kind} {name}: {error}") from error
        try:
            return entry(**arguments)
        except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
            raise UserError(f"{self.kind} {name} cannot be built: {error}{_place(error)}") from error


def _same_cell(one: Any, other: Any) -> bool:
    """Whether two classes or functions have the same name in a notebook (or program), and are not within a function."""
    names = {getattr(it, "__qualname__", "<") if it.__module__ == "__main__" else "<" for it in (one, other)}
    return len(names) == 1 and "<" not in names.pop()


def _place(error: Exception) -> str:
    """Where in one of `parts` an error arose, as " (my_parts.py, line 12)"; "" where it arose elsewhere."""
    places = [
        f" ({Path(frame.f_code.co_filename).name}, line {line})"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_globals.get("__name__", "").startswith(PARTS)
    ]
    return places[-1] if places else ""

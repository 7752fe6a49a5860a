"""A small registry, from names in a YAML file to networks, losses and data sets."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from plidenet.errors import UserError
from plidenet.names import suggest

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
        """Decorator: register a class or function under each of `names`; UserError where one is taken."""

        def enter(entry: T) -> T:
            for name in names:
                if name in self._entries:
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
            UserError: it takes no argument of such a name, needs another one, or refuses a value (ValueError). An
                entry of this package is taken to fail over its arguments only; other errors in one of somebody's own
                pass through, with their traceback.
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
        ours = getattr(entry, "func", entry).__module__.startswith("plidenet.")
        try:
            return entry(**arguments)
        except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
            if not (ours or isinstance(error, ValueError)):
                raise
            raise UserError(f"{self.kind} {name} cannot be built: {error}") from error

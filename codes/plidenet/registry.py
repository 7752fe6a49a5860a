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
        """Call the entry with keyword arguments, refusing the ones that it does not take."""
        entry = self.get(name)
        parameters = inspect.signature(entry).parameters.values()
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            known = [parameter.name for parameter in parameters]
            for argument in arguments:
                if argument not in known:
                    raise UserError(f"{self.kind} {name} takes no argument '{argument}'{suggest(argument, known)}")
        missing = [
            p.name for p in parameters if p.default is p.empty and p.name not in arguments and p.kind is p.KEYWORD_ONLY
        ]
        if missing:
            raise UserError(f"{self.kind} {name} needs the argument '{missing[0]}'")
        try:
            return entry(**arguments)
        except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:
            raise UserError(f"{self.kind} {name} cannot be built: {error}") from error

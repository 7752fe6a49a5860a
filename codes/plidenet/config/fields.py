"""What the sections of the options are made of."""

from dataclasses import field
from typing import Any

from plidenet.files import is_file_name

REQUIRED: Any = object()


def option(default: Any, description: str) -> Any:
    """A dataclass field with a default (or REQUIRED) and a description."""
    metadata = {"description": description}
    if default is REQUIRED:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


class InvalidOption(ValueError):
    """A value that is not allowed, with the name of its field within the section."""

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"{name} {problem}")
        self.name, self.problem = name, problem


def require(condition: bool, name: str, problem: str) -> None:
    """InvalidOption where a condition on the field `name` does not hold."""
    if not condition:
        raise InvalidOption(name, problem)


def require_folder_name(name: str) -> None:
    require(is_file_name(name), "name", "must be a plain folder name")

"""Options written out as an option file, with every field, that gives the same options when it is read."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plidenet.config.parsing import write
from plidenet.config.schema import Options


def write_options(options: Options) -> str:
    """The YAML text of options: defaults and assignments of the command line are in it, and paths are absolute."""
    return write(_plain(options))


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value

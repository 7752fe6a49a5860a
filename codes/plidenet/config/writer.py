"""Options as text: an option file with every field, the fields that were set, and how two runs differ."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plidenet.config.parsing import write
from plidenet.config.reader import project_root
from plidenet.config.schema import Options


def write_options(options: Options) -> str:
    """The YAML text of options: defaults and assignments of the command line are in it, and paths are absolute."""
    return write(_plain(options))


def describe_changes(options: Any, prefix: str = "") -> dict[str, str]:
    """The fields that differ from their defaults, as {"train.niter": "2000"}."""
    changed: dict[str, str] = {}
    for item in dataclasses.fields(options):
        value, name = getattr(options, item.name), f"{prefix}{item.name}"
        if dataclasses.is_dataclass(value):
            changed |= describe_changes(value, f"{name}.")
        elif isinstance(value, Mapping) and any(dataclasses.is_dataclass(entry) for entry in value.values()):
            for key, entry in value.items():
                changed |= describe_changes(entry, f"{name}.{key}.")
        elif value != item.default and not _is_default_path(value, item.default):
            changed[name] = str(dict(value) if isinstance(value, Mapping) else value)
    return changed


def describe_differences(options: Options, earlier: Mapping[str, str]) -> dict[str, str]:
    """How options differ from those of an earlier run, as {"train.niter": "2000 (was default)"}.

    Args:
        options: the present ones.
        earlier: what `describe_changes` said of those of the earlier run.

    Returns:
        each field that differs, but for `path.resume_state`: that a run goes on is no difference.
    """
    now = describe_changes(options)
    names = sorted((now.keys() | earlier.keys()) - {"path.resume_state"})
    values = {name: (now.get(name, "default"), earlier.get(name, "default")) for name in names}
    return {name: f"{value} (was {other})" for name, (value, other) in values.items() if value != other}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, Path) else value


def _is_default_path(value: Any, default: Any) -> bool:
    return isinstance(default, Path) and value == project_root(value.parent) / default

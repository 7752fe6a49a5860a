"""Read an option file: YAML, command-line overrides, strict types. The result is read-only."""

import copyreg
import dataclasses
import logging
import re
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from plidenet.config.fields import InvalidOption
from plidenet.config.parsing import MAX_CHARACTERS, Written, parse
from plidenet.config.parts import load_parts
from plidenet.config.renamed import RENAMED
from plidenet.config.schema import Options
from plidenet.errors import UserError
from plidenet.names import nearest, suggest

log = logging.getLogger(__name__)
MAX_FLOAT = sys.float_info.max
ABSENT = object()  # value of a field that an override removes and the file lacks: its name is checked all the same


def read_only(section: Mapping[str, Any]) -> MappingProxyType[str, Any]:
    """A view of a section that does not let it be changed."""
    return MappingProxyType(section)


copyreg.pickle(MappingProxyType, lambda section: (read_only, (dict(section),)))  # so that options can be copied


def load_options(path: str | Path, overrides: Sequence[str] = ()) -> Options:
    """Read an option file.

    Args:
        path: the YAML file. Relative paths in it start at the project's root: the nearest folder above the file that
            has a pyproject.toml, or else the current folder.
        overrides: assignments such as "train.niter=2000" or "network_G.setting.window_size=8"; values are YAML. An
            empty value, as in "datasets.test3=", removes the field or section from the file. So does ~ for a section
            under `datasets`, in the file as well.

    Returns:
        the options, frozen all the way down. The Python files that `parts` names have been read.

    Raises:
        UserError: the file cannot be read, a field is unknown (with the nearest known name), of a wrong type, or does
            not go with another. The message names the file and the field.
    """
    file = Path(path)
    try:
        with file.open(encoding="utf-8") as opened:
            text = opened.read(MAX_CHARACTERS + 1)
    except FileNotFoundError as error:
        raise UserError(f"no option file at {file}") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    try:
        content = parse(text)
    except Exception as error:
        raise UserError(f"{file} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file} holds no options")
    for assignment in overrides:
        _override(content, assignment)
    options = _Reader(file, project_root(file.resolve().parent)).section(Options, content, "")
    load_parts(options.parts)
    return options


class _Reader:
    """Turns the plain YAML content into dataclasses, by their annotations."""

    def __init__(self, file: Path, root: Path) -> None:
        self.file, self.root = file, root

    def section(self, kind: type, content: Any, where: str) -> Any:
        if not isinstance(content, Mapping):
            raise self.error(where, f"must be a section with fields, not {_show(content)}")
        hints = typing.get_type_hints(kind)
        known = [item.name for item in dataclasses.fields(kind)]
        accepted: Mapping[str, str] = getattr(kind, "accepted", {})
        values = {}
        for name, value in content.items():
            field = f"{where}.{name}" if where else name
            if name in known:
                if value is not ABSENT:
                    values[name] = self.convert(hints[name], value, field)
            elif name in accepted:
                log.info("%s: %s is ignored: %s", self.file.name, field, accepted[name])
            else:
                elsewhere = " or ".join(_places(Options, str(name)))
                hint = f"; did you mean {elsewhere}?" if elsewhere else suggest(str(name), known)
                hint = f"; see {RENAMED[name]}" if name in RENAMED else hint
                raise UserError(f"{self.file}: unknown field {field}{hint}")
        for item in dataclasses.fields(kind):
            field, hint = f"{where}.{item.name}" if where else item.name, hints[item.name]
            if item.name in values:
                continue
            if item.default is dataclasses.MISSING:
                raise self.error(field, "is missing")
            if dataclasses.is_dataclass(hint):
                values[item.name] = self.convert(hint, {}, field)
            elif hint in (Path, Path | None):
                values[item.name] = self.convert(hint, item.default, field)
        try:
            return kind(**values)
        except InvalidOption as error:
            field = f"{where}.{error.name}" if where else error.name
            raise self.error(field, error.problem) from error

    def convert(self, kind: Any, value: Any, where: str) -> Any:
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (types.UnionType, typing.Union):
            return self.alternative(arguments, value, where)
        if isinstance(value, Written):
            as_text = kind is str or (kind is Path and not isinstance(value.value, bool))
            value = value.text if as_text else value.value
        if dataclasses.is_dataclass(kind):
            return self.section(typing.cast(type, kind), {} if value is None else value, where)
        if origin is Literal:
            return self.choice(arguments, value, where)
        if origin is tuple:
            return self.sequence(arguments[0], value, where)
        if origin is not None and issubclass(origin, Mapping):
            return self.mapping(arguments[1], value, where)
        return _freeze(value) if kind is Any else self.scalar(kind, value, where)

    def alternative(self, kinds: Sequence[Any], value: Any, where: str) -> Any:
        """A value of the first kind, one of the words that Literals among the others allow, or None."""
        literals = [kind for kind in kinds[1:] if typing.get_origin(kind) is Literal]
        words = [word for literal in literals for word in typing.get_args(literal)]
        if value is None or value in words:
            return value
        try:
            return self.convert(kinds[0], value, where)
        except UserError as error:
            raise UserError("; or ".join([str(error), *map(str, words)])) from error

    def choice(self, allowed: Sequence[Any], value: Any, where: str) -> Any:
        for argument in allowed:
            if argument == value and not isinstance(value, bool):
                return argument  # 4, also for 4.0
        names = [str(argument) for argument in allowed]
        hint = nearest(str(value), names)
        raise self.error(where, f"must be one of {', '.join(names)}, not {_show(value)}{hint}")

    def sequence(self, kind: Any, value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple):
            raise self.error(where, f"must be a list, not {_show(value)}")
        return tuple(self.convert(kind, entry, f"{where}[{i}]") for i, entry in enumerate(value))

    def mapping(self, kind: Any, value: Any, where: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self.error(where, f"must be a section with fields, not {_show(value)}")
        for key, entry in value.items():
            if entry is ABSENT:
                log.warning("%s: there is no %s.%s to leave out", self.file.name, where, key)
        nothing = (ABSENT, None) if dataclasses.is_dataclass(kind) else (ABSENT,)  # val: ~ is no data set
        kept = {key: entry for key, entry in value.items() if entry not in nothing}
        return read_only({key: self.convert(kind, entry, f"{where}.{key}") for key, entry in kept.items()})

    def scalar(self, kind: type, value: Any, where: str) -> Any:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if kind is bool and isinstance(value, bool):
            return value
        if kind is int and number and (isinstance(value, int) or value.is_integer()):
            return int(value)
        if kind is float and number and -MAX_FLOAT <= value <= MAX_FLOAT:  # neither nan nor infinite
            return float(value)
        if kind is str and isinstance(value, str):
            return value
        if kind is Path and isinstance(value, str | Path) and str(value) and "\0" not in str(value):
            try:
                return self.root / Path(value).expanduser()
            except RuntimeError as error:  # ~somebody
                raise self.error(where, f"is {_show(value)}, but there is no such user") from error
        names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
        raise self.error(where, f"must be {names[kind]}, not {_show(value)}")

    def error(self, where: str, problem: str) -> UserError:
        return UserError(f"{self.file}: {where} {problem}")


def _places(kind: Any, name: str, where: str = "") -> Iterator[str]:
    """The fields called `name` in a section and the sections within, as "train.niter"."""
    hints = typing.get_type_hints(kind)
    for item in dataclasses.fields(kind):
        field, hint = f"{where}{item.name}", hints[item.name]
        if item.name == name:
            yield field
        for inner in (hint, *typing.get_args(hint)):
            if dataclasses.is_dataclass(inner):
                yield from _places(inner, name, f"{field}." if inner is hint else f"{field}.*.")


def _override(content: dict[str, Any], assignment: str) -> None:
    name, equals, text = assignment.partition("=")
    if not equals or not name:
        hint = "it is the name of a file or folder" if Path(assignment).exists() else "write e.g. train.niter=2000"
        raise UserError(f"'{assignment}' is not an assignment; {hint}")
    try:
        value = parse(text)
    except Exception as error:
        raise UserError(f"the value of '{assignment}' is not valid YAML") from error
    if _ends_in_comment(text):
        raise UserError(
            f"in '{assignment}', what follows # is a comment in YAML; quote the value, as in name='\"run #2\"'"
        )
    *sections, last = name.split(".")
    for section in sections:
        if content.get(section) is None:
            content[section] = {}
        content = content[section]
        if not isinstance(content, dict):
            raise UserError(f"'{assignment}': {section} is no section")
    if text:
        content[last] = value
    elif content.pop(last, ABSENT) is ABSENT:
        content[last] = ABSENT


def _ends_in_comment(text: str) -> bool:
    """Whether a part of a YAML text is not read: from the # that begins a word, unless it stands in quotes."""
    for mark in re.finditer(r"(?<!\S)#", text):
        try:
            if parse(text[: mark.start()]) == parse(text):
                return True
        except Exception:  # it was cut within quotes
            continue
    return False


def project_root(folder: Path) -> Path:
    """The nearest folder from this one upwards that has a pyproject.toml, or else the current folder."""
    folders = (folder, *folder.parents)
    return next((root for root in folders if (root / "pyproject.toml").is_file()), Path.cwd())


def _freeze(value: Any) -> Any:
    if isinstance(value, Mapping):
        return read_only({key: _freeze(entry) for key, entry in value.items() if entry is not ABSENT})
    if isinstance(value, list):
        return tuple(_freeze(entry) for entry in value)
    return value.value if isinstance(value, Written) else value


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."

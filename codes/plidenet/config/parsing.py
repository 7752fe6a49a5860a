"""From a YAML text to plain Python values and back, strictly: no field twice, and nothing that grows without end.

YAML 1.1 takes 2024_06_15 for a number, 0123 for an octal one and `on` for true. Such a value comes as `Written`, with
the text as it stands in the file, for fields that hold text.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

MAX_CHARACTERS, MAX_NODES = 1_000_000, 100_000  # of an option file


@dataclass(frozen=True)
class Written:
    """A number, a truth value or a date, and how it was written."""

    value: Any
    text: str

    def __repr__(self) -> str:
        return self.text


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 5e3 as a number, as YAML 1.2 does, and refuses duplicate keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise yaml.constructor.ConstructorError(None, None, "fields are missing", node.start_mark)
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # <<: *anchor
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is no name", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key '{key}'", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    """SafeDumper that quotes what _Loader would read as a number, and writes equal values out each time."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$")
for _kind in (_Loader, _Dumper):
    _kind.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


def _keep_text(construct: Callable[[_Loader, Any], Any]) -> Callable[[_Loader, Any], Written]:
    return lambda loader, node: Written(construct(loader, node), node.value)


for _name in ("int", "float", "bool", "timestamp"):
    _tag = f"tag:yaml.org,2002:{_name}"
    _Loader.add_constructor(_tag, _keep_text(yaml.SafeLoader.yaml_constructors[_tag]))


def parse(text: str) -> Any:
    """The content of a YAML text, which must be small once all its aliases are written out.

    Returns:
        dicts, lists, strings, None, and `Written` for numbers, truth values and dates.

    Raises:
        Exception: of any kind, where the text is not valid; PyYAML raises anything over values that are not what their
            tags say.
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"it has more than {MAX_CHARACTERS} characters")
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        if _count(node, {}) > MAX_NODES:
            raise ValueError(f"its aliases stand for more than {MAX_NODES} values")
        return loader.construct_document(node)
    finally:
        loader.dispose()


def write(content: Any) -> str:
    """The YAML text of dicts, lists and plain values; `parse` reads it."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _count(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for with all its aliases expanded: a few lines can stand for billions."""
    if id(node) not in known:
        known[id(node)] = MAX_NODES + 1  # counted for an alias of a node that contains it, which never ends
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            parts = node.value
        elif isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_count(part, known) for part in parts)
    return known[id(node)]

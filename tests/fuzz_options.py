"""Cases for the reader of option files: damaged text, hostile YAML, values that cannot be, assignments."""

import datetime
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import yaml
from conftest import ROOT
from fuzz_mutations import NUMBERS, TEXTS, harmful_text, mutate, mutate_text
from plidenet.config import Options, describe_changes, load_options, write_options
from plidenet.config.parsing import parse

VALUES: list[Any] = [
    *(None, True, False, -1, 0, 1, 1.5, float("nan"), float("inf"), -float("inf"), 10**400, -(10**400), 1e-320),
    *NUMBERS,
    *([], {}, [[]], [None], {"a": {}}, ["a", 1], {"": 1}, datetime.date(2024, 1, 1), b"bytes", {1, 2}),
]
TAGS = ["!!python/object/apply:os.mkdir [ran]", "!!python/name:os.system", "!!python/module:os", "!unknown x"]
TAGS += ["!!python/object/new:os.system [mkdir ran]", "!!binary //8=", "!!binary a", "!!set {a, b}", "!!omap [a: 1]"]
TAGS += ["!!timestamp 2024-99-99", "!!int x", "!!float _", "!!int '0b'", "!!null x", "!!bool maybe", "!!pairs [a: 1]"]
TAGS += [
    "!!str [a]",
    "!!map [a]",
    "!!seq {a: 1}",
    "!!merge <<",
    "!!value =",
    "0o7",
    "0b1",
    "1:30:00",
    "0x",
    "1e5000",
    "=",
    "<<",
]


class OptionFiles:
    """An option file, with or without assignments of the command line."""

    writes = False

    def __init__(self, folder: Path) -> None:
        self.texts = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "options").rglob("*.yml"))]
        self.kinds = [
            *[self.damaged] * 3,
            *[self.lines] * 3,
            *[self.wrong_values] * 6,
            *(self.assignments, self.assignments, self.tags, self.knots, self.nests, self.long, self.no_text),
        ]

    def case(self, rng: Random, number: int, folder: Path) -> Callable[[], object]:
        content, overrides = self.kinds[number % len(self.kinds)](rng), []
        if isinstance(content, tuple):
            content, overrides = content
        path = folder / "options.yml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
        return lambda: read(path, overrides)

    def damaged(self, rng: Random) -> bytes:
        return mutate(rng, rng.choice(self.texts).encode())

    def lines(self, rng: Random) -> str:
        text = rng.choice(self.texts)
        for _ in range(rng.choice((1, 1, 2, 5))):
            text = mutate_text(rng, text)
        return text

    def wrong_values(self, rng: Random) -> str:
        """Good YAML with values of the wrong kind, and fields that are unknown, missing or in the wrong section."""
        content = yaml.safe_load(rng.choice(self.texts))
        for section in rng.sample(list(sections(content)), rng.choice((1, 1, 2, 4))):
            name = rng.choice([*section, "scale", "name", "test", "guard", "ema_decay", "tile", harmful_text(rng)])
            way = rng.randrange(4)
            if way == 0:
                section.pop(name, None)
            elif way == 1:
                section[harmful_text(rng)] = section.pop(name, None)
            else:
                section[name] = rng.choice((rng.choice(VALUES), harmful_text(rng)))
        return yaml.dump(content, allow_unicode=True)

    def assignments(self, rng: Random) -> tuple[str, list[str]]:
        text = rng.choice(self.texts)
        names = ["name", "scale", "suffix", "train.niter", "datasets.test1", "datasets.train.dataroot_GT", "test.tile"]
        names += [
            "network_G.setting.depths",
            "path.results_root",
            "a.b.c",
            "",
            ".",
            "datasets..name",
            harmful_text(rng),
        ]
        values = [*TAGS, *TEXTS, "[", "{", "{a: b}", "[1, 2]", "5", "&a [*a]", "*a", "- 1", "{a: 1, a: 2}", "1\n2", "%"]
        return text, [f"{rng.choice(names)}{rng.choice('===:')}{rng.choice(values)}" for _ in range(rng.randint(1, 3))]

    def tags(self, rng: Random) -> str:
        """Tags that ask for objects of Python's, and scalars that are read in unusual ways."""
        field = rng.choice(("name", "scale", "train", "datasets", "network_G", "suffix", "other"))
        return f"{rng.choice(self.texts)}\n{field}: {rng.choice(TAGS)}\n"

    def knots(self, rng: Random) -> str:
        """Anchors that double what they name, again and again, or that hold themselves; merges of merges."""
        text, depth = rng.choice(self.texts), rng.choice((3, 8, 30, 100))
        field = rng.choice(("network_G", "suffix", "train", "datasets", "other"))
        lines = [
            ("a0: &a0 [x, x]\n", lambda i: f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n"),
            ("a0: &a0 {x: 1}\n", lambda i: f"a{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}}}\n"),
            ("a0: &a0 {x: 1}\n", lambda i: f"a{i}: &a{i} {{<<: [*a{i - 1}, *a{i - 1}], x{i}: 1}}\n"),
        ]
        first, grow = rng.choice(lines)
        knot = first + "".join(grow(i) for i in range(1, depth)) + f"{field}: *a{depth - 1}\n"
        setting = f"network_G: {{which_model_G: Bicubic, setting: {{a: *a{depth - 1}}}}}\n"
        loops = [
            f"{field}: &a [*a]\n",
            f"{field}: &a {{b: *a}}\n",
            f"{field}: &a {{<<: *a}}\n",
            "? &a [*a]\n: 1\n",
            "a: *b\n",
        ]
        return rng.choice((text + knot, knot + text, knot + setting, text + rng.choice(loops), rng.choice(loops)))

    def nests(self, rng: Random) -> str:
        depth = rng.choice((10, 90, 1000, 20_000))
        start, end = rng.choice((("[", "]"), ("{a: ", "}"), ("[{a: ", "}]"), ("- ", ""), ("? ", ""), ("!!seq [", "]")))
        return (
            f"{rng.choice(self.texts)}\n{rng.choice(('other', 'suffix', 'network_G'))}: {start * depth}{end * depth}\n"
        )

    def long(self, rng: Random) -> str:
        """Very long names, values and files."""
        text, n = rng.choice(self.texts), rng.choice((5000, 50_000, 2_000_000))
        tails = ["x" * n, f"name: {'x' * n}", f"{'x' * n}: 1", f"scale: {'9' * n}", "#" * n, "\n" * n]
        tails += ["a: 1\n" * (n // 5), " " * n + "a: 1", f"suffix: &{'a' * n} 1", 'suffix: "' + "\\" * n]
        return f"{text}\n{rng.choice(tails)}\n"

    def no_text(self, rng: Random) -> bytes:
        text = rng.choice(self.texts)
        encodings = ("utf-16", "utf-32", "utf-16-be", "utf-8-sig", "cp037")
        others = (
            b"",
            b"\xff\xfe",
            b"\0" * 100,
            rng.randbytes(200),
            text.encode() + b"\xff\n",
            text.encode() + b"\x00\n",
        )
        return rng.choice(
            (text.encode(rng.choice(encodings)), *others, b"---\n" * 1000, b"%YAML 9.9\n---\na: 1\n", b"\xc2\x85a: 1")
        )


def read(path: Path, overrides: list[str]) -> None:
    """As train.py and test.py do, which also log what differs from the defaults, and write all of them down."""
    options = load_options(path, overrides)
    assert isinstance(options, Options)
    assert all(isinstance(value, str) for value in describe_changes(options).values())
    assert options.border >= 0
    assert parse(write_options(options))["name"] == options.name


def sections(content: dict[str, Any]) -> list[dict[str, Any]]:
    """A mapping and all those within."""
    return [content, *(inner for value in content.values() if isinstance(value, dict) for inner in sections(value))]

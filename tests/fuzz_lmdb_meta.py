"""Cases for the readers of an LMDB's meta file: damaged, hostile, or at odds with the database."""

import os
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from fuzz_lmdb import read
from fuzz_mutations import NUMBERS, TEXTS, harmful_text, mutate, mutate_text
from lmdb_samples import PHOTOGRAPH, bgr, dan_meta, write_foreign

KEYS = ["baby", "sig1.8_baby", "b.c"]
PLAIN = dan_meta(KEYS, ["3_6_9", "3_6_9", "3_6_9"])
LINES = "".join(f"{key}.png (6,9,3) 1\n" for key in KEYS)
OPCODES = [opcode.code.encode("latin-1") for opcode in pickletools.opcodes]


class Harm:
    """Unpickled without care, calls a function of Python's."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def harm(rng: Random) -> Harm:
    """Something that shows if it is run: to the audit, or as a folder."""
    return rng.choice(
        [Harm(os.mkdir, "ran"), Harm(os.system, "mkdir ran"), Harm(eval, "open('ran', 'w')"), Harm(exec, "1")]
    )


class MetaFiles:
    """A sound data.mdb beside a meta file that is not."""

    writes = False

    def __init__(self, folder: Path) -> None:
        made = write_foreign(folder, dict.fromkeys(KEYS, bgr(PHOTOGRAPH[:6, :9])), b"")
        self.data = (made / "data.mdb").read_bytes()
        self.kinds = [self.damaged, self.opcodes, self.contents, self.code, self.damaged_text, self.lines, self.both]

    def case(self, rng: Random, number: int, folder: Path) -> Callable[[], object]:
        (folder / "data.mdb").write_bytes(self.data)
        if number in (100, 200):
            self.a_million(number == 200, folder)
        else:
            self.kinds[number % len(self.kinds)](rng, folder)
        return lambda: read(folder)

    def damaged(self, rng: Random, folder: Path) -> None:
        content = pickle.dumps(PLAIN, protocol=rng.randrange(6))
        (folder / "meta_info.pkl").write_bytes(mutate(rng, content))

    def opcodes(self, rng: Random, folder: Path) -> None:
        """Instructions of the pickle's machine put in between, with arguments that are too large."""
        content = pickle.dumps(PLAIN, protocol=rng.randrange(6))
        number = (rng.choice(NUMBERS) % 2**64).to_bytes(8, "little")[: rng.choice((0, 1, 4, 8))]
        insert = rng.choice(OPCODES) + number + rng.choice((b"", b"a\n", b"posix\nsystem\n", b"8\n"))
        at = rng.choice((2, len(content) - 1, rng.randrange(len(content))))
        (folder / "meta_info.pkl").write_bytes(content[:at] + insert + content[at:])

    def contents(self, rng: Random, folder: Path) -> None:
        """A sound pickle of the wrong things."""
        meta: Any = dan_meta(list(KEYS), ["3_6_9"] * rng.choice((1, 3, 4)))
        way = rng.randrange(6)
        if way == 0:
            meta["resolution"][0] = rng.choice(resolutions(rng))
        elif way == 1:
            meta["keys"][rng.randrange(3)] = rng.choice((*TEXTS, None, 3, (), [], b"baby", 1.5, KEYS[0]))
        elif way == 2:
            meta[rng.choice(("keys", "resolution"))] = rng.choice(
                (None, 3, "3_6_9", {}, {"3_6_9": 1}, [[]], "baby", b"", 1.0)
            )
        elif way == 3:
            del meta[rng.choice(("keys", "resolution", "name"))]
        elif way == 4:
            meta = rng.choice((None, 1, [], KEYS, "keys", {"keys": KEYS, "resolution": [["3_6_9"]]}, {}))
        else:
            entangled: list[Any] = ["3_6_9"]
            for _ in range(40):
                entangled = [entangled, entangled]
            meta[rng.choice(("keys", "resolution"))] = entangled
        (folder / "meta_info.pkl").write_bytes(pickle.dumps(meta, protocol=rng.choice((2, 4))))

    def code(self, rng: Random, folder: Path) -> None:
        """A pickle that would run code when it is read without care."""
        meta: Any = dan_meta(list(KEYS), ["3_6_9"])
        place = rng.randrange(4)
        if place == 0:
            meta = harm(rng)
        elif place == 1:
            meta[harm(rng)] = 1
        else:
            meta[rng.choice(("keys", "resolution", "name"))] = [harm(rng)]
        (folder / "meta_info.pkl").write_bytes(pickle.dumps(meta, protocol=rng.randrange(6)))

    def damaged_text(self, rng: Random, folder: Path) -> None:
        (folder / "meta_info.txt").write_bytes(mutate(rng, LINES.encode()))

    def lines(self, rng: Random, folder: Path) -> None:
        text = mutate_text(rng, LINES)
        if rng.random() < 0.5:
            size = rng.choice(resolutions(rng)).replace("_", ",")
            text = (
                rng.choice((f"{harmful_text(rng)}.png (6,9,3) 1", f"baby.png ({size}) 1", "a." * 20_000 + "png"))
                + "\n"
                + text
            )
        (folder / "meta_info.txt").write_bytes(text.encode("utf-8", "surrogatepass"))

    def both(self, rng: Random, folder: Path) -> None:
        """Both meta files, or neither, or none that is a file."""
        pkl, txt = folder / "meta_info.pkl", folder / "meta_info.txt"
        way = rng.randrange(6)
        if way == 0:
            pkl.write_bytes(pickle.dumps(PLAIN))
            txt.write_text(LINES)
        elif way == 1:
            pkl.mkdir()
            txt.write_text(LINES)
        elif way == 2:
            pkl.symlink_to(pkl.name)
            txt.symlink_to(pkl)
        elif way == 3:
            os.mkfifo(pkl)
        elif way == 4:
            rng.choice((pkl, txt)).write_bytes(b"")

    def a_million(self, text: bool, folder: Path) -> None:
        """So many names, all but three of them lies."""
        keys = [*KEYS, *(f"photo_{i}" for i in range(10**6))]
        if text:
            (folder / "meta_info.txt").write_text("".join(f"{key}.png (6,9,3) 1\n" for key in keys))
        else:
            (folder / "meta_info.pkl").write_bytes(pickle.dumps(dan_meta(keys, ["3_6_9"])))


def resolutions(rng: Random) -> list[str]:
    """Sizes that are wrong."""
    number = rng.choice(NUMBERS)
    numbers = [
        f"3_{number}_9",
        f"{number}_6_9",
        f"3_{2**32}_{2**32}",
        "3_-6_-9",
        "-3_-6_9",
        "3_-1_54",
        "2_9_9",
        "0_6_9",
    ]
    return [
        *numbers,
        "3_6",
        "3_6_9_1",
        "x_6_9",
        "3__6_9",
        "",
        "_",
        "3_6_" + "9" * 5000,
        "3.0_6_9",
        " 3_6_9",
        "3_6_\u0663",
        "54_1_1",
    ]

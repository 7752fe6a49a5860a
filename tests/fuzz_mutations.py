"""How valid content is damaged, and texts that programs stumble over. Everything follows from the generator given."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

# What may stand in a file's place: a link to itself, a folder, a pipe, a device that never ends.
NO_FILES: list[Callable[[Path], object]] = [lambda path: path.symlink_to(path.name), Path.mkdir, os.mkfifo]
NO_FILES += [lambda path: path.symlink_to("/dev/zero")]

TEXTS = [
    *("", " ", ".", "..", "/", "a/b", "../../x", "/etc/passwd", "a\\b", "~", "~nobody-of-this-name/x", "-rf"),
    *("%s%n{0}", "a\0b", "a\nb", "a\tb", "\x1b[31mred", "\ufeffa", "b\u00e4r", "ba\u0308r", "\u202etxt.exe"),
    *("\U0001f600", "\ud800", "0", "-1", "1e999", "-0.0", "nan", "NaN", ".inf", "0x10", "1_000", "\u0663", "\u00b2"),
    *("9" * 5000, "true", "~", "null", "x" * 300, "x" * 100_000, "a" * 200 + "/" + "b" * 200, "<<", "&a", "*a"),
    *("!!python/object:os.system", "__class__"),
]
NUMBERS = [0, 1, -1, 2, 3, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1]


def harmful_text(rng: Random) -> str:
    return rng.choice(TEXTS)


def mutate(rng: Random, content: bytes) -> bytes:
    """Damage bytes in one to four ways at random places."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        content = rng.choice(WAYS)(rng, content)
    return content


def mutate_text(rng: Random, text: str) -> str:
    """Damage a text line by line or word by word; it stays text."""
    lines = text.split("\n")
    at = rng.randrange(len(lines))
    way = rng.randrange(7)
    if way == 0:
        del lines[at]
    elif way == 1:
        lines.insert(at, rng.choice(lines))
    elif way == 2:
        lines[at] = rng.choice((" ", "\t", "    ", "- ")) + lines[at]
    elif way == 3:
        other = rng.randrange(len(lines))
        lines[at], lines[other] = lines[other], lines[at]
    elif way == 4:
        before, _, _ = lines[at].partition(":")
        lines[at] = f"{before}: {harmful_text(rng)}"
    elif way == 5:
        words = lines[at].split(" ")
        words[rng.randrange(len(words))] = harmful_text(rng)
        lines[at] = " ".join(words)
    else:
        cut = rng.randrange(len(lines[at]) + 1)
        lines[at] = lines[at][:cut] + rng.choice("{}[]:,&*!|>'\"%@`#?-\0\t") + lines[at][cut:]
    return "\n".join(lines)


def _cut(rng: Random, content: bytes) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _cut_a_little(rng: Random, content: bytes) -> bytes:
    return content[: max(len(content) - rng.randint(1, 64), 0)]


def _flip_bits(rng: Random, content: bytes) -> bytes:
    return _edit(rng, content, rng.randint(1, 8), lambda old: old ^ 1 << rng.randrange(8))


def _flip_bits_at_the_start(rng: Random, content: bytes) -> bytes:
    return _flip_bits(rng, content[:256]) + content[256:]


def _random_bytes(rng: Random, content: bytes) -> bytes:
    return _edit(rng, content, rng.randint(1, 32), lambda old: rng.randrange(256))


def _zeros(rng: Random, content: bytes) -> bytes:
    start, end = _range(rng, content)
    return content[:start] + bytes(end - start) + content[end:]


def _number(rng: Random, content: bytes) -> bytes:
    """One of the numbers at which widths and signs end, in either byte order, over what was there."""
    width = rng.choice((1, 2, 4, 8))
    value = (rng.choice(NUMBERS) % 256**width).to_bytes(width, rng.choice(("big", "little")))
    start = rng.randrange(max(len(content) - width, 1)) if rng.random() < 0.5 else rng.randrange(64)
    return content[:start] + value + content[start + width :]


def _repeat(rng: Random, content: bytes) -> bytes:
    start, end = _range(rng, content)
    return content[:end] + content[start:end] + content[end:]


def _remove(rng: Random, content: bytes) -> bytes:
    start, end = _range(rng, content)
    return content[:start] + content[end:]


def _move(rng: Random, content: bytes) -> bytes:
    start, end = _range(rng, content)
    rest = content[:start] + content[end:]
    to = rng.randrange(len(rest) + 1)
    return rest[:to] + content[start:end] + rest[to:]


def _insert(rng: Random, content: bytes) -> bytes:
    start = rng.randrange(len(content) + 1)
    return content[:start] + rng.randbytes(rng.choice((1, 2, 4, 100))) + content[start:]


def _append(rng: Random, content: bytes) -> bytes:
    return content + rng.randbytes(rng.randint(1, 100))


def _edit(rng: Random, content: bytes, places: int, change: Callable[[int], int]) -> bytes:
    changed = bytearray(content)
    for _ in range(places if changed else 0):
        at = rng.randrange(len(changed))
        changed[at] = change(changed[at])
    return bytes(changed)


def _range(rng: Random, content: bytes) -> tuple[int, int]:
    start = rng.randrange(len(content) + 1)
    return start, min(start + rng.choice((1, 4, 16, 256, 4096)), len(content))


WAYS = [
    *(_cut, _cut_a_little, _flip_bits, _flip_bits_at_the_start, _random_bytes, _zeros, _number, _repeat, _remove),
    *(_move, _insert, _append),
]

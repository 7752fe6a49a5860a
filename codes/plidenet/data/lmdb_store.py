"""LMDB stores of images in two dialects, told apart by their meta file.

DAN's: the value is H*W*3 bytes, uint8, HWC, BGR, without a header; meta_info.pkl is a pickled dict of name, keys and
resolution ("C_H_W" each, or a single one when all agree). BasicSR's: the value is a PNG file; meta_info.txt has a line
"key.png (h,w,c) level" for every image. Keys are file names without their last extension.
"""

import math
import os
import pickle
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

import lmdb
import numpy as np

from plidenet.cli import progress
from plidenet.data.images import MAX_PIXELS, decode_image, encode_image, read_image
from plidenet.data.lmdb_check import Damaged, check_lmdb
from plidenet.data.parallel import map_threads
from plidenet.errors import UserError
from plidenet.files import replacing

DAN_META, BASICSR_META = "meta_info.pkl", "meta_info.txt"
PNG_LEVEL = 1
NAME = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+")
FIRST_MAP_BYTES = 1 << 26
TRANSACTION_BYTES = 1 << 26
OPENING = Lock()  # LMDB forbids a process to open a folder twice, which threads would do


class LmdbStore:
    """Images of an LMDB in either dialect; opened when first read, once in every process.

    Args:
        folder: the LMDB's folder.

    Raises:
        UserError: no LMDB there, or one without a readable meta file.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / "data.mdb").is_file():
            raise UserError(f"{folder} is not an LMDB: it has no data.mdb")
        self.folder = folder
        self.is_dan = (folder / DAN_META).is_file()
        if self.is_dan:
            self._shapes = _read_dan_meta(folder / DAN_META)
        elif (folder / BASICSR_META).is_file():
            self._shapes = _read_basicsr_meta(folder / BASICSR_META)
        else:
            raise UserError(f"{folder} has no {DAN_META} or {BASICSR_META}: was it written completely?")
        if not self._shapes:
            raise UserError(f"{folder} holds no images")

    @property
    def keys(self) -> list[str]:
        return list(self._shapes)

    def size(self, key: str) -> tuple[int, int]:
        """Height and width of an image."""
        return self._shapes[key][:2]

    def read(self, key: str) -> np.ndarray:
        """One image, uint8 (H,W,3) RGB; UserError if it is missing or damaged."""
        shape, value = self._shapes[key], self._value(key)
        if not self.is_dan:
            image = decode_image(value)
        elif len(value) == math.prod(shape):
            image = np.broadcast_to(np.frombuffer(value, np.uint8).reshape(shape)[..., 2::-1], (*shape[:2], 3))
        else:
            image = None
        if image is None or image.shape[:2] != shape[:2]:
            raise UserError(f"{self.folder}: the image {key} is damaged, or not of the size that the meta file says")
        return image

    def _value(self, key: str) -> bytes:
        try:
            with OPENING:
                environment = _environment(self.folder.resolve())
            with environment.begin() as transaction:
                value = transaction.get(key.encode())
        except (Damaged, lmdb.Error) as error:
            raise UserError(f"{self.folder} is damaged: {error}") from error
        if value is None:
            raise UserError(f"{self.folder} lacks the image {key} that its meta file lists")
        return value


def write_lmdb(target: Path, images: Mapping[str, Path], format: str = "dan", workers: int = 1) -> None:
    """Write an LMDB from image files and read it back to verify it. It appears when complete.

    Args:
        target: the LMDB's folder, not existing yet.
        images: file by key.
        format: "dan" or "basicsr".
        workers: threads that read the files (and encode them as PNG, for basicsr).

    Raises:
        UserError: the target exists, an image cannot be read, a key is not ASCII or too long.
    """
    require_keys(images)
    with replacing(target, new=True) as folder, _failures_named(target):
        entries = map_threads(lambda item: _encode(*item, format), images.items(), workers)
        shapes, sums = {}, {}
        for entry in _written(folder, progress(entries, f"write {target.name}", len(images))):
            shapes[entry.key], sums[entry.key] = entry.shape, zlib.crc32(entry.value)
        if format == "dan":
            (folder / DAN_META).write_bytes(_dan_meta(target.name, shapes))
        else:
            (folder / BASICSR_META).write_text(_basicsr_meta(shapes), encoding="ascii")
        with lmdb.open(str(folder), readonly=True, lock=False) as environment, environment.begin() as transaction:
            for key in progress(sums, f"verify {target.name}"):
                if zlib.crc32(transaction.get(key.encode(), b"")) != sums[key]:
                    raise UserError(f"{target}: the image {key} reads back differently from what was written")


def require_keys(names: Iterable[str]) -> None:
    """UserError where a name cannot be a key: not ASCII, as other readers want it, or too long."""
    for name in names:
        if not name.isascii() or len(name) > 500:
            raise UserError(f"'{name}' cannot be a key of an LMDB: it must be ASCII and at most 500 characters")


@contextmanager
def _failures_named(target: Path) -> Iterator[None]:
    try:
        yield
    except lmdb.Error as error:
        raise UserError(f"{target} cannot be written (is the disk full?): {error}") from error


@dataclass(frozen=True)
class _Entry:
    key: str
    value: bytes
    shape: tuple[int, int, int]


def _encode(key: str, path: Path, format: str) -> _Entry:
    image = read_image(path)
    value = image[..., ::-1].tobytes() if format == "dan" else encode_image(image)
    return _Entry(key, value, image.shape)


def _written(folder: Path, entries: Iterator[_Entry]) -> Iterator[_Entry]:
    """Store entries in an LMDB, passing each on once it is safe; the map doubles whenever it is full."""
    with lmdb.open(str(folder), map_size=FIRST_MAP_BYTES, lock=False) as environment:
        pending: list[_Entry] = []
        waiting_bytes = 0
        for entry in entries:
            pending.append(entry)
            waiting_bytes += len(entry.value)
            if waiting_bytes >= TRANSACTION_BYTES:
                _commit(environment, pending)
                yield from pending
                pending, waiting_bytes = [], 0
        _commit(environment, pending)
        yield from pending


def _commit(environment: lmdb.Environment, entries: list[_Entry]) -> None:
    while True:
        try:
            with environment.begin(write=True) as transaction:
                for entry in entries:
                    transaction.put(entry.key.encode(), entry.value)
            return
        except lmdb.MapFullError:
            environment.set_mapsize(2 * environment.info()["map_size"])


@cache
def _environment(folder: Path) -> lmdb.Environment:
    check_lmdb(folder / "data.mdb")
    return lmdb.open(str(folder), readonly=True, lock=False, readahead=False, meminit=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_environment.cache_clear)  # an environment must not cross a fork


def _dan_meta(name: str, shapes: Mapping[str, tuple[int, int, int]]) -> bytes:
    resolutions = [f"{channels}_{height}_{width}" for height, width, channels in shapes.values()]
    if len(set(resolutions)) == 1:
        resolutions = resolutions[:1]
    return pickle.dumps({"name": name, "keys": list(shapes), "resolution": resolutions}, protocol=2)


def _read_dan_meta(path: Path) -> dict[str, tuple[int, int, int]]:
    try:
        with path.open("rb") as file:
            meta = _PlainUnpickler(file).load()
        keys, resolutions = meta["keys"], meta["resolution"]
        if len(resolutions) == 1:
            resolutions = resolutions * len(keys)
        entries = []
        for key, resolution in zip(keys, resolutions, strict=True):
            channels, height, width = map(int, resolution.split("_"))
            entries.append((key, (height, width, channels)))
    except Exception as error:  # a damaged pickle can raise anything
        raise UserError(f"{path} is damaged: {str(error) or type(error).__name__}") from error
    return _checked(path, entries)


class _PlainUnpickler(pickle._Unpickler):
    """An unpickler of dicts, lists, strings and numbers: whatever would call code is refused.

    It is the one written in Python: the one in C can be made to fill gigabytes by a pickle of 17 bytes that stores an
    object at memo index 2**28.
    """

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it would run {module}.{name}")


def _basicsr_meta(shapes: Mapping[str, tuple[int, int, int]]) -> str:
    return "".join(f"{key}.png ({h},{w},{c}) {PNG_LEVEL}\n" for key, (h, w, c) in shapes.items())


def _read_basicsr_meta(path: Path) -> dict[str, tuple[int, int, int]]:
    entries = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        match = re.fullmatch(r"(.+)\.\w+ \((\d{1,9}), ?(\d{1,9}), ?(\d{1,9})\) \d+", line.strip())
        if match is None:
            raise UserError(f"{path} is damaged: '{line}' is not of the form 'name.png (h,w,c) level'")
        key, height, width, channels = match.groups()
        entries.append((key, (int(height), int(width), int(channels))))
    return _checked(path, entries)


def _checked(path: Path, entries: Iterable[tuple[Any, tuple[int, int, int]]]) -> dict[str, tuple[int, int, int]]:
    """The sizes by key; UserError where one of either cannot be, or a key comes twice."""
    shapes: dict[str, tuple[int, int, int]] = {}
    for key, (height, width, channels) in entries:
        if not isinstance(key, str) or not NAME.fullmatch(key):
            shown = repr(key) if isinstance(key, str) else f"a {type(key).__name__}"
            raise UserError(f"{path} is damaged: {shown} is no name of an image")
        if key in shapes:
            raise UserError(f"{path} is damaged: it lists {key} twice")
        if min(height, width) < 1 or height * width > MAX_PIXELS or channels not in (1, 3, 4):
            raise UserError(f"{path} is damaged: {key} cannot be an image of {height}x{width}x{channels}")
        shapes[key] = (height, width, channels)
    return shapes

"""One view of images by key, be they files in a folder or values of an LMDB."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from plidenet.data.images import image_size, named_images, read_image
from plidenet.data.lmdb_store import LmdbStore
from plidenet.errors import UserError


class Store(Protocol):
    """Images by key."""

    @property
    def keys(self) -> list[str]: ...

    def size(self, key: str) -> tuple[int, int]:
        """Height and width of an image, without decoding it."""

    def read(self, key: str) -> Any:
        """One image, uint8 (H,W,3) RGB: an array, or a tensor where images are kept in a device's memory."""


class FolderStore:
    """The images of a folder; keys are file names without extension.

    Raises:
        UserError: the folder is missing or empty, or two of its images share a key.
    """

    def __init__(self, folder: Path) -> None:
        self._paths = named_images(folder)

    @property
    def keys(self) -> list[str]:
        return list(self._paths)

    def size(self, key: str) -> tuple[int, int]:
        return image_size(self._paths[key])

    def read(self, key: str) -> np.ndarray:
        return read_image(self._paths[key])


def open_store(path: str | Path) -> Store:
    """An LMDB (a folder with data.mdb, or called *.lmdb) or a folder of images; UserError where it is neither."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"no LMDB or folder at {path}")
    if path.suffix == ".lmdb" or (path / "data.mdb").exists():
        return LmdbStore(path)
    return FolderStore(path)

"""One view of images by key, be they files in a folder, values of an LMDB, or in the memory of a device."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from plidenet.cli import progress
from plidenet.data.images import image_size, named_images, read_image
from plidenet.data.lmdb_store import LmdbStore
from plidenet.data.parallel import map_threads
from plidenet.distributed import is_main
from plidenet.errors import UserError
from plidenet.memory import OutOfMemory, free_memory, out_of_memory_explained

READERS = 8  # threads: decoding takes longer than all else before the first step


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


class MemoryStore:
    """All images of another store, decoded, as uint8 in the memory of a device: three bytes a pixel.

    Args:
        store: where the images are read from.
        device: where they are kept.

    Raises:
        OutOfMemory: they do not fit.
    """

    def __init__(self, store: Store, device: torch.device) -> None:
        self.keys = store.keys
        self._sizes = {key: store.size(key) for key in self.keys}
        pixels = [height * width for height, width in self._sizes.values()]
        taken = f"data.cache needs {3 * sum(pixels) / 2**30:.1f} GiB, more than is free on {device}"
        message = f"{taken}; data.cache=none reads the images as needed"
        free = free_memory(device)  # asked first: a CPU's memory is promised in full, and runs out when it is filled
        if free is not None and 3 * sum(pixels) > free:
            raise OutOfMemory(message)
        with out_of_memory_explained(message):
            block = torch.empty(sum(pixels), 3, dtype=torch.uint8, device=device)
        self._images = dict(zip(self.keys, block.split(pixels), strict=True))
        images = map_threads(store.read, self.keys, READERS)
        read = progress(images, "read all images", len(self.keys)) if is_main() else images
        for key, image in zip(self.keys, read, strict=True):
            self._images[key].copy_(torch.from_numpy(np.ascontiguousarray(image)).view(-1, 3))

    def size(self, key: str) -> tuple[int, int]:
        return self._sizes[key]

    def read(self, key: str) -> Tensor:
        return self._images[key].view(*self._sizes[key], 3)


def open_store(path: str | Path) -> Store:
    """An LMDB (a folder with data.mdb, or called *.lmdb) or a folder of images; UserError where it is neither."""
    path = Path(path)
    if not path.exists():
        raise UserError(f"no LMDB or folder at {path}")
    if path.suffix == ".lmdb" or (path / "data.mdb").exists():
        return LmdbStore(path)
    return FolderStore(path)

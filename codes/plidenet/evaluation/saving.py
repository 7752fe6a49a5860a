"""Restored images and estimated kernels on disk."""

import struct
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from zlib import crc32

import numpy as np

from plidenet.data.images import encode_image
from plidenet.errors import UserError
from plidenet.evaluation.drawing import draw_kernel
from plidenet.evaluation.evaluator import Restored
from plidenet.files import is_file_name, replacing, write_file
from plidenet.pixels import to_array

PNG_TAIL = b"\0\0\0\0IEND\xaeB`\x82"
SOFTWARE = b"tEXtSoftware\0plidenet"  # a PNG's line about the program that made it


class ImageSaver:
    """Writes restored images and their estimated kernels, with PNGs signed as this program's.

    Args:
        folder: where the images go; kernels go to its subfolder `kernels`.
        suffix: appended to the image names.

    Raises (when called):
        UserError: an image's name is no plain file name, or the file system takes it for that of another image.
    """

    def __init__(self, folder: Path, suffix: str | None) -> None:
        self.folder, self.suffix = folder, f"_{suffix}" if suffix else ""
        self._saved: dict[str, str] = {}  # by normalized, case-folded key: some file systems do not distinguish more

    def __call__(self, restored: Restored) -> None:
        path = self._path(restored.key)
        if restored.kernel is not None:  # first, so that no image lacks its kernel
            drawing, array = self._kernel(restored.key)
            write_file(drawing, _signed(encode_image(draw_kernel(restored.kernel.numpy()))))
            with replacing(array) as temporary, temporary.open("wb") as file:
                np.save(file, restored.kernel.numpy())
        write_file(path, _signed(encode_image(to_array(restored.image))))

    def foreign(self, keys: Iterable[str]) -> Path | None:
        """The first file that could be replaced although no earlier call wrote it."""
        for key in keys:
            image, (drawing, array) = self._named(key), self._kernel(key)
            for signed, files in ((image, [image]), (drawing, [drawing, array])):
                if not _is_signed(signed) and (present := [file for file in files if file.exists()]):
                    return present[0]
        return None

    def _path(self, key: str) -> Path:
        if not is_file_name(key):
            raise UserError(f"{key!r} cannot be the name of an image in {self.folder}")
        path = self._named(key)
        other = self._saved.setdefault(unicodedata.normalize("NFC", key).casefold(), key)
        if other != key and path.exists() and path.samefile(self._named(other)):
            raise UserError(f"the images {other} and {key} would be saved to the same file in {self.folder}")
        return path

    def _named(self, key: str) -> Path:
        return self.folder / f"{key}{self.suffix}.png"

    def _kernel(self, key: str) -> tuple[Path, Path]:
        """The kernel's picture, signed as the image is, and the kernel itself."""
        return self.folder / "kernels" / f"{key}.png", self.folder / "kernels" / f"{key}.npy"


def _signed(png: bytes) -> bytes:
    return png.removesuffix(PNG_TAIL) + _signature()


def _is_signed(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - len(_signature()), 0))
        return file.read() == _signature()


def _signature() -> bytes:
    """How a signed PNG ends."""
    return struct.pack(">I", len(SOFTWARE) - 4) + SOFTWARE + struct.pack(">I", crc32(SOFTWARE)) + PNG_TAIL

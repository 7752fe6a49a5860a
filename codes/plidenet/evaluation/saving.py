"""Restored images and estimated kernels on disk."""

import unicodedata
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from plidenet.data.images import write_image
from plidenet.errors import UserError
from plidenet.evaluation.evaluator import Restored
from plidenet.evaluation.figures import draw_kernel
from plidenet.files import is_file_name


class ImageSaver:
    """Writes restored images and their estimated kernels.

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
            file, kernel = self._kernel(restored.key), restored.kernel.numpy()
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, kernel)
            write_image(file.with_suffix(".png"), draw_kernel(kernel))
        write_image(path, restored.image.permute(1, 2, 0).cpu().numpy())

    def strange(self, keys: Iterable[str]) -> Path | None:
        """The first file that would be replaced although no estimated kernel marks it as an earlier call's."""
        paths = {key: self._named(key) for key in keys}
        return next((path for key, path in paths.items() if path.exists() and not self._kernel(key).exists()), None)

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

    def _kernel(self, key: str) -> Path:
        return self.folder / "kernels" / f"{key}.npy"

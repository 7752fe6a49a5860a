"""Images that another program restored, in place of a network's output."""

from collections.abc import Sequence
from pathlib import Path

import torch

from plidenet.data.images import named_images, read_image
from plidenet.data.pairing import canonical
from plidenet.errors import UserError
from plidenet.evaluation.evaluator import Restored
from plidenet.names import some
from plidenet.pixels import to_tensor

NOT_RESTORED = "_gt", "_HR", "_LR"  # ends of names


class SavedImages:
    """The images of a folder, by the names of the LR images that they were restored from.

    Args:
        folder: of images called as the LR images are, but for affixes that pairing ignores (see `canonical`); others,
            such as <name>_gt, <name>_HR and <name>_LR, may lie beside them.
        keys: the LR images' names.
        device: where to measure them.
        suffix: of an option file: <name>_<suffix> is taken before <name>.

    Raises:
        UserError: an LR image without a restored one, or with several that differ in affixes alone.
    """

    def __init__(self, folder: Path, keys: Sequence[str], device: torch.device, suffix: str | None = None) -> None:
        ending = f"_{suffix}" if suffix else ""
        files, known = named_images(folder), set(keys)
        named = {name if name in known else name.removesuffix(ending): path for name, path in files.items()}
        named |= {key: files[key + ending] for key in keys if key + ending in files}
        plain: dict[str, list[Path]] = {}
        for name, path in named.items():
            if not name.endswith(NOT_RESTORED):
                plain.setdefault(canonical(name), []).append(path)
        found = {key: [named[key]] if key in named else plain.get(canonical(key), []) for key in keys}
        if missing := [key for key, paths in found.items() if not paths]:
            taken = {path for paths in found.values() for path in paths}
            others = [name for name, path in files.items() if path not in taken]
            hint = f"; of no use are {some(others)}" if others else ""
            aside = any(name.endswith(NOT_RESTORED) for name in others)
            hint += f" (names in {', '.join(NOT_RESTORED)} are not of restored images)" if aside else ""
            raise UserError(f"{folder} has no restored image for {len(missing)} of {len(keys)}: {some(missing)}{hint}")
        for key, paths in found.items():
            if len(paths) > 1:
                names = " and ".join(path.name for path in paths)
                raise UserError(f"{folder}: {names} may both be the restored {key}; call one of them {key}")
        self._paths, self._device = {key: path for key, (path,) in found.items()}, device

    def __call__(self, key: str) -> Restored:
        """The image restored from the LR image `key`; UserError where it cannot be read."""
        image = to_tensor(read_image(self._paths[key]))
        return Restored(key, image.to(self._device), None, None)

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

HR_ENDINGS = "_gt", "_HR"  # of names


class SavedImages:
    """The images of a folder, by the names of the LR images that they were restored from.

    Args:
        folder: of images called as the LR images are, but for affixes that pairing ignores (see `canonical`); others,
            such as HR images (<name>_gt, <name>_HR), may lie beside them.
        keys: the LR images' names.
        device: where to measure them.
        suffix: what may stand at the end of their names, after a _, as the `suffix` of an option file.

    Raises:
        UserError: an LR image without a restored one, or with several that differ in affixes alone.
    """

    def __init__(self, folder: Path, keys: Sequence[str], device: torch.device, suffix: str | None = None) -> None:
        ending = f"_{suffix}" if suffix else ""
        named = {name.removesuffix(ending): path for name, path in named_images(folder).items()}
        plain: dict[str, list[Path]] = {}
        for name, path in named.items():
            if not name.endswith(HR_ENDINGS):
                plain.setdefault(canonical(name), []).append(path)
        found = {key: [named[key]] if key in named else plain.get(canonical(key), []) for key in keys}
        if missing := [key for key, paths in found.items() if not paths]:
            others = [name for name in named if name not in found]
            hint = f"; it has {some(others)} ({' and '.join(HR_ENDINGS)} are taken for HR images)" if others else ""
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

"""Images that another program restored, in place of a network's output."""

from collections.abc import Sequence
from pathlib import Path

import torch

from plidenet.data.images import named_images, read_image
from plidenet.data.pairing import canonical
from plidenet.errors import UserError
from plidenet.evaluation.evaluator import Restored
from plidenet.names import some


class SavedImages:
    """The images of a folder, by the names of the LR images that they were restored from.

    Args:
        folder: of images called as the LR images are, but for affixes that pairing ignores (see `canonical`); others
            may lie beside them.
        keys: the LR images' names.
        device: where to measure them.

    Raises:
        UserError: an LR image without a restored one.
    """

    def __init__(self, folder: Path, keys: Sequence[str], device: torch.device) -> None:
        named = named_images(folder)
        plain = {canonical(name): path for name, path in named.items()}
        found = {key: named.get(key, plain.get(canonical(key))) for key in keys}
        if missing := [key for key, path in found.items() if path is None]:
            raise UserError(f"{folder} has no restored image for {len(missing)} of {len(keys)}: {some(missing)}")
        self._paths, self._device = found, device

    def __call__(self, key: str) -> Restored:
        """The image restored from the LR image `key`; UserError where it cannot be read."""
        path = self._paths[key]
        assert path is not None
        image = torch.from_numpy(read_image(path)).permute(2, 0, 1)
        return Restored(key, image.to(self._device), None, None)

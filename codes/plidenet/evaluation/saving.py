"""Restored images and estimated kernels on disk."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from plidenet.data.images import write_image
from plidenet.evaluation.evaluator import Restored
from plidenet.evaluation.figures import draw_kernel


class ImageSaver:
    """Writes restored images and their estimated kernels.

    Args:
        folder: where the images go; kernels go to its subfolder `kernels`.
        suffix: appended to the image names.
    """

    def __init__(self, folder: Path, suffix: str | None) -> None:
        self.folder, self.suffix = folder, f"_{suffix}" if suffix else ""

    def __call__(self, restored: Restored, sample: Mapping) -> None:
        write_image(self.folder / f"{restored.key}{self.suffix}.png", restored.image.permute(1, 2, 0).cpu().numpy())
        if restored.kernel is not None:
            kernels = self.folder / "kernels"
            kernels.mkdir(exist_ok=True)
            np.save(kernels / f"{restored.key}.npy", restored.kernel.numpy())
            write_image(kernels / f"{restored.key}.png", draw_kernel(restored.kernel.numpy()))

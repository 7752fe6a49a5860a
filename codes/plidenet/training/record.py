"""What training leaves to look at: a CSV of the curves, pictures, TensorBoard."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from plidenet.data.images import write_image
from plidenet.errors import UserError
from plidenet.files import naming, replacing


class Record:
    """Writes curves.csv (columns iteration, name, value), val_images/*.png, and both to TensorBoard, in tb_logger.

    Args:
        folder: the run's folder.
        iteration: where the run starts; what an interrupted run had written beyond that is dropped.
        tensorboard: whether to write for TensorBoard, too.
        validation_due: whether the run starts with that iteration's validation, so that this is dropped from the CSV.
    """

    def __init__(self, folder: Path, iteration: int, tensorboard: bool, validation_due: bool = False) -> None:
        self.path, self.pictures = folder / "curves.csv", folder / "val_images"
        rows = [row for row in self._read() if int(row[0]) <= iteration]
        if validation_due:
            rows = [row for row in rows if int(row[0]) < iteration or not row[1].startswith("val/")]
        with replacing(self.path) as path, path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows([("iteration", "name", "value"), *rows])
        self.writer = None
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(folder / "tb_logger"), purge_step=iteration + 1)

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """Write values such as {"loss/l1": 0.02, "val/Set5/psnr_y": 31.9}."""
        with naming(self.path), self.path.open("a", newline="", encoding="utf-8") as file:
            rows = ((iteration, name, f"{value:.8g}") for name, value in values.items())
            csv.writer(file, lineterminator="\n").writerows(rows)
        self.to_tensorboard(iteration, values)

    def to_tensorboard(self, iteration: int, values: Mapping[str, float]) -> None:
        """Write values to TensorBoard alone: those that differ between otherwise identical runs."""
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(name, value, iteration)

    def picture(self, iteration: int, name: str, image: np.ndarray) -> None:
        """Write a picture, uint8 (H,W,3), as val_images/<name>_<iteration>.png."""
        write_image(self.pictures / f"{name}_{iteration}.png", image)
        if self.writer is not None:
            self.writer.add_image(name, image, iteration, dataformats="HWC")

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()

    def _read(self) -> list[list[str]]:
        if not self.path.exists():
            return []
        try:
            with self.path.open(newline="", encoding="utf-8") as file:
                return [row for row in csv.reader(file) if len(row) == 3 and row[0].isdecimal()]
        except (ValueError, csv.Error) as error:
            raise UserError(f"{self.path} is damaged: {error}") from error

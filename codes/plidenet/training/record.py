"""What training tells: log lines, a CSV of the curves, TensorBoard."""

import csv
import logging
from collections.abc import Mapping
from pathlib import Path

log = logging.getLogger(__name__)


class Record:
    """Writes scalars to <folder>/curves.csv (columns iteration, name, value) and to TensorBoard.

    Args:
        folder: the run's folder.
        tensorboard: folder of the TensorBoard logs, or None for none.
        iteration: where the run starts; what an interrupted run had written beyond that is dropped.
    """

    def __init__(self, folder: Path, tensorboard: Path | None, iteration: int) -> None:
        self.path = folder / "curves.csv"
        rows = [row for row in self._read() if int(row[0]) <= iteration]
        with self.path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("iteration", "name", "value"), *rows])
        self.writer = None
        if tensorboard is not None:
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(str(tensorboard), purge_step=iteration + 1)

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """Write values such as {"loss/l1": 0.02, "val/Set5/psnr_y": 31.9}."""
        with self.path.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows((iteration, name, f"{value:.8g}") for name, value in values.items())
        if self.writer is not None:
            for name, value in values.items():
                self.writer.add_scalar(name, value, iteration)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()

    def _read(self) -> list[list[str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))[1:]

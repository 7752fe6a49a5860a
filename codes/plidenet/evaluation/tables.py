"""Result tables: per set as Markdown and CSV, per image as CSV."""

import csv
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from plidenet.evaluation.evaluator import ImageResult
from plidenet.metrics import Score

METRICS = tuple(field.name for field in dataclasses.fields(Score))
COLUMNS = ("dataset", "images", "crop_border", *METRICS)


@dataclass(frozen=True)
class SetResult:
    """Mean scores of one set of images."""

    dataset: str
    images: int
    crop_border: int
    score: Score

    def cells(self) -> list[str]:
        return [self.dataset, str(self.images), str(self.crop_border), *format_score(self.score)]


def summarize(dataset: str, crop_border: int, results: Sequence[ImageResult]) -> SetResult:
    """The mean over the images of a set (at least one)."""
    means = {name: fmean(getattr(result.score, name) for result in results) for name in METRICS}
    return SetResult(dataset, len(results), crop_border, Score(**means))


def format_score(score: Score) -> list[str]:
    """PSNR with three decimals, SSIM with four, in the order of METRICS."""
    return [f"{getattr(score, name):.{3 if name.startswith('psnr') else 4}f}" for name in METRICS]


def to_markdown(rows: Sequence[SetResult]) -> str:
    """A Markdown table, one row per set."""
    cells = [list(COLUMNS), *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(COLUMNS))]
    lines = [
        "| " + " | ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|")
    return "\n".join(lines) + "\n"


def write_tables(folder: Path, rows: Sequence[SetResult], caption: str) -> None:
    """Write table.md (with the caption beneath) and table.csv."""
    (folder / "table.md").write_text(f"{to_markdown(rows)}\n{caption}\n", encoding="utf-8")
    _write_csv(folder / "table.csv", COLUMNS, [row.cells() for row in rows])


def write_image_scores(path: Path, results: Sequence[ImageResult]) -> None:
    """Write one line per image: name, scores, seconds."""
    rows = [[result.key, *format_score(result.score), f"{result.seconds:.3f}"] for result in results]
    _write_csv(path, ("image", *METRICS, "seconds"), rows)


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)

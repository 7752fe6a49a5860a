"""Result tables of one network: per set as Markdown and CSV, per image as CSV."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from plidenet.config import RESULT_TABLES
from plidenet.evaluation.evaluator import ImageResult
from plidenet.evaluation.kernels import KERNEL_METRICS, KernelPair
from plidenet.evaluation.markup import markdown, write_csv, write_table
from plidenet.evaluation.perceptual import PerceptualScores
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
    return SetResult(dataset, len(results), crop_border, mean_score(results))


def mean_score(results: Sequence[ImageResult]) -> Score:
    """The mean over images (at least one)."""
    return Score(**{name: fmean(getattr(result.score, name) for result in results) for name in METRICS})


def format_score(score: Score) -> list[str]:
    """PSNR with three decimals, SSIM with four, in the order of METRICS."""
    return [f"{getattr(score, name):.{3 if name.startswith('psnr') else 4}f}" for name in METRICS]


def clear_tables(folder: Path, names: Sequence[str] = RESULT_TABLES) -> None:
    """Make the folder, or remove the tables that an earlier test left in it: not all of them are written every time."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        for kind in ("md", "csv"):
            (folder / f"{name}.{kind}").unlink(missing_ok=True)


def to_markdown(rows: Sequence[SetResult]) -> str:
    """A Markdown table, one row per set."""
    return markdown(COLUMNS, [row.cells() for row in rows])


def write_tables(folder: Path, rows: Sequence[SetResult], caption: str) -> str:
    """Write table.md (with the caption beneath) and table.csv.

    Returns:
        what table.md holds; nothing is written, and the text is empty, where there are no rows.
    """
    if not rows:
        return ""
    text = f"{to_markdown(rows)}\n{caption}\n"
    write_table(folder, "table", text, COLUMNS, [row.cells() for row in rows])
    return text


def write_image_scores(
    path: Path,
    results: Sequence[ImageResult],
    kernels: Sequence[KernelPair] = (),
    perceptual: Sequence[PerceptualScores] = (),
) -> None:
    """Write one line per image: name and, each where there are any, scores with seconds, how good the estimated kernel
    is, and perceptual scores.
    """
    blocks: list[tuple[Sequence[str], dict[str, list[str]]]] = []
    if results:
        cells = {one.key: [*format_score(one.score), f"{one.seconds:.3f}"] for one in results}
        blocks.append(((*METRICS, "seconds"), cells))
    if kernels:
        blocks.append((KERNEL_METRICS, {one.key: one.score.cells() for one in kernels}))
    if perceptual:
        blocks.append((tuple(perceptual[0].values), {one.key: one.cells() for one in perceptual}))
    keys = dict.fromkeys(key for _, cells in blocks for key in cells)
    rows = [[key, *(cell for names, cells in blocks for cell in cells.get(key, [""] * len(names)))] for key in keys]
    write_csv(path, ["image", *(name for names, _ in blocks for name in names)], rows)

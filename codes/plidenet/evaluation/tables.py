"""Result tables of one network: per set as Markdown and CSV, per image as CSV."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from plidenet.config import RESULT_TABLES
from plidenet.evaluation.kernel_scores import KERNEL_METRICS
from plidenet.evaluation.markup import markdown, write_csv, write_table
from plidenet.evaluation.measurement import ImageResult
from plidenet.metrics import Score

METRICS = tuple(field.name for field in dataclasses.fields(Score))
IMAGE = "image"  # the first column of a set's table
COLUMNS = ("dataset", "images", "crop_border", *METRICS)


def mean_score(scores: Collection[Score]) -> Score:
    """The mean over images (at least one)."""
    return Score(**{name: fmean(getattr(score, name) for score in scores) for name in METRICS})


def format_score(score: Score) -> list[str]:
    """PSNR with three decimals, SSIM with four, in the order of METRICS."""
    return [f"{getattr(score, name):.{3 if name.startswith('psnr') else 4}f}" for name in METRICS]


def clear_tables(folder: Path, names: Sequence[str] = RESULT_TABLES) -> None:
    """Make the folder, or remove the tables that an earlier test left in it: not all of them are written every time."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        for kind in ("md", "csv"):
            (folder / f"{name}.{kind}").unlink(missing_ok=True)


def clear_results(folder: Path) -> None:
    """`clear_tables`, and the scores of images, too: the sets of an earlier test need not be those of this one."""
    clear_tables(folder)
    for path in filter(Path.is_file, folder.glob("*.csv")):
        with path.open("rb") as file:
            header = file.readline().decode("utf-8", "replace").strip().split(",")
        if header[:1] == [IMAGE] and (set(header) >= set(METRICS) or set(header) >= set(KERNEL_METRICS)):
            path.unlink()


def write_score_tables(folder: Path, sets: Mapping[str, Collection[Score]], crop_border: int, caption: str) -> str:
    """Write table.md (with the caption beneath) and table.csv, a line for each set that has scores.

    Returns:
        what table.md holds; nothing is written, and the text is empty, where no set has any.
    """
    rows = [
        [name, str(len(scores)), str(crop_border), *format_score(mean_score(scores))]
        for name, scores in sets.items()
        if scores
    ]
    if not rows:
        return ""
    text = f"{markdown(COLUMNS, rows)}\n{caption}\n"
    write_table(folder, "table", text, COLUMNS, rows)
    return text


def write_image_scores(path: Path, images: Sequence[ImageResult]) -> None:
    """Write one line per image: its name and, each where there are any, scores with seconds, how good the estimated
    kernel is, and perceptual scores.
    """
    lines = [_cells(one) for one in images]
    columns = list(dict.fromkeys(name for line in lines for name in line))
    rows = [[one.key, *(line.get(name, "") for name in columns)] for one, line in zip(images, lines, strict=True)]
    write_csv(path, [IMAGE, *columns], rows)


def _cells(one: ImageResult) -> dict[str, str]:
    cells = {}
    if one.score is not None:
        cells = dict(zip(METRICS, format_score(one.score), strict=True))
    if one.score is not None and one.seconds is not None:
        cells["seconds"] = f"{one.seconds:.3f}"
    if one.kernels is not None:
        cells |= zip(KERNEL_METRICS, one.kernels.score.cells(), strict=True)
    return cells | {name: f"{value:.4f}" for name, value in one.perceptual.items()}

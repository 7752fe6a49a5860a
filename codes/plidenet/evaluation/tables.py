"""The tables of results, each as Markdown with its note and as CSV; and the scores of single images, as CSV.

Each function that writes a table returns what its Markdown holds. Where there is nothing to tell, it writes nothing,
and the text is empty.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from plidenet.config import RESULT_TABLES
from plidenet.data.pairing import split_width
from plidenet.evaluation.kernel_scores import KERNEL_METRICS, KERNEL_NOTE, KernelPair, mean_kernel_score
from plidenet.evaluation.markup import NONE, markdown, write_csv, write_table
from plidenet.evaluation.measurement import ImageResult, MeasuredSet
from plidenet.metrics import Score
from plidenet.metrics.perceptual import PerceptualMetric

METRICS = tuple(field.name for field in dataclasses.fields(Score))
IMAGE = "image"  # the first column of a set's table
COLUMNS = ("dataset", "images", "crop_border", *METRICS)
Labels = tuple[str, ...]  # the first cells of a line: the set's name, in a comparison the method's before it


def mean_score(scores: Collection[Score]) -> Score:
    """The mean over images (at least one)."""
    return Score(**{name: fmean(getattr(score, name) for score in scores) for name in METRICS})


def format_score(score: Score) -> list[str]:
    """PSNR with three decimals, SSIM with four, in the order of METRICS."""
    return [f"{getattr(score, name):.{3 if name.startswith('psnr') else 4}f}" for name in METRICS]


def short_score(psnr: float, ssim: float) -> str:
    """Both in one cell, as papers print them."""
    return f"{psnr:.2f}/{ssim:.4f}"


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


def write_score_table(folder: Path, sets: Mapping[str, Collection[Score]], crop_border: int, caption: str) -> str:
    """Write table.md, with the caption beneath, and table.csv: a line for each set that has scores."""
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


def write_width_table(folder: Path, header: Sequence[str], sets: Mapping[Labels, MeasuredSet]) -> str:
    """Write widths.md and widths.csv: the sets in which every image comes with several kernel widths, by width.

    Args:
        folder: where to.
        header: names of the columns that the labels fill.
        sets: by their labels.
    """
    groups = {labels: by_width for labels, one in sets.items() if len(by_width := _scores_by_width(one)) > 1}
    if not groups:
        return ""
    widths = sorted({width for by_width in groups.values() for width in by_width})
    rows, lines = [], []
    for labels, by_width in groups.items():
        means = {width: mean_score(scores) for width, scores in by_width.items()}
        cells = {width: short_score(mean.psnr_y, mean.ssim_y) for width, mean in means.items()}
        rows.append([*labels, *(cells.get(width, NONE) for width in widths)])
        for width, mean in means.items():
            lines.append([*labels, f"{width:g}", str(len(by_width[width])), *format_score(mean)])
    table = markdown([*header, *(f"{width:g}" for width in widths)], rows, left=len(header))
    text = f"{table}\nBy kernel width in HR pixels: PSNR/SSIM on Y, mean over the images.\n"
    write_table(folder, "widths", text, [*header, "width", "images", *METRICS], lines)
    return text


def write_kernel_table(folder: Path, header: Sequence[str], sets: Mapping[Labels, Sequence[KernelPair]]) -> str:
    """Write kernels.md and kernels.csv: how close the estimated kernels come to the true ones, where those are known.

    Args:
        folder: where to.
        header: names of the columns that the labels fill.
        sets: the kernels by their labels.
    """
    rows = [[*labels, str(len(pairs)), *mean_kernel_score(pairs).cells()] for labels, pairs in sets.items() if pairs]
    if not rows:
        return ""
    columns = [*header, "images", *KERNEL_METRICS]
    text = f"{markdown(columns, rows, left=len(header))}\n{KERNEL_NOTE}\n"
    write_table(folder, "kernels", text, columns, rows)
    return text


def write_perceptual_table(
    folder: Path, metrics: Sequence[PerceptualMetric], sets: Mapping[str, Sequence[Mapping[str, float]]], protocol: str
) -> str:
    """Write perceptual.md, a line for each set, and perceptual.csv, a line for each set and metric.

    Args:
        folder: where to.
        metrics: the columns.
        sets: the scores of their images by the metrics' names, the same for all images of a set.
        protocol: how images are measured, for the note.
    """
    header = ["dataset", "images", *(f"{metric.name} {'↓' if metric.lower_is_better else '↑'}" for metric in metrics)]
    better = {metric.name: "lower" if metric.lower_is_better else "higher" for metric in metrics}
    rows, lines = [], []
    for name, scores in sets.items():
        if scores:
            labels = [name, str(len(scores))]
            cells = {metric: f"{fmean(one[metric] for one in scores):.4f}" for metric in scores[0]}
            rows.append([*labels, *(cells.get(metric.name, NONE) for metric in metrics)])
            lines += [[*labels, metric, better[metric], cell] for metric, cell in cells.items()]
    if not rows:
        return ""
    note = f"Perceptual metrics of pyiqa; ↓ lower is better, ↑ higher is better. {protocol}"
    text = f"{markdown(header, rows)}\n{note}\n"
    write_table(folder, "perceptual", text, ["dataset", "images", "metric", "better", "mean"], lines)
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


def _scores_by_width(measured: MeasuredSet) -> dict[float, list[Score]]:
    """The scores of a set's images by the width of their isotropic kernels, ascending; empty with other kernels."""
    groups: dict[float, list[Score]] = defaultdict(list)
    for key, score in measured.scores.items():
        width, _ = split_width(key)
        if width in measured.conditions.widths:
            groups[width].append(score)
    return dict(sorted(groups.items()))

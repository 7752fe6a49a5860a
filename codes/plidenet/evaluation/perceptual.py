"""Tables of perceptual metrics: the means over the images of each set."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from plidenet.evaluation.markup import NONE, markdown, write_table
from plidenet.metrics.perceptual import PerceptualMetric

Scores = Mapping[str, float]  # of one image, by the metrics' names; those that need an HR image only where there is one


def mean_perceptual_scores(scores: Sequence[Scores]) -> dict[str, float]:
    """The mean over the images of a set (at least one, and all measured by the same metrics)."""
    return {name: fmean(one[name] for one in scores) for name in scores[0]}


def write_perceptual_tables(
    folder: Path, metrics: Sequence[PerceptualMetric], sets: Mapping[str, Sequence[Scores]], protocol: str
) -> str:
    """Write perceptual.md, a line for each set, and perceptual.csv, a line for each set and metric.

    Args:
        folder: where to.
        metrics: the columns.
        sets: the scores of their images; sets without any are left out.
        protocol: how images are measured, for the note.

    Returns:
        what perceptual.md holds; nothing is written, and the text is empty, where no set has any.
    """
    means = {name: mean_perceptual_scores(scores) for name, scores in sets.items() if scores}
    if not means:
        return ""
    header = ["dataset", "images", *(f"{metric.name} {'↓' if metric.lower_is_better else '↑'}" for metric in metrics)]
    better = {metric.name: "lower" if metric.lower_is_better else "higher" for metric in metrics}
    rows, lines = [], []
    for name, mean in means.items():
        labels = [name, str(len(sets[name]))]
        cells = {metric: f"{value:.4f}" for metric, value in mean.items()}
        rows.append([*labels, *(cells.get(metric.name, NONE) for metric in metrics)])
        lines += [[*labels, metric, better[metric], cell] for metric, cell in cells.items()]
    note = f"Perceptual metrics of pyiqa; ↓ lower is better, ↑ higher is better. {protocol}"
    text = f"{markdown(header, rows)}\n{note}\n"
    write_table(folder, "perceptual", text, ["dataset", "images", "metric", "better", "mean"], lines)
    return text

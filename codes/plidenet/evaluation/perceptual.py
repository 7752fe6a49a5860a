"""Perceptual metrics of restored images: columns beside PSNR and SSIM of each image, and tables of their means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from plidenet import distributed
from plidenet.evaluation.evaluator import Restored
from plidenet.evaluation.markup import NONE, markdown, write_table
from plidenet.metrics.perceptual import PerceptualMetric, measure


@dataclass(frozen=True)
class PerceptualScores:
    """What the metrics say of one image, by their names; those that need an HR image only where there is one."""

    key: str
    values: Mapping[str, float]

    def cells(self) -> list[str]:
        return [f"{value:.4f}" for value in self.values.values()]


class PerceptualMeter:
    """Measures every restored image, against its HR image where it has one: a `keep` of `evaluate`.

    Args:
        metrics: loaded, on the device of the restored images.
        crop_border: pixels cut from each side first.
    """

    def __init__(self, metrics: Sequence[PerceptualMetric], crop_border: int) -> None:
        self.metrics, self.crop_border = metrics, crop_border
        self._share: list[PerceptualScores] = []

    def __call__(self, restored: Restored, sample: Mapping) -> None:
        hr = sample["gt"].to(restored.image.device) if "gt" in sample else None
        if values := measure(self.metrics, restored.image, hr, self.crop_border):
            self._share.append(PerceptualScores(restored.key, values))

    def scores(self) -> list[PerceptualScores]:
        """Those of all images, in their order; of several processes, each gets those of all."""
        return distributed.gather_interleaved(self._share)


def mean_perceptual_scores(scores: Sequence[PerceptualScores]) -> dict[str, float]:
    """The mean over the images of a set (at least one, and all measured by the same metrics)."""
    return {name: fmean(one.values[name] for one in scores) for name in scores[0].values}


def write_perceptual_tables(
    folder: Path, metrics: Sequence[PerceptualMetric], sets: Mapping[str, Sequence[PerceptualScores]], protocol: str
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

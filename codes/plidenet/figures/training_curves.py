"""How a training run went: its pixel loss and its validation, from the run's curves.csv."""

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from plidenet.errors import UserError
from plidenet.figures.charts import new_chart, to_svg
from plidenet.figures.theme import Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (720, 240)  # points
LOSS, TOTAL = "loss/l1", "loss/total"
Curve = Mapping[int, float]  # value by iteration


def run_name(path: Path) -> str:
    """The run that a log is of: the folder of its `curves.csv`, or what else the file is called."""
    return path.parent.name if path.name == "curves.csv" else path.stem


def read_logs(paths: Iterable[Path]) -> dict[str, Mapping[str, Curve]]:
    """The curves of runs by the runs' names; UserError where two are called alike."""
    logs: dict[str, Mapping[str, Curve]] = {}
    for path in paths:
        if (name := run_name(path)) in logs:
            raise UserError(f"two of the logs are of runs called {name}: their figures would overwrite each other")
        logs[name] = read_curves(path)
    return logs


def read_curves(path: Path) -> dict[str, Curve]:
    """The curves of a run by name, such as `loss/l1` and `val/Set5/psnr_y`; UserError where there are none."""
    curves: dict[str, dict[int, float]] = defaultdict(dict)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                curves[row["name"]][int(row["iteration"])] = float(row["value"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} cannot be read as the curves.csv of a training run: {error}") from error
    return dict(curves)


def draw_training_curves(curves: Mapping[str, Curve], theme: Theme) -> str:
    """Mean absolute error of the training batches, and PSNR of the validation sets, against iterations, as SVG.

    Without validation, the error alone. Where a run had other losses only, its line breaks.

    Args:
        curves: of one run, as `read_curves` gives them.
        theme: colors.

    Raises:
        UserError: there is no pixel loss among the curves, or matplotlib is not installed.
    """
    if LOSS not in curves:
        raise UserError(f"the curves of the run have no {LOSS}")
    losses = {iteration: curves[LOSS].get(iteration, math.nan) for iteration in curves.get(TOTAL, curves[LOSS])}
    validations = {
        name.split("/")[1]: curve
        for name, curve in curves.items()
        if name.startswith("val/") and name.endswith("/psnr_y")
    }
    figure, (left, *right) = new_chart(theme, SIZE, columns=2 if validations else 1, share_y=False)
    draw_losses(left, losses, theme)
    for axes in right:
        draw_validations(axes, validations, theme)
    for axes in (left, *right):
        axes.set_xlabel("iteration", labelpad=8)
        axes.set_xlim(0, max(map(max, curves.values())))
    return to_svg(figure)


def draw_losses(axes: "Axes", losses: Curve, theme: Theme) -> None:
    """The losses thin, their means thick, on a logarithmic axis."""
    from matplotlib.ticker import LogLocator

    means = stretch_means(losses)
    axes.plot(list(losses), list(losses.values()), color=theme.line, linewidth=1, gid="curve-loss")
    axes.plot(list(means), list(means.values()), color=theme.training, linewidth=2, gid="curve-loss-mean")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_locator(LogLocator(subs=[2, 5]))
    axes.yaxis.set_minor_formatter("{x:g}")
    axes.grid(axis="y", which="minor", color=theme.line, linewidth=0.7)
    axes.set_ylabel("L1 loss in training", labelpad=8)


def draw_validations(axes: "Axes", validations: Mapping[str, Curve], theme: Theme) -> None:
    """PSNR by the names of the sets, which stand with their last values at the ends of the lines, above or below."""
    style: dict[str, Any] = {"color": theme.ours, "linewidth": 2, "marker": "o", "markersize": 4, "clip_on": False}
    place: dict[str, Any] = {"textcoords": "offset points", "ha": "right"}
    for name, curve in validations.items():
        axes.plot(list(curve), list(curve.values()), gid=name, **style)
        *_, before, last = [math.nan, *curve.values()]
        place["xytext"] = (0, -16 if last < before else 8)
        axes.annotate(f"{name}  {last:.2f}", (max(curve), last), annotation_clip=False, color=theme.ours, **place)
    axes.set_ylabel("PSNR on Y (dB)", labelpad=8)
    axes.margins(y=0.15)


def stretch_means(curve: Curve, stretch: int = 6, most: int = 40) -> Curve:
    """Means over consecutive stretches of a curve, each at the middle of its stretch.

    Args:
        curve: NaN where there is no value; the mean of a stretch is NaN where half of it or more is missing.
        stretch: points in each, at least, unless the curve has fewer.
        most: how many stretches at most.
    """
    points = list(curve.items())
    parts = max(1, min(most, len(points) // stretch))
    means = {}
    for start, end in pairwise(len(points) * part // parts for part in range(parts + 1)):
        iterations, values = zip(*points[start:end], strict=True)
        known = [value for value in values if not math.isnan(value)]
        means[sum(iterations) // len(iterations)] = fmean(known) if 2 * len(known) > len(values) else math.nan
    return means

"""How a training run went: its pixel loss and its validation, from the run's curves.csv."""

import csv
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from plidenet.errors import UserError
from plidenet.figures.charts import new_chart, to_svg
from plidenet.figures.theme import Theme

SIZE = (720, 240)  # points
LOSS = "loss/l1"
Curve = Mapping[int, float]  # value by iteration


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

    Args:
        curves: of one run, as `read_curves` gives them.
        theme: colors.

    Raises:
        UserError: there is no pixel loss among the curves, or matplotlib is not installed.
    """
    if LOSS not in curves:
        raise UserError(f"the curves of the run have no {LOSS}")
    figure, (left, right) = new_chart(theme, SIZE, columns=2, share_y=False)
    from matplotlib.ticker import LogLocator

    loss = curves[LOSS]
    left.plot(list(loss), list(loss.values()), color=theme.line, linewidth=1, gid="curve-loss")
    mean = stretch_means(loss)
    left.plot(list(mean), list(mean.values()), color=theme.training, linewidth=2, gid="curve-loss-mean")
    left.set_yscale("log")
    left.yaxis.set_major_formatter("{x:g}")
    left.yaxis.set_minor_locator(LogLocator(subs=[2, 5]))
    left.yaxis.set_minor_formatter("{x:g}")
    left.grid(axis="y", which="minor", color=theme.line, linewidth=0.7)
    left.set_ylabel("L1 loss in training", labelpad=8)
    for name, curve in curves.items():
        if not (name.startswith("val/") and name.endswith("/psnr_y")):
            continue
        style: dict[str, Any] = {"linewidth": 2, "marker": "o", "markersize": 4, "clip_on": False}
        right.plot(list(curve), list(curve.values()), color=theme.ours, gid=name, **style)
        last, value = list(curve.items())[-1]
        label = f"{name.split('/')[1]}  {value:.2f}"
        place: dict[str, Any] = {"xytext": (0, 8), "textcoords": "offset points", "ha": "right"}
        right.annotate(label, (last, value), annotation_clip=False, color=theme.ours, **place)
    right.set_ylabel("PSNR on Y (dB)", labelpad=8)
    right.margins(y=0.15)
    for axes in (left, right):
        axes.set_xlabel("iteration", labelpad=8)
        axes.set_xlim(0, max(map(max, curves.values())))
    return to_svg(figure)


def stretch_means(curve: Curve, parts: int = 40) -> Curve:
    """Means over consecutive stretches of a curve, at most `parts` of them, each at the middle of its stretch."""
    points = list(curve.items())
    starts = sorted({len(points) * part // parts for part in range(parts + 1)})
    means = {}
    for start, end in pairwise(starts):
        iterations, values = zip(*points[start:end], strict=True)
        means[sum(iterations) // len(iterations)] = sum(values) / len(values)
    return means

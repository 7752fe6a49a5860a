"""PSNR against parameters and against multiply-adds, published methods and this project's."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plidenet.figures.charts import POINTS_PER_INCH, new_chart, to_svg
from plidenet.figures.labels import Box, place_labels
from plidenet.figures.methods import PAPER, Method, apart
from plidenet.figures.theme import Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE = (760, 400)  # points
WITHIN = 2.0  # dB below the best; what is further below stands in a note
LETTER = (5.6, 12.0)  # width and height that a name's letter takes at most, in points


@dataclass(frozen=True)
class Marker:
    """A point of a chart: place, name, color, whether it is filled, and matplotlib's name of its shape."""

    x: float
    y: float
    name: str
    color: str
    filled: bool
    symbol: str = "o"


def draw_cost_chart(methods: Sequence[Method], counted: float, benchmark: str, theme: Theme) -> str:
    """Two charts beside each other, and notes that say where the numbers come from, as SVG.

    Args:
        methods: published and measured ones, at least one.
        counted: multiply-adds of the paper's network as counted here, in G.
        benchmark: its name and scale, for the axis.
        theme: colors.

    Raises:
        UserError: matplotlib is not installed.
    """
    shown, below = apart(methods, WITHIN)
    parameters = [_marker(one.parameters, one, theme) for one in shown if one.parameters]
    arithmetic = [_marker(one.multiply_adds, one, theme) for one in shown if one.multiply_adds]
    recount = [one for one in arithmetic if one.name == PAPER]
    if recount:
        recount.append(Marker(counted, recount[0].y, f"{PAPER}, counted: {counted:.0f} G", theme.ours, False, "D"))
        arithmetic.append(recount[-1])
    named = [("parameters (M)", parameters), ("multiply-adds (G), as each source counts them", arithmetic)]
    charts = [(label, markers) for label, markers in named if markers]

    figure, all_axes = new_chart(theme, SIZE, columns=len(charts))
    top, bottom = max(one.psnr for one in shown), min(one.psnr for one in shown)
    margin = 0.12 * max(top - bottom, 0.1)
    all_axes[0].set_ylim(bottom - margin, top + margin)
    all_axes[0].set_ylabel(f"PSNR on Y (dB), {benchmark}", labelpad=8)
    for axes, (label, markers) in zip(all_axes, charts, strict=True):
        axes.set_xlabel(label, labelpad=8)
        _scale(axes, [one.x for one in markers])
    lines = notes(methods, below, bool(recount))
    figure.supxlabel("\n".join(lines), color=theme.muted, fontsize=8.5, x=0.01, ha="left")
    figure.draw_without_rendering()  # which lays the axes out: from here on they keep their places
    figure.set_layout_engine("none")
    for axes, (_, markers) in zip(all_axes, charts, strict=True):
        _draw(axes, markers, recount if markers is arithmetic else [], theme)
    return to_svg(figure)


def notes(methods: Sequence[Method], below: Sequence[Method], recounted: bool) -> list[str]:
    """The lines beneath the charts: sources, what is measured, what the dashed line is, and what is out of sight."""
    sources = dict.fromkeys(one.source for one in methods if not one.measured)
    first, second = [], []
    if sources:
        first.append(f"Circles: as published ({', '.join(sources)}).")
    if any(one.measured for one in methods):
        first.append("Filled: measured by this project, multiply-adds counted for a 64x64 LR image.")
    if recounted:
        second.append("Dashed: the paper's network, its multiply-adds counted here for a 64x64 LR image.")
    if below:
        second.append(f"Below the axis: {', '.join(f'{one.name} {one.psnr:.2f} dB' for one in below)}.")
    return [" ".join(sentences) for sentences in (first, second) if sentences]


def _scale(axes: "Axes", values: Sequence[float]) -> None:
    """A logarithmic axis with a few round numbers."""
    from matplotlib.ticker import FixedLocator, NullLocator

    low, high = min(values) / 1.25, max(values) * 1.45
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    ticks = [tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if low <= tick <= high]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])


def _draw(axes: "Axes", markers: Sequence[Marker], dashed: Sequence[Marker], theme: Theme) -> None:
    """Draw markers with their names, and a dashed line from the first to the last of `dashed`."""
    for one in markers:
        axes.plot(
            one.x, one.y, one.symbol, markersize=7 if one.symbol == "o" else 6, color=one.color, markeredgewidth=1.6,
            markerfacecolor=one.color if one.filled else theme.page, zorder=3,
        )  # fmt: skip
    to_points = POINTS_PER_INCH / axes.figure.dpi
    places = [tuple(to_points * axes.transData.transform((one.x, one.y))) for one in markers]
    sizes = [(LETTER[0] * len(one.name), LETTER[1]) for one in markers]
    left, bottom, right, top = (to_points * edge for edge in axes.bbox.extents)
    lines: list[Box] = []
    if dashed:
        axes.plot([one.x for one in dashed], [one.y for one in dashed], "--", color=theme.ours, linewidth=1.2, zorder=2)
        (x0, y0), (x1, y1) = (places[markers.index(one)] for one in (dashed[0], dashed[-1]))
        lines = [(min(x0, x1), min(y0, y1) - 2, max(x0, x1), max(y0, y1) + 2)]
    labels = place_labels(places, sizes, (left, bottom, right, top), lines)
    for one, (x, y), label in zip(markers, places, labels, strict=True):
        side = "left" if label[0] > x else "right" if label[2] < x else "center"
        anchor = {"left": label[0], "right": label[2], "center": (label[0] + label[2]) / 2}[side]
        axes.annotate(
            one.name, (one.x, one.y), (anchor - x, (label[1] + label[3]) / 2 - y), textcoords="offset points", ha=side,
            va="center", color=theme.ink if one.color == theme.muted else one.color, annotation_clip=False,
        )  # fmt: skip


def _marker(x: float, method: Method, theme: Theme) -> Marker:
    color = theme.ours if method.measured or method.name == PAPER else theme.muted
    return Marker(x, method.psnr, method.name, color, method.measured)

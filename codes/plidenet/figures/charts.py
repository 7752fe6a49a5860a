"""Empty charts in a theme's colors, and their SVGs. Needs matplotlib, which is an optional extra."""

import io
from typing import TYPE_CHECKING, Any

from plidenet.errors import UserError
from plidenet.figures.theme import FONTS, Theme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MEASURED_WITH = "DejaVu Sans"  # comes with matplotlib, so that texts have the same sizes everywhere
SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "plidenet",  # the same drawing has the same bytes
    "font.family": MEASURED_WITH,
    "font.size": 10.0,
    "figure.constrained_layout.wspace": 0.06,
}
POINTS_PER_INCH = 72


def require_matplotlib() -> None:
    """Raise UserError where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":  # it is there, but broken: its own message helps more
            raise
        message = "figures need the package matplotlib, which is not installed: pip install -e '.[figures]'"
        raise UserError(message) from error


def new_chart(
    theme: Theme, size: tuple[float, float], columns: int = 1, share_y: bool = True
) -> "tuple[Figure, list[Axes]]":
    """A transparent figure with axes beside each other.

    Args:
        theme: colors.
        size: width and height in points.
        columns: how many axes.
        share_y: whether they have one y axis, the first one's.

    Raises:
        UserError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    width, height = (length / POINTS_PER_INCH for length in size)
    with rc_context(SETTINGS):
        figure = Figure(figsize=(width, height), facecolor="none", layout="constrained")
        axes = list(figure.subplots(1, columns, sharey=share_y, squeeze=False)[0])
    for one in axes:
        one.set_facecolor("none")
        one.grid(axis="y", color=theme.line, linewidth=0.7)
        one.set_axisbelow(True)
        one.tick_params(which="both", length=0, pad=6, colors=theme.muted)
        one.xaxis.label.set_color(theme.ink)
        one.yaxis.label.set_color(theme.ink)
        for side, spine in one.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(theme.line)
    return figure, axes


def to_svg(figure: "Figure") -> str:
    """A figure as SVG, its texts as text in the reader's own fonts, without a date."""
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context(SETTINGS):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue().replace(f"'{MEASURED_WITH}'", FONTS)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"

"""PSNR against the width of the blur kernel."""

from collections.abc import Mapping
from typing import Any

from plidenet.figures.charts import new_chart, to_svg
from plidenet.figures.theme import Theme

SIZE = (430, 260)  # points


def draw_width_curves(bicubic: Mapping[float, float], ours: Mapping[float, float], theme: Theme) -> str:
    """Two curves with their names at their ends, as SVG.

    Args:
        bicubic: mean PSNR on Y (dB) by kernel width in HR pixels.
        ours: the same of the network.
        theme: colors.

    Raises:
        UserError: matplotlib is not installed.
    """
    figure, (axes,) = new_chart(theme, SIZE)
    for name, curve, color in (("bicubic", bicubic, theme.muted), ("ours", ours, theme.ours)):
        widths, values = list(curve), list(curve.values())
        axes.plot(widths, values, color=color, linewidth=2, marker="o", markersize=5, gid=f"curve-{name}")
        style: dict[str, Any] = {"xytext": (9, 0), "textcoords": "offset points", "va": "center", "color": color}
        axes.annotate(f"{name}  {values[-1]:.1f}", (widths[-1], values[-1]), annotation_clip=False, **style)
        style |= {"xytext": (0, 10), "ha": "center", "va": "bottom"}
        axes.annotate(f"{values[0]:.1f}", (widths[0], values[0]), **style)
    widths = sorted({*bicubic, *ours})
    axes.set_xticks(widths, [f"{width:g}" for width in widths])
    axes.set_xlabel("width of the blur kernel (HR pixels)", labelpad=8)
    axes.set_ylabel("PSNR on Y (dB)", labelpad=8)
    axes.margins(x=0.05, y=0.14)
    return to_svg(figure)

"""The two palettes of the figures: every figure is drawn once for light pages and once for dark ones."""

from dataclasses import dataclass

FONTS = "-apple-system, BlinkMacSystemFont, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif"
MATH_FONTS = "'STIX Two Text', Cambria, Georgia, 'Times New Roman', serif"


@dataclass(frozen=True)
class Theme:
    """Colors as #rrggbb, by what they stand for; the page itself shows through everywhere else.

    Attributes:
        name: light or dark, as in `prefers-color-scheme`.
        ink: text.
        muted: text of less weight, and baselines to compare with.
        line: axes, grids and borders.
        panel: the inside of boxes.
        page: what the page itself usually is, for boxes on a panel.
        ours: this project's results, and the restoration of an image.
        kernel: blur kernels and what is made of them.
        training: what takes part in training alone.
    """

    name: str
    ink: str
    muted: str
    line: str
    panel: str
    page: str
    ours: str
    kernel: str
    training: str


LIGHT = Theme("light", "#1f2328", "#656d76", "#d1d9e0", "#f6f8fa", "#ffffff", "#2260c9", "#b45309", "#8250df")
DARK = Theme("dark", "#e6edf3", "#8d96a0", "#3d444d", "#161b22", "#0d1117", "#79b0ff", "#f0b35e", "#bc8cff")
THEMES = (LIGHT, DARK)

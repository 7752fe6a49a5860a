"""A drawing in SVG: boxes, texts with subscripts, and lines with rounded bends."""

import math
import re
from collections.abc import Sequence
from xml.sax.saxutils import escape

from plidenet.figures.theme import FONTS, MATH_FONTS

Point = tuple[float, float]
MARKUP = re.compile(r"\*(?P<italic>[^*]+)\*|_\{(?P<sub>[^}]+)\}")
SHIFT = 0.28  # of a subscript, in heights of the text around it
SMALL = 0.72
BEND = 8.0  # radius of a line's bends


class Drawing:
    """An SVG document under construction; lengths in its own units, y downwards.

    Args:
        width: of the drawing.
        height: of the drawing.
        title: what it shows, for those who cannot see it.
    """

    def __init__(self, width: float, height: float, title: str) -> None:
        self._head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(width)} {_n(height)}" width="{_n(width)}" '
            f'height="{_n(height)}" font-family="{FONTS}" role="img" aria-label="{escape(title)}">\n'
            f"<title>{escape(title)}</title>\n"
        )
        self._parts: list[str] = []

    def __str__(self) -> str:
        return self._head + "\n".join(self._parts) + "\n</svg>\n"

    def add(self, markup: str) -> None:
        """Append SVG as it is."""
        self._parts.append(markup)

    def box(
        self, left: float, top: float, width: float, height: float, *, fill: str = "none", stroke: str = "none",
        radius: float = 8, dashed: bool = False,
    ) -> None:  # fmt: skip
        """A rectangle with round corners."""
        dashes = ' stroke-dasharray="4 4"' if dashed else ""
        self.add(
            f'<rect x="{_n(left)}" y="{_n(top)}" width="{_n(width)}" height="{_n(height)}" rx="{_n(radius)}" '
            f'fill="{fill}" stroke="{stroke}" stroke-width="1.25"{dashes}/>'
        )

    def circle(self, center: Point, radius: float, *, fill: str = "none", stroke: str = "none") -> None:
        x, y = center
        self.add(
            f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" fill="{fill}" stroke="{stroke}" stroke-width="1.25"/>'
        )

    def text(
        self, at: Point, content: str, *, size: float = 13, color: str, anchor: str = "middle", weight: int = 400
    ) -> None:
        """One line of text; `at` is on its baseline.

        In `content`, *K* is a variable and _{n} a subscript.
        """
        x, y = at
        self.add(
            f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" font-weight="{weight}" text-anchor="{anchor}" '
            f'fill="{color}">{_spans(content, size)}</text>'
        )

    def line(
        self, points: Sequence[Point], *, color: str, head: bool = True, dashed: bool = False, width: float = 1.5
    ) -> None:
        """A line along horizontal and vertical pieces, its bends rounded, with an arrow's head at the last point."""
        *_, before, end = points
        length = math.dist(before, end)
        along = ((end[0] - before[0]) / length, (end[1] - before[1]) / length)
        if head:
            points = [*points[:-1], (end[0] - 5 * along[0], end[1] - 5 * along[1])]
        dashes = ' stroke-dasharray="4 3"' if dashed else ""
        self.add(f'<path d="{_rounded(points)}" fill="none" stroke="{color}" stroke-width="{_n(width)}"{dashes}/>')
        if head:
            (x, y), (dx, dy) = end, along
            corners = [
                (x, y),
                (x - 7 * dx - 3.5 * dy, y - 7 * dy + 3.5 * dx),
                (x - 7 * dx + 3.5 * dy, y - 7 * dy - 3.5 * dx),
            ]
            self.add(f'<path d="M{" L".join(f"{_n(cx)} {_n(cy)}" for cx, cy in corners)}Z" fill="{color}"/>')


def _rounded(points: Sequence[Point]) -> str:
    parts = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        start, end = _toward(corner, before), _toward(corner, after)
        parts.append(f"L{_n(start[0])} {_n(start[1])} Q{_n(corner[0])} {_n(corner[1])} {_n(end[0])} {_n(end[1])}")
    parts.append(f"L{_n(points[-1][0])} {_n(points[-1][1])}")
    return " ".join(parts)


def _toward(start: Point, end: Point) -> Point:
    share = min(BEND, math.dist(start, end) / 2) / math.dist(start, end)
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _spans(content: str, size: float) -> str:
    """Text with its markup as tspans; one after a subscript goes back to the line."""
    spans, position, back = [], 0, 0.0
    for match in [*MARKUP.finditer(content), None]:
        plain = content[position : match.start() if match else None]
        if plain:
            spans.append(_span(plain, "", back))
            back = 0.0
        if match:
            position, kind = match.end(), match.lastgroup
            if kind == "italic":
                spans.append(_span(match[kind], f' font-family="{MATH_FONTS}" font-style="italic"', back))
                back = 0.0
            elif kind:
                shift = SHIFT * size
                style = f' font-family="{MATH_FONTS}" font-style="italic" font-size="{_n(SMALL * size)}"'
                spans.append(_span(match[kind], style, back + shift))
                back = -shift
    return "".join(spans)


def _span(text: str, style: str, shift: float) -> str:
    if not style and not shift:
        return escape(text)
    moved = f' dy="{_n(shift)}"' if shift else ""
    return f"<tspan{style}{moved}>{escape(text)}</tspan>"


def _n(number: float) -> str:
    """A coordinate, with two decimals at most."""
    return f"{number:.2f}".rstrip("0").rstrip(".")

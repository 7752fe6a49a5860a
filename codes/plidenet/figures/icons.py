"""Small pictures for the diagram: a landscape, sharp or in the squares of a low resolution, and a blur kernel."""

import math

from plidenet.figures.svg import Drawing, Point

Color = tuple[float, ...]

SKY_TOP, SKY_LOW, SUN = (62.0, 108, 184), (248.0, 206, 160), (255.0, 244, 214)
HILLS: tuple[tuple[float, float, float, float, Color], ...] = (  # height, swell, waves, phase, color; far to near
    (0.64, 0.09, 1.1, 0.9, (126.0, 124, 158)),
    (0.76, 0.08, 1.5, 3.6, (70.0, 92, 116)),
    (0.90, 0.06, 1.2, 1.9, (34.0, 56, 70)),
)
SUN_X, SUN_Y, SUN_RADIUS = 0.66, 0.36, 0.13
TAPS, KERNEL_WIDTH = 11, 2.1
SAMPLES = 5  # in each direction, of a square's mean color
STEPS = 24  # of a hill's outline


def draw_sharp_scene(drawing: Drawing, at: Point, side: float) -> None:
    """The landscape as a square picture of this side."""
    x, y = at
    name = f"sky{x:g}-{y:g}"
    drawing.add(
        f'<linearGradient id="{name}" x2="0" y2="1"><stop stop-color="{_hex(SKY_TOP)}"/>'
        f'<stop offset="0.85" stop-color="{_hex(SKY_LOW)}"/></linearGradient>'
        f'<g transform="translate({x:g} {y:g}) scale({side:g})"><path d="M0 0h1v1h-1z" fill="url(#{name})"/>'
        f'<circle cx="{SUN_X}" cy="{SUN_Y}" r="{SUN_RADIUS}" fill="{_hex(SUN)}"/>'
    )
    for hill in HILLS:
        outline = " ".join(f"L{i / STEPS:.3f} {_crest(hill, i / STEPS):.3f}" for i in range(STEPS + 1))
        drawing.add(f'<path d="M0 1 {outline} L1 1z" fill="{_hex(hill[-1])}"/>')
    drawing.add("</g>")


def draw_coarse_scene(drawing: Drawing, at: Point, side: float, cells: int) -> None:
    """The same in cells x cells squares, each with the landscape's mean color there."""
    x, y = at
    scale = side / cells
    drawing.add(f'<g transform="translate({x:g} {y:g}) scale({scale:g})" shape-rendering="crispEdges">')
    for row in range(cells):
        for column in range(cells):
            drawing.add(f'<path d="M{column} {row}h1v1h-1z" fill="{_hex(_mean_color(column, row, cells))}"/>')
    drawing.add("</g>")


def draw_kernel_icon(drawing: Drawing, at: Point, side: float, edge: str) -> None:
    """A Gaussian kernel in squares, its maximum white."""
    x, y = at
    drawing.box(x, y, side, side, fill="#000000", radius=0)
    drawing.add(
        f'<g transform="translate({x:g} {y:g}) scale({side / TAPS:.4f})" shape-rendering="crispEdges" fill="#ffffff">'
    )
    for row in range(TAPS):
        for column in range(TAPS):
            value = math.exp(-0.5 * ((row - TAPS // 2) ** 2 + (column - TAPS // 2) ** 2) / KERNEL_WIDTH**2)
            if value > 0.01:
                drawing.add(f'<path d="M{column} {row}h1v1h-1z" opacity="{value:.2f}"/>')
    drawing.add("</g>")
    drawing.box(x, y, side, side, stroke=edge, radius=0)


def _mean_color(column: int, row: int, cells: int) -> Color:
    offsets = [(i + 0.5) / SAMPLES for i in range(SAMPLES)]
    colors = [_color((column + dx) / cells, (row + dy) / cells) for dy in offsets for dx in offsets]
    return tuple(sum(channel) / len(colors) for channel in zip(*colors, strict=True))


def _color(x: float, y: float) -> Color:
    """The landscape's color at a point of the unit square."""
    for hill in reversed(HILLS):
        if y > _crest(hill, x):
            return hill[-1]
    if math.hypot(x - SUN_X, y - SUN_Y) < SUN_RADIUS:
        return SUN
    share = min(y / 0.85, 1)
    return tuple((1 - share) * top + share * low for top, low in zip(SKY_TOP, SKY_LOW, strict=True))


def _crest(hill: tuple[float, float, float, float, Color], x: float) -> float:
    height, swell, waves, phase, _ = hill
    return height + swell * math.sin(math.tau * waves * x + phase)


def _hex(color: Color) -> str:
    return "#" + "".join(f"{round(channel):02x}" for channel in color)

"""The diagram of the network: what is computed of what, and through which loss each part learns."""

from plidenet.figures.icons import draw_coarse_scene, draw_kernel_icon, draw_sharp_scene
from plidenet.figures.svg import Drawing, Point
from plidenet.figures.theme import Theme

TIMES = "\u00d7"
WIDTH, HEIGHT = 1080, 616
TITLE = (
    "PL-IDENet: an estimator finds the blur kernel of an LR image; an upsampled image is deconvolved by it in the "
    "Fourier domain and refined by four groups that prompts of the kernel's embedding condition"
)
ROW = 114.0  # the restoration's height on the page
KERNEL_ROW = 292.0
TOP, BOTTOM = 18.0, 196.0  # of the two large boxes beside each other
BUS = 220.0  # the height at which the embedding is shared out
GROUPS = (584, 638, 692, 746)
GROUP_WIDTH = 42


def draw_pipeline(theme: Theme) -> str:
    """The whole network, `sr, kernel = net(lr)`, its losses, and one of its prompt-conditioned groups: an SVG."""
    drawing = Drawing(WIDTH, HEIGHT, TITLE)
    _restoration(drawing, theme)
    _refinement(drawing, theme)
    _kernel(drawing, theme)
    _training(drawing, theme)
    _group(drawing, theme)
    return str(drawing)


def _restoration(drawing: Drawing, theme: Theme) -> None:
    """LR image, upsampler, Wiener deconvolution, SR image."""
    drawing.line([(88, ROW), (128, ROW)], color=theme.ours)
    drawing.line([(236, ROW), (276, ROW)], color=theme.ours)
    drawing.line([(476, ROW), (516, ROW)], color=theme.ours)
    drawing.line([(948, ROW), (988, ROW)], color=theme.ours)
    draw_coarse_scene(drawing, (16, ROW - 36), 72, cells=9)
    _caption(drawing, theme, (52, ROW + 54), "LR image *y*", f"3 {TIMES} *h* {TIMES} *w*")
    _block(drawing, theme, (128, ROW - 30), (108, 60), "Upsampler", "conv, pixel shuffle")
    drawing.text((256, ROW - 8), "*u*", size=15, color=theme.ink)
    _wiener(drawing, theme)
    drawing.text((496, ROW - 8), "*d*", size=15, color=theme.ink)
    draw_sharp_scene(drawing, (988, ROW - 36), 72)
    _caption(drawing, theme, (1024, ROW + 54), "SR image", f"3 {TIMES} *sh* {TIMES} *sw*")


def _wiener(drawing: Drawing, theme: Theme) -> None:
    """The deconvolution's two formulas."""
    _block(drawing, theme, (276, TOP), (200, BOTTOM - TOP), "", "")
    x, bar = 376, ROW - 2
    drawing.text((x, TOP + 22), "Wiener deconvolution", size=14, color=theme.ink, weight=600)
    drawing.text((x, TOP + 40), "in the Fourier domain, *n* = 1 … 4", size=11.5, color=theme.muted)
    drawing.text((x - 86, bar + 4), "*X*_{n} =", size=13.5, color=theme.ink, anchor="start")
    drawing.text((x + 20, bar - 7), "conj(*D*_{K}) · FFT(*v*)", size=13, color=theme.ink)
    drawing.line([(x - 48, bar), (x + 88, bar)], color=theme.ink, head=False, width=1)
    drawing.text((x + 20, bar + 17), "|*D*_{K}|² + exp(*a*_{n}) Σ|*G*_{i}|²", size=13, color=theme.ink)
    drawing.text((x, bar + 44), "*d* = Σ *w*_{n} · FFT⁻¹(*X*_{n})", size=13.5, color=theme.ink)
    drawing.text((x, BOTTOM - 10), "*v*: *u* with its edges tapered", size=11.5, color=theme.muted)


def _refinement(drawing: Drawing, theme: Theme) -> None:
    """The body: convolutions, four groups, two long skips."""
    color = theme.ours
    drawing.box(516, TOP, 432, BOTTOM - TOP, fill=theme.panel, stroke=theme.line, radius=10)
    drawing.text((532, TOP + 22), "Refinement", size=14, color=theme.ink, anchor="start", weight=600)
    drawing.text((628, TOP + 22), "at HR size", size=12, color=theme.muted, anchor="start")
    drawing.text((932, TOP + 22), "LayerNorm before and after the groups", size=11.5, color=theme.muted, anchor="end")
    drawing.line([(516, ROW), (532, ROW)], color=color)
    drawing.line([(524, ROW), (524, 68), (928, 68), (928, ROW - 8)], color=color)
    drawing.line([(575, ROW), (575, 83), (858, 83), (858, ROW - 8)], color=color)
    edges = [566, *GROUPS, 806, 850, 876, 920]
    sides = [566, *(left + GROUP_WIDTH for left in GROUPS), 840, 866, 910]
    for end, start in zip(edges[1:], sides, strict=True):
        drawing.line([(start, ROW), (end, ROW)], color=color)
    drawing.line([(936, ROW), (948, ROW)], color=color, head=False)
    for point in ((524, ROW), (575, ROW)):
        drawing.circle(point, 2.5, fill=color)
    for left in (532, 806, 876):
        _block(drawing, theme, (left, ROW - 20), (34, 40), "", "conv", page=True)
    for number, left in enumerate(GROUPS, 1):
        _block(drawing, theme, (left, ROW - 22), (GROUP_WIDTH, 44), "", "", page=True)
        drawing.text((left + GROUP_WIDTH / 2, ROW - 3), "group", size=11, color=theme.muted)
        drawing.text((left + GROUP_WIDTH / 2, ROW + 14), str(number), size=14, color=theme.ink, weight=600)
    for x in (858, 928):
        _sum(drawing, theme, (x, ROW))


def _kernel(drawing: Drawing, theme: Theme) -> None:
    """Kernel estimator, stop-gradient, kernel embedding, and where they lead."""
    color, row = theme.kernel, KERNEL_ROW
    drawing.circle((108, ROW), 2.5, fill=theme.ours)
    drawing.line([(108, ROW), (108, row), (128, row)], color=color)
    _block(drawing, theme, (128, row - 32), (140, 64), "Kernel estimator", "U-shape, mean, softmax")
    drawing.line([(268, row), (296, row)], color=color)
    draw_kernel_icon(drawing, (296, row - 30), 60, theme.kernel)
    drawing.text((326, row - 58), "kernel *K*", size=13, color=theme.ink)
    drawing.text((326, row - 41), f"21 {TIMES} 21, ≥ 0, Σ = 1", size=11.5, color=theme.muted)
    drawing.line([(356, row), (430, row), (430, BOTTOM)], color=color)
    drawing.line([(430, row), (476, row)], color=color)
    drawing.circle((430, row), 2.5, fill=color)
    _stop_gradient(drawing, theme, (394, row))
    _block(drawing, theme, (476, row - 32), (148, 64), "Kernel embedding", "Linear 441 → 128, ReLU")
    middle = (GROUPS[0] + GROUPS[-1] + GROUP_WIDTH) / 2
    drawing.line([(624, row), (middle, row), (middle, BUS)], color=color, head=False)
    drawing.text((middle + 13, row - 26), "*e*", size=15, color=theme.ink)
    centers = [left + GROUP_WIDTH / 2 for left in GROUPS]
    for x in centers:
        drawing.line([(middle, BUS), (x, BUS), (x, ROW + 22)], color=color)


def _training(drawing: Drawing, theme: Theme) -> None:
    """The losses, dashed."""
    color = theme.training
    drawing.box(130, 388, 346, 212, stroke=color, radius=10, dashed=True)
    drawing.text((146, 411), "training only", size=13, color=color, anchor="start", weight=600)
    drawing.line([(326, 322), (326, 428)], color=theme.kernel)
    drawing.text((338, 352), "with gradient: the only way", size=11.5, color=theme.muted, anchor="start")
    drawing.text((338, 367), "in which the estimator learns", size=11.5, color=theme.muted, anchor="start")
    draw_sharp_scene(drawing, (152, 430), 56)
    drawing.text((180, 503), "HR image *x*", size=13, color=theme.ink)
    drawing.line([(208, 458), (246, 458)], color=color, dashed=True)
    _block(drawing, theme, (246, 428), (160, 60), "Degrade", "blur by *K*, bicubic ↓ *s*")
    drawing.line([(326, 488), (326, 530)], color=color, dashed=True)
    drawing.circle((108, KERNEL_ROW), 2.5, fill=theme.kernel)
    drawing.line([(108, KERNEL_ROW), (108, 558), (246, 558)], color=color, dashed=True)
    drawing.text((222, 550), "*y*", size=15, color=theme.ink)
    _block(drawing, theme, (246, 530), (160, 56), "LR consistency", "L1 distance to *y*", edge=color)
    drawing.line([(1024, ROW + 84), (1024, KERNEL_ROW - 32)], color=color, dashed=True)
    _block(
        drawing,
        theme,
        (872, KERNEL_ROW - 32),
        (192, 64),
        "L1, gradient difference",
        "of SR and HR image *x*",
        edge=color,
    )


def _group(drawing: Drawing, theme: Theme) -> None:
    """What one group holds."""
    color, top, row, low = theme.ours, 462.0, 510.0, 556.0
    drawing.box(516, 388, 548, 212, fill=theme.panel, stroke=theme.line, radius=10)
    drawing.text((532, 411), "One group", size=14, color=theme.ink, anchor="start", weight=600)
    note = "C: concatenation; prompts of 32, 64, 64, 64 channels"
    drawing.text((1048, 411), note, size=11.5, color=theme.muted, anchor="end")
    drawing.text((534, row + 5), "*t*", size=15, color=theme.ink)
    drawing.line([(544, row), (554, row), (554, top), (576, top)], color=color)
    drawing.line([(554, row), (718, row), (718, top + 9)], color=color)
    drawing.line([(554, row), (554, low), (738, low)], color=color)
    drawing.line([(554, low), (554, 586), (1010, 586), (1010, row + 8)], color=color)
    for y in (row, low):
        drawing.circle((554, y), 2.5, fill=color)
    drawing.line([(633, 418), (633, top - 25)], color=theme.kernel)
    drawing.text((620, 430), "*e*", size=15, color=theme.ink)
    _block(drawing, theme, (576, top - 25), (114, 50), "Prompt|generation", "", page=True)
    drawing.line([(690, top), (709, top)], color=color)
    drawing.line([(727, top), (744, top)], color=color)
    _block(drawing, theme, (744, top - 25), (124, 50), "Prompt|interaction", "", page=True)
    drawing.line([(868, top), (898, top), (898, row - 9)], color=color)
    drawing.text((882, top - 7), "*q*", size=15, color=theme.ink)
    _block(drawing, theme, (738, low - 20), (130, 40), "4 Swin blocks", "", page=True)
    drawing.line([(868, low), (898, low), (898, row + 9)], color=color)
    drawing.text((882, low - 7), "*z*", size=15, color=theme.ink)
    drawing.line([(907, row), (926, row)], color=color)
    _block(drawing, theme, (926, row - 22), (62, 44), "conv", "→ 96", page=True)
    drawing.line([(988, row), (1002, row)], color=color)
    drawing.line([(1018, row), (1040, row)], color=color)
    drawing.text((1050, row + 5), "*t*", size=15, color=theme.ink)
    _sum(drawing, theme, (1010, row))
    for center in ((718, top), (898, row)):
        _concatenation(drawing, theme, center)


def _block(
    drawing: Drawing, theme: Theme, at: Point, size: tuple[float, float], title: str, note: str, *,
    edge: str | None = None, page: bool = False,
) -> None:  # fmt: skip
    """A box with a title (its lines parted by |) and a note beneath, each of which may be missing.

    `page` is for boxes on a panel.
    """
    (x, y), (width, height) = at, size
    drawing.box(x, y, width, height, fill=theme.page if page else theme.panel, stroke=edge or theme.line)
    lines = [(line, 13.5, theme.ink, 600) for line in title.split("|") if line]
    lines += [(note, 11.5, theme.muted, 400)] if note else []
    baseline = y + height / 2 + 4.5 - 8.5 * (len(lines) - 1)
    for number, (line, text_size, color, weight) in enumerate(lines):
        drawing.text((x + width / 2, baseline + 17 * number), line, size=text_size, color=color, weight=weight)


def _caption(drawing: Drawing, theme: Theme, at: Point, name: str, shape: str) -> None:
    drawing.text(at, name, size=13, color=theme.ink)
    drawing.text((at[0], at[1] + 17), shape, size=12, color=theme.muted)


def _sum(drawing: Drawing, theme: Theme, center: Point) -> None:
    x, y = center
    drawing.circle(center, 8, fill=theme.page, stroke=theme.ours)
    drawing.line([(x - 4, y), (x + 4, y)], color=theme.ours, head=False)
    drawing.line([(x, y - 4), (x, y + 4)], color=theme.ours, head=False)


def _concatenation(drawing: Drawing, theme: Theme, center: Point) -> None:
    drawing.circle(center, 9, fill=theme.page, stroke=theme.ours)
    drawing.text((center[0], center[1] + 4), "C", size=11, color=theme.ours, weight=600)


def _stop_gradient(drawing: Drawing, theme: Theme, center: Point) -> None:
    """Two strokes across a horizontal line."""
    x, y = center
    for shift in (-3, 3):
        drawing.add(
            f'<path d="M{x + shift - 3} {y + 9}L{x + shift + 3} {y - 9}" stroke="{theme.kernel}" stroke-width="1.75" '
            'stroke-linecap="round"/>'
        )
    drawing.text((x, y + 26), "stop-gradient", size=11.5, color=theme.muted)

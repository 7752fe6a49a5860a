"""One HTML page with before/after sliders, everything in the one file: no other is read, and nothing is fetched."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from string import Template

import cv2
import numpy as np

from plidenet.data.images import encode_image
from plidenet.evaluation.drawing import draw_kernel
from plidenet.figures.results import Scene
from plidenet.figures.theme import DARK, FONTS, LIGHT, Theme

QUALITY = 92  # of WebP, up to 100
SCENE = Template("""<article>
<h2>$name<small>$blur</small></h2>
<div class="stage" style="aspect-ratio: $width / $height">
<img src="$ours" alt="$name restored by the network" draggable="false">
<span class="tag right">ours</span>
<div class="left">
<img src="$lr" alt="$name, LR image" data-name="LR" class="pixels" draggable="false" hidden>
<img src="$bicubic" alt="$name enlarged by bicubic interpolation" data-name="bicubic" draggable="false">
<img src="$hr" alt="$name, HR image" data-name="HR" draggable="false" hidden>
<span class="tag">bicubic</span>
</div>
<div class="bar"></div>
<input type="range" min="0" max="100" step="1" value="50" aria-label="Line between the two pictures of $name, $blur">
</div>
<div class="facts">
<table>
<tr><th></th><th scope="col">PSNR (dB)</th><th scope="col">SSIM</th></tr>
<tr><td>bicubic</td>$bicubic_scores</tr>
<tr class="ours"><td>ours</td>$ours_scores</tr>
</table>
$kernels
</div>
</article>""")


def draw_page(scenes: Sequence[Scene], scale: int, note: str, curves: Mapping[str, str]) -> str:
    """The page, as HTML.

    Args:
        scenes: each gets a slider, its scores and its kernels.
        scale: HR size / LR size.
        note: which network this is and what it was trained on; plain text.
        curves: PSNR by kernel width, an SVG by theme name; may be empty.
    """
    template = Template((resources.files(__package__) / "page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title="PL-IDENet, before and after",
        note=escape(note),
        scale=scale,
        fonts=FONTS,
        light=_variables(LIGHT),
        dark=_variables(DARK),
        scenes="\n".join(map(_scene, scenes)),
        curves=_curves(curves),
    )


def encode_webp(image: np.ndarray) -> bytes:
    """uint8 (H,W,3) RGB or (H,W,4) RGBA as a WebP file of a few percent of the size that lossless ones have."""
    order = cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    return cv2.imencode(".webp", cv2.cvtColor(image, order), [cv2.IMWRITE_WEBP_QUALITY, QUALITY])[1].tobytes()


def _scene(scene: Scene) -> str:
    height, width = scene.hr.shape[:2]
    return SCENE.substitute(
        name=escape(scene.title),
        blur=escape(scene.blur),
        width=width,
        height=height,
        lr=_data("image/png", encode_image(scene.lr)),
        **{name: _data("image/webp", encode_webp(getattr(scene, name))) for name in ("bicubic", "ours", "hr")},
        **{
            f"{method}_scores": f"<td>{one.psnr:.2f}</td><td>{one.ssim:.4f}</td>"
            for method, one in scene.scores.items()
        },
        kernels=_kernels({"true kernel": scene.true_kernel, "estimated": scene.estimated_kernel}),
    )


def _kernels(kernels: Mapping[str, np.ndarray | None]) -> str:
    figures = [
        f'<figure><img class="pixels" src="{_data("image/png", encode_image(draw_kernel(kernel, len(kernel))))}" '
        f'alt=""><figcaption>{name}</figcaption></figure>'
        for name, kernel in kernels.items()
        if kernel is not None
    ]
    return f'<div class="kernels">{"".join(figures)}</div>' if figures else ""


def _curves(curves: Mapping[str, str]) -> str:
    if not curves:
        return ""
    light, dark = (_data("image/svg+xml", curves[theme.name].encode()) for theme in (LIGHT, DARK))
    return (
        '<section class="curves"><h2>All images, by blur width</h2>'
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="Mean PSNR of bicubic interpolation and of the network against the width of the blur '
        'kernel"></picture></section>'
    )


def _variables(theme: Theme) -> str:
    return " ".join(f"--{name}: {getattr(theme, name)};" for name in ("ink", "muted", "line", "page", "ours"))


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"

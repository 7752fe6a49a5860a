"""Parts of test images side by side: LR with the true kernel, bicubic, ours with the estimated kernel, HR."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from plidenet.errors import UserError
from plidenet.evaluation.drawing import draw_kernel
from plidenet.figures.results import Scene
from plidenet.figures.theme import Theme

SIDE = 160  # of a part, in HR pixels
ZOOM = 2  # pixels of the picture for one HR pixel
GAP, HEADING, CAPTION = 16, 50, 52  # between parts; the rows of text above and beneath them
TEXT, SMALL_TEXT = 26, 23
INSET = 84  # of a kernel
NOTE = "PSNR / SSIM of the whole image, on Y"


def draw_comparison(scenes: Sequence[tuple[Scene, tuple[int, int]]], theme: Theme) -> np.ndarray:
    """A row for each scene.

    Args:
        scenes: with the top and left of the part shown, in HR pixels; see `most_detailed`.
        theme: colors of the text; the background is transparent.

    Returns:
        uint8 (H,W,4) RGBA.

    Raises:
        UserError: a part that is not all inside its image.
    """
    panel = SIDE * ZOOM
    width, row_height = 4 * panel + 3 * GAP, panel + CAPTION
    canvas = Image.new("RGBA", (width, HEADING + len(scenes) * row_height - 8), _transparent(theme.ink))
    draw = ImageDraw.Draw(canvas)
    centers = [column * (panel + GAP) + panel / 2 for column in range(4)]
    for center, heading in zip(centers, ("LR", "bicubic", "ours", "HR"), strict=True):
        color = theme.ours if heading == "ours" else theme.ink
        draw.text((center, 20), heading, color, _font(TEXT), anchor="mm")
    for row, (scene, corner) in enumerate(scenes):
        top = HEADING + row * row_height - 10
        for column, picture in enumerate(_parts(scene, corner)):
            canvas.paste(Image.fromarray(picture), (column * (panel + GAP), top))
        captions = (scene.blur, str(scene.scores["bicubic"]), str(scene.scores["ours"]), NOTE if row == 0 else "")
        colors = (theme.muted, theme.ink, theme.ours, theme.muted)
        for center, caption, color in zip(centers, captions, colors, strict=True):
            draw.text((center, top + panel + 25), caption, color, _fitting(caption, panel), anchor="mm")
    return np.asarray(canvas)


def most_detailed(hr: np.ndarray, side: int = SIDE) -> tuple[int, int]:
    """Top and left of the square with the largest sum of gradient magnitudes, by the HR image alone.

    Args:
        hr: uint8 (H,W,3); (0, 0) is returned for one smaller than the square.
        side: of the square.
    """
    if min(hr.shape[:2]) < side:
        return 0, 0
    gray = cv2.cvtColor(hr, cv2.COLOR_RGB2GRAY).astype(np.float32)
    edges = np.hypot(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    sums = cv2.integral(edges)
    total = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    top, left = np.unravel_index(int(total.argmax()), total.shape)
    return int(top), int(left)


def _parts(scene: Scene, corner: tuple[int, int]) -> list[np.ndarray]:
    """The four pictures of a row, uint8 (SIDE*ZOOM,SIDE*ZOOM,3), LR's pixels as squares."""
    scale = len(scene.hr) // len(scene.lr)
    top, left = (place // scale * scale for place in corner)  # so that no LR pixel is cut
    height, width = scene.hr.shape[:2]
    if min(top, left) < 0 or top + SIDE > height or left + SIDE > width:
        raise UserError(f"{scene.name}: a part of {SIDE}x{SIDE} from {top},{left} is not inside its {height}x{width}")
    lr = cv2.resize(scene.lr, scene.hr.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    cut = [image[top : top + SIDE, left : left + SIDE] for image in (lr, scene.bicubic, scene.ours, scene.hr)]
    lr, *restored = cut
    pictures = [cv2.resize(lr, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_NEAREST)]
    pictures += [cv2.resize(one, None, fx=ZOOM, fy=ZOOM, interpolation=cv2.INTER_CUBIC) for one in restored]
    for picture, kernel in ((pictures[0], scene.true_kernel), (pictures[2], scene.estimated_kernel)):
        if kernel is not None:
            _set_in(picture, kernel)
    return pictures


def _set_in(picture: np.ndarray, kernel: np.ndarray) -> None:
    """Draw a kernel into the lower left corner, in a white frame."""
    inset = cv2.copyMakeBorder(draw_kernel(kernel, INSET), 2, 2, 2, 2, cv2.BORDER_CONSTANT, value=255)
    picture[-len(inset) :, : len(inset)] = inset[..., None]


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _fitting(text: str, width: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font for a caption: smaller where the text would be wider than its picture."""
    length = _font(SMALL_TEXT).getlength(text)
    return _font(SMALL_TEXT * min(1, width / max(length, 1)))


def _transparent(color: str) -> tuple[int, int, int, int]:
    """The color of letters, invisible: so their edges blend into nothing but themselves."""
    red, green, blue = bytes.fromhex(color[1:])
    return red, green, blue, 0

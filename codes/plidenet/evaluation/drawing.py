"""Pictures of kernels and comparisons."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch

from plidenet.degradation import principal_widths

INK, PAPER = 40, 255
SIDE, GAP = 168, 12  # of a kernel on a sheet, and between pictures; pixels


def draw_kernel(kernel: np.ndarray, side: int = SIDE) -> np.ndarray:
    """A kernel as a gray picture, its maximum white.

    Args:
        kernel: (k,k); negative taps are black.
        side: about how many pixels the picture measures; each tap becomes a square of whole pixels.

    Returns:
        uint8 (H,W).
    """
    gray = np.round(255 * kernel.clip(min=0) / max(float(kernel.max()), 1e-12)).astype(np.uint8)
    return np.kron(gray, np.ones((max(side // len(kernel), 1),) * 2, np.uint8))


def draw_kernels(kernels: Sequence[tuple[str, np.ndarray]], columns: int = 8) -> np.ndarray:
    """Kernels in rows, each in a black square with its name and its two principal widths beneath.

    Args:
        kernels: names, and kernels (k,k).
        columns: how many in a row; the last row is filled up with white.

    Returns:
        uint8 (H,W,3).
    """
    tiles = [_in_square(kernel) for _, kernel in kernels]
    titles = [_with_widths(name, kernel) for name, kernel in kernels]
    missing = -len(tiles) % columns
    tiles += [np.full((SIDE, SIDE, 3), PAPER, np.uint8)] * missing
    titles += [""] * missing
    rows = [side_by_side(tiles[i : i + columns], titles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.concatenate(rows)


def side_by_side(images: Sequence[np.ndarray], titles: Sequence[str]) -> np.ndarray:
    """Images of one height next to each other, each with its title beneath.

    Args:
        images: uint8 (H,W,3) each.
        titles: one line each, ASCII.

    Returns:
        uint8 (H',W',3) RGB.
    """
    panels = [_with_title(image, title) for image, title in zip(images, titles, strict=True)]
    space = np.full((len(panels[0]), GAP, 3), PAPER, np.uint8)
    columns = [column for panel in panels for column in (space, panel)] + [space]
    picture = np.concatenate(columns, axis=1)
    return cv2.copyMakeBorder(picture, GAP, 0, 0, 0, cv2.BORDER_CONSTANT, value=(PAPER,) * 3)


def show_restoration(lr: np.ndarray, sr: np.ndarray, hr: np.ndarray, kernels: Mapping[str, np.ndarray]) -> np.ndarray:
    """LR, SR and HR image and kernels, side by side.

    Args:
        lr: uint8 (h,w,3), shown at the size of the others, its pixels as squares.
        sr: uint8 (H,W,3).
        hr: uint8 (H,W,3).
        kernels: (k,k) each, by title.

    Returns:
        uint8 (H',W',3).
    """
    height, width = hr.shape[:2]
    images = [cv2.resize(lr, (width, height), interpolation=cv2.INTER_NEAREST), sr, hr]
    for kernel in kernels.values():
        square = cv2.resize(draw_kernel(kernel), (height, height), interpolation=cv2.INTER_NEAREST)
        images.append(cv2.cvtColor(square, cv2.COLOR_GRAY2RGB))
    return side_by_side(images, ["LR", "SR", "HR", *kernels])


def _in_square(kernel: np.ndarray) -> np.ndarray:
    """A kernel in the middle of a black square: uint8 (SIDE,SIDE,3)."""
    gray = draw_kernel(kernel)
    if len(gray) > SIDE:
        gray = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    before, after = (SIDE - len(gray)) // 2, (SIDE - len(gray) + 1) // 2
    framed = cv2.copyMakeBorder(gray, before, after, before, after, cv2.BORDER_CONSTANT, value=0)
    return cv2.cvtColor(framed, cv2.COLOR_GRAY2RGB)


def _with_widths(name: str, kernel: np.ndarray) -> str:
    small, large = principal_widths(torch.from_numpy(kernel).double()).tolist()
    return f"{name}: {small:.2f} x {large:.2f}"


def _with_title(image: np.ndarray, title: str) -> np.ndarray:
    strip = np.full((32, image.shape[1], 3), PAPER, np.uint8)
    scale = 0.5
    (width, _), _ = cv2.getTextSize(title, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    scale *= min(1.0, image.shape[1] / max(width, 1))
    (width, height), _ = cv2.getTextSize(title, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    origin = ((image.shape[1] - width) // 2, 16 + height // 2)
    cv2.putText(strip, title, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, (INK,) * 3, 1, cv2.LINE_AA)
    return np.concatenate((image, strip))

#!/usr/bin/env python3
"""Draw blur kernels as one picture, each relative to its own maximum, with its name and its two principal widths
(standard deviations in pixels) beneath.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from plidenet.cli import parser, run
from plidenet.errors import UserError

COLUMNS, SIDE = 8, 168


def main() -> None:
    arguments = parser(__doc__, "python scripts/kernel_visual.py datasets/Set5/setting1/kernel/x4 --save kernels.png")
    arguments.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="(k,k) or (N,k,k) .npy, or a folder")
    arguments.add_argument("--save", type=Path, required=True, metavar="OUT.png", help="picture to write")
    options = arguments.parse_args()

    from plidenet.data.images import write_image

    kernels = [named for path in options.inputs for file in kernel_files(path) for named in read_kernels(file)]
    write_image(options.save, draw_sheet(kernels))
    print(f"{len(kernels)} kernels drawn in {options.save}")


def kernel_files(path: Path) -> list[Path]:
    """The .npy files of a folder, sorted, or the file itself."""
    if not path.exists():
        raise UserError(f"{path} does not exist")
    files = sorted(path.glob("*.npy")) if path.is_dir() else [path]
    if not files:
        raise UserError(f"{path} holds no .npy files")
    return files


def read_kernels(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """The kernels of a file with their names: the file's, and a number where it holds several."""
    try:
        kernels = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} cannot be read as a .npy file: {error}") from error
    if not isinstance(kernels, np.ndarray) or kernels.ndim not in (2, 3) or kernels.dtype.kind != "f":
        raise UserError(f"{path} does not hold kernels: it needs a float array (k,k) or (N,k,k)")
    if kernels.ndim == 2:
        kernels, names = kernels[None], [path.stem]
    else:
        names = [f"{path.stem}[{i}]" for i in range(len(kernels))]
    for name, kernel in zip(names, kernels, strict=True):
        if kernel.shape[0] != kernel.shape[1] or not np.isfinite(kernel).all() or kernel.min() < 0 or kernel.sum() <= 0:
            raise UserError(f"{path} does not hold kernels: {name} is not square, finite, non-negative with a sum")
        yield name, kernel


def draw_sheet(kernels: list[tuple[str, np.ndarray]]) -> np.ndarray:
    """All kernels in rows of eight: uint8 (H,W,3)."""
    from plidenet.evaluation.figures import PAPER, side_by_side

    columns = min(COLUMNS, len(kernels))
    tiles = [draw_tile(kernel) for _, kernel in kernels]
    titles = [title(name, kernel) for name, kernel in kernels]
    missing = -len(tiles) % columns
    tiles += [np.full((SIDE, SIDE, 3), PAPER, np.uint8)] * missing
    titles += [""] * missing
    rows = [side_by_side(tiles[i : i + columns], titles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.concatenate(rows)


def draw_tile(kernel: np.ndarray) -> np.ndarray:
    """One kernel in the middle of a black square: uint8 (SIDE,SIDE,3)."""
    from plidenet.evaluation.figures import draw_kernel

    gray = draw_kernel(kernel, SIDE)
    before, after = (SIDE - len(gray)) // 2, (SIDE - len(gray) + 1) // 2
    framed = cv2.copyMakeBorder(gray, before, after, before, after, cv2.BORDER_CONSTANT, value=0)
    return cv2.cvtColor(framed, cv2.COLOR_GRAY2RGB)


def title(name: str, kernel: np.ndarray) -> str:
    import torch
    from plidenet.degradation import principal_widths

    small, large = principal_widths(torch.from_numpy(kernel).double()).tolist()
    return f"{name}: {small:.2f} x {large:.2f}"


if __name__ == "__main__":
    sys.exit(run(main))

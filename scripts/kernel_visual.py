#!/usr/bin/env python3
"""Draw blur kernels as one picture, each relative to its own maximum, with its name and its two principal widths
(standard deviations in pixels) beneath.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from plidenet.cli import parser, run
from plidenet.errors import UserError

COLUMNS = 8


def main() -> None:
    arguments = parser(__doc__, "python scripts/kernel_visual.py datasets/Set5/setting1/kernel/x4 --save kernels.png")
    arguments.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="(k,k) or (N,k,k) .npy, or a folder")
    arguments.add_argument("--save", type=Path, required=True, metavar="OUT.png", help="picture to write")
    options = arguments.parse_args()

    from plidenet.data.images import write_image
    from plidenet.evaluation.figures import draw_kernels

    kernels = [named for path in options.inputs for file in kernel_files(path) for named in read_kernels(file)]
    write_image(options.save, draw_kernels(kernels, min(COLUMNS, len(kernels))))
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
    if not path.is_file():
        raise UserError(f"{path} is not a file")
    try:
        kernels = np.load(path, allow_pickle=False)
    except Exception as error:  # numpy raises anything over damaged files
        raise UserError(f"{path} cannot be read as a .npy file: {error}") from error
    is_array = isinstance(kernels, np.ndarray) and kernels.size > 0
    if not is_array or kernels.ndim not in (2, 3) or kernels.dtype.kind != "f":
        raise UserError(f"{path} does not hold kernels: it needs a float array (k,k) or (N,k,k)")
    if kernels.ndim == 2:
        kernels, names = kernels[None], [path.stem]
    else:
        names = [f"{path.stem}[{i}]" for i in range(len(kernels))]
    for name, kernel in zip(names, kernels, strict=True):
        if kernel.shape[0] != kernel.shape[1] or not np.isfinite(kernel).all() or kernel.min() < 0 or kernel.sum() <= 0:
            raise UserError(f"{path} does not hold kernels: {name} is not square, finite, non-negative with a sum")
        yield name, kernel


if __name__ == "__main__":
    sys.exit(run(main))

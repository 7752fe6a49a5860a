#!/usr/bin/env python3
"""Draw blur kernels as one picture, each relative to its own maximum, with its name and its two principal widths
(standard deviations in pixels) beneath.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from plidenet.cli import parser, run
from plidenet.data.kernel_files import kernel_files, read_kernels
from plidenet.errors import UserError

COLUMNS = 8


def main() -> None:
    arguments = parser(__doc__, "python scripts/kernel_visual.py datasets/Set5/setting1/kernel/x4 --save kernels.png")
    arguments.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="(k,k) or (N,k,k) .npy, or a folder")
    arguments.add_argument("--save", type=Path, required=True, metavar="OUT.png", help="picture to write")
    options = arguments.parse_args()

    from plidenet.data.images import write_image
    from plidenet.evaluation.drawing import draw_kernels

    files = [file for path in options.inputs for file in (kernel_files(path) if path.is_dir() else [path])]
    times = Counter(file.stem for file in files)
    kernels = [named for file in files for named in named_kernels(file, with_folder=times[file.stem] > 1)]
    write_image(options.save, draw_kernels(kernels, min(COLUMNS, len(kernels))))
    print(f"{len(kernels)} kernels drawn in {options.save}")


def named_kernels(path: Path, with_folder: bool) -> Iterator[tuple[str, np.ndarray]]:
    """The kernels of a file with their names: the file's, and a number where it holds several."""
    kernels = read_kernels(path)
    if kernels.min() < 0:
        raise UserError(f"{path} has negative values: a kernel that is drawn with its widths needs to have none")
    name = f"{path.resolve().parent.name}/{path.stem}" if with_folder else path.stem
    names = [name] if len(kernels) == 1 else [f"{name}[{i}]" for i in range(len(kernels))]
    yield from zip(names, kernels, strict=True)


if __name__ == "__main__":
    sys.exit(run(main))

#!/usr/bin/env python3
"""Cut large photographs into overlapping squares, which random access in training reads much faster.

The squares of photo.png are called photo_s001.png, photo_s002.png, ... row by row; the last of a row and the last row
end at the border of the photograph.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from plidenet.cli import parser, progress, run
from plidenet.errors import UserError


def main() -> None:
    arguments = parser(
        __doc__, "python scripts/extract_subimages.py --source DIV2K/HR --save DIV2K/sub --size 480 --step 240"
    )
    arguments.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder of photographs")
    arguments.add_argument("--save", type=Path, required=True, metavar="DIR", help="folder to write, not existing yet")
    arguments.add_argument("--size", type=int, default=480, help="side of the squares in pixels (default 480)")
    arguments.add_argument("--step", type=int, default=240, help="pixels from one square to the next (default 240)")
    arguments.add_argument("--workers", type=int, default=4, help="threads (default 4)")
    options = arguments.parse_args()

    from plidenet.data.images import image_size, named_images
    from plidenet.data.parallel import map_threads
    from plidenet.files import replacing

    if options.size < 1 or options.step < 1:
        raise UserError("--size and --step must be positive")
    images = named_images(options.source)
    for path in images.values():
        height, width = image_size(path)
        if min(height, width) < options.size:
            raise UserError(f"{path} ({height}x{width}) is smaller than a square of {options.size}x{options.size}")

    with replacing(options.save, new=True) as folder:
        folder.mkdir()
        counts = map_threads(
            lambda path: extract(path, folder, options.size, options.step), images.values(), options.workers
        )
        total = sum(progress(counts, "extract", len(images)))
    print(f"wrote {options.save}: {total} squares of {len(images)} photographs")


def extract(path: Path, folder: Path, size: int, step: int) -> int:
    """Write the squares of one photograph and count them."""
    from plidenet.data.images import read_image, write_image

    number = 0
    for number, square in enumerate(squares(read_image(path), size, step), 1):
        write_image(folder / f"{path.stem}_s{number:03d}.png", square)
    return number


def squares(image: np.ndarray, size: int, step: int) -> Iterator[np.ndarray]:
    rows, columns = (starts(length, size, step) for length in image.shape[:2])
    for top in rows:
        for left in columns:
            yield image[top : top + size, left : left + size]


def starts(length: int, size: int, step: int) -> list[int]:
    """Where squares begin: every `step` pixels, and at the border.

    >>> starts(1000, 480, 240)
    [0, 240, 480, 520]
    """
    last = length - size
    regular = list(range(0, last + 1, step))
    return regular if regular[-1] == last else [*regular, last]


if __name__ == "__main__":
    sys.exit(run(main))

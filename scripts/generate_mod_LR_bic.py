#!/usr/bin/env python3
"""Make HR/x<scale> and Bic/x<scale> from a folder of HR images: cut to multiples of the scale, downsampled by MATLAB's
bicubic without blur. For blind benchmarks use generate_mod_blur_LR_bic.py: scores on these files do not compare.
"""

import sys
from pathlib import Path

from plidenet.cli import parser, run


def main() -> None:
    arguments = parser(
        __doc__, "python scripts/generate_mod_LR_bic.py --source Set5/original --save datasets/Set5_bicubic --scale 4"
    )
    arguments.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder of HR images")
    arguments.add_argument("--save", type=Path, required=True, metavar="DIR", help="where to write")
    arguments.add_argument("--scale", type=int, required=True, choices=(2, 3, 4), help="HR size / LR size")
    options = arguments.parse_args()

    from plidenet.data.benchmark import generate_bicubic

    generate_bicubic(options.source, options.save, options.scale)
    print(f"wrote {options.save}/{{HR,Bic}}/x{options.scale}")


if __name__ == "__main__":
    sys.exit(run(main))

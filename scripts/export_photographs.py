#!/usr/bin/env python3
"""Write the color photographs that come with scikit-image to a folder, those for training and those for testing apart:
<save>/train and <save>/test.
"""

import sys
from pathlib import Path

from plidenet.cli import parser, run

PHOTOGRAPHS = {
    "train": ("coffee", "hubble_deep_field", "immunohistochemistry", "retina", "rocket"),
    "test": ("astronaut", "chelsea"),
}


def main() -> None:
    arguments = parser(__doc__, "python scripts/export_photographs.py --save datasets/demo/photographs")
    arguments.add_argument("--save", type=Path, required=True, metavar="DIR", help="folder to write, not existing yet")
    options = arguments.parse_args()

    from plidenet.data.images import write_image
    from plidenet.files import replacing
    from skimage import data

    with replacing(options.save, new=True) as folder:
        for part, names in PHOTOGRAPHS.items():
            for name in names:
                write_image(folder / part / f"{name}.png", getattr(data, name)())
    print(f"wrote {options.save}/{{{','.join(PHOTOGRAPHS)}}}")


if __name__ == "__main__":
    sys.exit(run(main))

#!/usr/bin/env python3
"""Set every n-th photograph apart for measuring, so that training never sees it: in the order of names, the n-th, the
2n-th and so on go to <save>/heldout, all others to <save>/train; <save>/heldout.txt lists the former.
"""

import shutil
import sys
from pathlib import Path

from plidenet.cli import parser, run
from plidenet.errors import UserError


def main() -> None:
    arguments = parser(
        __doc__, "python scripts/hold_out.py --source photographs --save datasets/photographs --every 33"
    )
    arguments.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder of photographs")
    arguments.add_argument("--save", type=Path, required=True, metavar="DIR", help="folder to write, not existing yet")
    arguments.add_argument(
        "--every", type=int, default=33, metavar="N", help="of how many one is held out (default 33)"
    )
    options = arguments.parse_args()

    from plidenet.data.images import named_images
    from plidenet.files import replacing

    images = list(named_images(options.source).values())
    if not 2 <= options.every <= len(images):
        raise UserError(f"--every {options.every}: must lie between 2 and the number of photographs, {len(images)}")
    heldout = images[options.every - 1 :: options.every]
    with replacing(options.save, new=True) as folder:
        for part in ("train", "heldout"):
            (folder / part).mkdir(parents=True)
        for path in images:
            shutil.copyfile(path, folder / ("heldout" if path in heldout else "train") / path.name)
        (folder / "heldout.txt").write_text("".join(f"{path.name}\n" for path in heldout), encoding="utf-8")
    print(f"wrote {options.save}: {len(images) - len(heldout)} photographs in train, {len(heldout)} in heldout")


if __name__ == "__main__":
    sys.exit(run(main))

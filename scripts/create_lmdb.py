#!/usr/bin/env python3
"""Write the images of a folder to an LMDB, and verify it."""

import sys
from pathlib import Path

from plidenet.cli import parser, run


def main() -> None:
    arguments = parser(__doc__, "python scripts/create_lmdb.py --source DIV2K/subimages --lmdb datasets/DIV2K.lmdb")
    arguments.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder of images")
    arguments.add_argument("--lmdb", type=Path, required=True, metavar="OUT.lmdb", help="LMDB to write")
    arguments.add_argument(
        "--format",
        default="dan",
        choices=("dan", "basicsr"),
        help="dan holds raw pixels: fast and large; basicsr holds PNG files: small and slower (default dan)",
    )
    arguments.add_argument("--workers", type=int, default=4, help="threads that read and encode (default 4)")
    options = arguments.parse_args()

    from plidenet.data.images import named_images
    from plidenet.data.lmdb_store import write_lmdb

    images = named_images(options.source)
    write_lmdb(options.lmdb, images, options.format, options.workers)
    print(f"wrote {options.lmdb}: {len(images)} images, format {options.format}")


if __name__ == "__main__":
    sys.exit(run(main))

#!/usr/bin/env python3
"""The whole repository in a few minutes: make a small blind benchmark and a training set of the photographs that come
with scikit-image, train a small PL_IDENet_E on the one, measure it on the other beside bicubic interpolation.

Every step is a command of this repository, printed before it runs.
"""

import csv
import subprocess
import sys
from pathlib import Path

from plidenet.cli import parser, run
from plidenet.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
DATA, PICTURE = "datasets/demo", "results/demo_x4/comparison.png"
PREPARE = (
    f"scripts/export_photographs.py --save {DATA}/photographs",
    f"scripts/create_lmdb.py --source {DATA}/photographs/train --lmdb {DATA}/train.lmdb",
    f"scripts/build_benchmark.py --source {DATA}/photographs/test --name demo --save datasets --scale 4",
)
TRAIN = "train/train.py -opt options/demo/train_demo_x4.yml"
TEST = ("test/test.py -opt options/demo/test_bicubic_x4.yml", "test/test.py -opt options/demo/test_demo_x4.yml")
SHOWN, TOP, LEFT, SIDE = "sig2.6_astronaut", 20, 130, 192


def main() -> None:
    parser(__doc__, "python scripts/demo.py").parse_args()
    if not (ROOT / DATA / "setting1").exists():
        for command in PREPARE:
            execute(command)
    execute(TRAIN)
    for command in TEST:
        execute(command)
    tables = {name: read_table(ROOT / f"results/{folder}") for name, folder in RESULTS.items()}
    draw(ROOT / PICTURE)
    print(f"\n{'':>12} | PSNR (Y) | SSIM (Y) |   over {tables['Bicubic']['images']} images, 4 pixels cropped")
    for name, row in tables.items():
        print(f"{name:>12} | {row['psnr_y']:>8} | {row['ssim_y']:>8} |")
    print(f"\nLR | bicubic | ours | HR: {PICTURE}")


RESULTS = {"Bicubic": "demo_bicubic_x4", "PL_IDENet_E": "demo_x4"}


def execute(command: str) -> None:
    """Run one of the repository's programs from its root; an error of its ends the demo, too."""
    print(f"\n$ python {command}", flush=True)
    if status := subprocess.run([sys.executable, *command.split()], cwd=ROOT).returncode:
        raise UserError(f"the command above failed with status {status}")


def read_table(folder: Path) -> dict[str, str]:
    """The one row of a table.csv."""
    with (folder / "table.csv").open(newline="", encoding="utf-8") as file:
        return next(csv.DictReader(file))


def draw(target: Path) -> None:
    """A part of one test image: LR, bicubic, ours, HR."""
    import cv2
    from plidenet.data.images import read_image, write_image
    from plidenet.evaluation.figures import side_by_side

    hr = read_image(ROOT / f"{DATA}/setting1/HR/x4/{SHOWN}.png")
    lr = read_image(ROOT / f"{DATA}/setting1/LRblur/x4/{SHOWN}.png")
    restored = [read_image(ROOT / f"results/{folder}/Demo/{SHOWN}.png") for folder in RESULTS.values()]
    images = [cv2.resize(lr, hr.shape[1::-1], interpolation=cv2.INTER_NEAREST), *restored, hr]
    parts = [image[TOP : TOP + SIDE, LEFT : LEFT + SIDE] for image in images]
    write_image(target, side_by_side(parts, ["LR", "bicubic", "ours", "HR"]))


if __name__ == "__main__":
    sys.exit(run(main))

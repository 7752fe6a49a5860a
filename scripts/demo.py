#!/usr/bin/env python3
"""The whole repository in a few minutes: make a small blind benchmark and a training set of the photographs that come
with scikit-image, measure the weights that ship on the one, train a small PL_IDENet_E on the other, and set both
beside bicubic interpolation.

Every step is a command of this repository, printed before it runs.
"""

import subprocess
import sys
from pathlib import Path

from plidenet.cli import parser, run
from plidenet.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
DATA, PICTURE = "datasets/demo", "results/demo/comparison.png"
PREPARE = {  # what each command writes
    "photographs": f"scripts/export_photographs.py --save {DATA}/photographs",
    "train.lmdb": f"scripts/create_lmdb.py --source {DATA}/photographs/train --lmdb {DATA}/train.lmdb",
    "setting1": f"scripts/build_benchmark.py --source {DATA}/photographs/test --name demo --save datasets --scale 4",
}
TRAIN = "train/train.py -opt options/demo/train_demo_x4.yml"
SHIPPED = "test/test.py -opt options/demo/test_pretrained_x4.yml"
TEST = (
    "test/test.py --compare options/demo/test_bicubic_x4.yml options/demo/test_pretrained_x4.yml "
    "options/demo/test_demo_x4.yml --output results/demo"
)
COLUMNS = {"bicubic": "demo_bicubic_x4", "trained here": "demo_x4", "shipped": "demo_pretrained_x4"}  # results/<name>
SHOWN, TOP, LEFT, SIDE = "sig2.6_astronaut", 20, 130, 192


def main() -> None:
    parser(__doc__, "python scripts/demo.py").parse_args()
    for target, command in PREPARE.items():
        if not (ROOT / DATA / target).exists():
            execute(command)
    execute(SHIPPED)
    execute(TRAIN)
    execute(TEST)
    draw(ROOT / PICTURE)
    print(f"{' | '.join(('LR', *COLUMNS, 'HR'))}: {PICTURE}")


def execute(command: str) -> None:
    """Run one of the repository's programs from its root; an error of its ends the demo, too."""
    print(f"\n$ python {command}", flush=True)
    if status := subprocess.run([sys.executable, *command.split()], cwd=ROOT).returncode:
        raise UserError(f"the command above failed with status {status}")


def draw(target: Path) -> None:
    """A part of one test image: LR, as every method restored it, HR."""
    import cv2
    from plidenet.data.images import read_image, write_image
    from plidenet.evaluation.drawing import side_by_side

    hr = read_image(ROOT / f"{DATA}/setting1/HR/x4/{SHOWN}.png")
    lr = read_image(ROOT / f"{DATA}/setting1/LRblur/x4/{SHOWN}.png")
    restored = [read_image(ROOT / f"results/{name}/Demo/{SHOWN}.png") for name in COLUMNS.values()]
    images = [cv2.resize(lr, hr.shape[1::-1], interpolation=cv2.INTER_NEAREST), *restored, hr]
    parts = [image[TOP : TOP + SIDE, LEFT : LEFT + SIDE] for image in images]
    write_image(target, side_by_side(parts, ["LR", *COLUMNS, "HR"]))


if __name__ == "__main__":
    sys.exit(run(main))

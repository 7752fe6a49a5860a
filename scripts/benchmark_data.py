#!/usr/bin/env python3
"""How many patches per second each data path delivers, compared with what training steps consume.

Synthetic images are written to a temporary folder as PNG files and as LMDBs of both formats; then batches are taken as
in training: cropped, flipped, transposed, moved to the device and degraded there. A path that delivers more than the
steps consume never makes them wait.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from plidenet.cli import option_parser, progress, run
from plidenet.errors import UserError


def main() -> None:
    arguments = option_parser(__doc__, "python scripts/benchmark_data.py -opt options/demo/train_demo_x4.yml")
    arguments.add_argument("--images", type=int, default=24, help="synthetic images (default 24)")
    arguments.add_argument("--side", type=int, default=512, help="their height and width (default 512)")
    arguments.add_argument("--batches", type=int, default=20, help="batches to time on each path (default 20)")
    arguments.add_argument("--steps", type=int, default=5, help="training steps to time (default 5)")
    given = arguments.parse_intermixed_args()
    if min(given.images, given.side, given.batches, given.steps) < 1:
        raise UserError("--images, --side, --batches and --steps must be positive")

    from plidenet.config import load_options

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        paths = write_images(folder, given.images, given.side)
        fixed = [*given.overrides, f"path.experiments_root={folder}", "datasets.val=", "use_tb_logger=false"]
        rates = {}
        for label, overrides in progress(list(data_paths(paths)), "data paths", unit="path"):
            rates[label] = delivered(load_options(given.opt, [*fixed, *overrides]), given.batches)
        step_options = load_options(given.opt, [*fixed, *list(data_paths(paths))[-1][1]])
        step = consumed(step_options, Path(given.opt), given.steps)
    print(f"{'data path':>28} | patches/s | of the step's")
    for label, rate in rates.items():
        print(f"{label:>28} | {rate:9.1f} | {rate / step:12.1f}x")
    print(f"{'training step':>28} | {step:9.1f} |")


def write_images(folder: Path, count: int, side: int) -> dict[str, Path]:
    """Images of soft noise, which PNG compresses about as well as photographs: the folder and two LMDBs of it."""
    import cv2
    from plidenet.data.images import named_images, write_image
    from plidenet.data.lmdb_store import write_lmdb

    rng = np.random.default_rng(0)
    for number in progress(range(count), "write images"):
        noise = cv2.GaussianBlur(rng.integers(0, 256, (side, side, 3)).astype(np.float32), (0, 0), 2)
        image = 128 + (noise - noise.mean()) * 40 / noise.std()
        write_image(folder / "images" / f"{number}.png", image.clip(0, 255).astype(np.uint8))
    images = named_images(folder / "images")
    stores = {"folder": folder / "images"}
    for format in ("dan", "basicsr"):
        stores[format] = folder / f"{format}.lmdb"
        write_lmdb(stores[format], images, format)
    return stores


def data_paths(stores: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Name and overrides of every data path; the last one is the fastest."""
    for format, path in stores.items():
        for workers in (0, 2):
            root = f"datasets.train.dataroot_GT={path}"
            yield f"{format}, {workers} workers", [root, f"datasets.train.n_workers={workers}", "data.cache=none"]
    for cache in ("ram", "gpu"):
        yield f"cache: {cache}", [f"datasets.train.dataroot_GT={stores['dan']}", f"data.cache={cache}"]


def delivered(options, batches: int) -> float:
    """Patches a second that training could have from this data path."""
    import torch
    from plidenet.device import choose_device
    from plidenet.pixels import to_float
    from plidenet.training.degrader import RandomDegrader
    from plidenet.training.sets import build_train_batches

    device = choose_device(options)
    degrade = RandomDegrader(options.degradation, options.scale, seed=0)
    stream = iter(build_train_batches(options, device, 0))
    start = 0.0
    for iteration in range(batches + 2):
        if iteration == 2:  # the workers are up
            start = time.perf_counter()
        degrade(to_float(next(stream)["gt"], device), iteration)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return batches * options.datasets["train"].batch_size / (time.perf_counter() - start)


def consumed(options, option_file: Path, steps: int) -> float:
    """Patches a second that a training step makes use of, given its batch."""
    from plidenet.training import Trainer

    trainer = Trainer(options, option_file)
    batch = next(iter(trainer.batches))
    for _ in range(2):
        trainer.train_step(batch)
    start = time.perf_counter()
    for _ in range(steps):
        trainer.train_step(batch)  # ends with reading the loss, so that the device has finished
    return steps * options.datasets["train"].batch_size / (time.perf_counter() - start)


if __name__ == "__main__":
    sys.exit(run(main))

"""Test a network on all the sets of an option file, and restore one's own images."""

import logging
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import nn

from plidenet.archs import build_network
from plidenet.checkpoint import load_checkpoint
from plidenet.cli import progress
from plidenet.config import Options
from plidenet.data.build import build_dataset
from plidenet.data.images import named_images, read_image, write_image
from plidenet.data.loaders import build_eval_loader
from plidenet.device import choose_device
from plidenet.errors import UserError
from plidenet.evaluation.evaluator import Restored, evaluate, restore
from plidenet.evaluation.figures import draw_kernel
from plidenet.evaluation.tables import SetResult, summarize, to_markdown, write_image_scores, write_tables

log = logging.getLogger(__name__)


def test(options: Options) -> str:
    """Measure the network on every set that is not for training, and write results/<name>.

    The folder gets table.md and table.csv, <set>.csv with the scores of each image and, unless `test.save_images` is
    off, <set>/<image>.png and <set>/kernels/<image>.npy and .png.

    Returns:
        the table, as Markdown, with its caption (no table where all sets are LR images alone).

    Raises:
        UserError: missing weights or data, pairs that do not match: all found before the first image is restored.
    """
    device = choose_device(options)
    sets = {key: dataset for key, dataset in options.datasets.items() if not key.startswith("train")}
    for key, dataset in sets.items():
        if dataset.mode == "GT":
            raise UserError(f"datasets.{key} needs LR images: mode LQGT, or LQ to restore without measuring")
    loaders = {
        dataset.name: build_eval_loader(build_dataset(dataset, options.scale, False), dataset.n_workers)
        for dataset in sets.values()
    }
    if not loaders:
        raise UserError("testing needs a section datasets.test1")
    net = prepare_network(options, device)

    folder = options.path.results_root / options.name
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[SetResult] = []
    for name, loader in loaders.items():
        saver = ImageSaver(folder / name, options.suffix) if options.test.save_images else ignore
        results = evaluate(net, progress(loader, name), device, options.border, saver)
        if results:
            write_image_scores(folder / f"{name}.csv", results)
            rows.append(summarize(name, options.border, results))
    log.info("results are in %s", folder)
    if not rows:
        return "Nothing was measured: no set has HR images."
    caption = (
        f"{options.network_G.which_model_G}, scale {options.scale}. Mean over the images of each set; {options.border} "
        "pixels cropped from each side; output clamped and rounded to 8 bits. psnr_y and ssim_y on the luma of "
        "BT.601 (16-235), psnr_rgb and ssim_rgb on all three channels."
    )
    write_tables(folder, rows, caption)
    return f"{to_markdown(rows)}\n{caption}"


def infer(options: Options, source: Path, target: Path, weights: Path | None) -> None:
    """Restore every image of a folder: <target>/<image>.png and <target>/kernels/<image>.npy and .png.

    Args:
        options: the network (and device) to use; the data sets are not looked at.
        source: folder of LR images: PNG, JPEG, BMP, WebP, TIFF, gray and with alpha too.
        target: folder to write to.
        weights: instead of the option file's.

    Raises:
        UserError: missing weights or images, unreadable or too small ones, or the two folders are one.
    """
    files = named_images(source)
    if source.resolve() == target.resolve():
        raise UserError(f"{target} holds the images to restore, and would lose some: choose another folder for output")
    device = choose_device(options)
    net = prepare_network(options, device, weights).eval()
    save = ImageSaver(target, options.suffix)
    for name, file in progress(files.items(), source.name):
        image = torch.from_numpy(read_image(file)).permute(2, 0, 1)
        save(restore(net, image, device, name), {})
    log.info("results are in %s", target)


def prepare_network(options: Options, device: torch.device, weights: Path | None = None) -> nn.Module:
    """Build the network of an option file and load its weights, or those given."""
    net = build_network(options.network_G.which_model_G, **options.network_setting)
    weights = weights or options.path.pretrain_model_G
    if weights is not None:
        log.info("%s", load_checkpoint(net, weights, options.path.strict_load))
    elif any(True for _ in net.parameters()):
        raise UserError(f"{options.network_G.which_model_G} needs weights: set path.pretrain_model_G")
    return net.to(device)


class ImageSaver:
    """Writes restored images and their estimated kernels.

    Args:
        folder: where the images go; kernels go to its subfolder `kernels`.
        suffix: appended to the image names.
    """

    def __init__(self, folder: Path, suffix: str | None) -> None:
        self.folder, self.suffix = folder, f"_{suffix}" if suffix else ""

    def __call__(self, restored: Restored, sample: Mapping) -> None:
        write_image(self.folder / f"{restored.key}{self.suffix}.png", restored.image.permute(1, 2, 0).cpu().numpy())
        if restored.kernel is not None:
            kernels = self.folder / "kernels"
            kernels.mkdir(exist_ok=True)
            np.save(kernels / f"{restored.key}.npy", restored.kernel.numpy())
            write_image(kernels / f"{restored.key}.png", draw_kernel(restored.kernel.numpy()))


def ignore(restored: Restored, sample: Mapping) -> None:
    """Instead of an ImageSaver: keep nothing."""

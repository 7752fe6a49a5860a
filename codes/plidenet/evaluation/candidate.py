"""The network and the test sets of an option file, loaded and checked before work starts."""

import inspect
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from plidenet.archs import build_network
from plidenet.checkpoint import load_checkpoint
from plidenet.config import Options
from plidenet.data.build import build_dataset, require_images
from plidenet.data.loaders import build_eval_loader
from plidenet.errors import UserError
from plidenet.evaluation.conditions import Conditions, find_conditions
from plidenet.evaluation.ensemble import SelfEnsemble
from plidenet.evaluation.restored_elsewhere import SavedImages
from plidenet.evaluation.tiling import in_tiles
from plidenet.metrics.perceptual import PerceptualMetric, load_perceptual

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TestSet:
    """The images of one set (of several processes, this one's share), and how they were made."""

    loader: DataLoader[dict[str, Any]]
    conditions: Conditions


@dataclass(frozen=True)
class Candidate:
    """A network on the CPU, the sets to test it on, by name, and what is measured besides PSNR and SSIM.

    Where another program restored the images, there is no network, but `saved` has them, by the sets' names.
    """

    options: Options
    net: nn.Module | None
    saved: Mapping[str, SavedImages]
    sets: Mapping[str, TestSet]
    metrics: Sequence[PerceptualMetric]


def prepare(options: Options, device: torch.device) -> Candidate:
    """Open the sets of an option file that are not for training, and load its network and perceptual metrics. With
    `path.restored_root`, images are found there instead of a network.

    Args:
        options: the option file's.
        device: where images will be measured.

    Raises:
        UserError: missing weights, data or restored images, pairs that do not match, or a metric that cannot be had.
    """
    sections = options.measured_sets
    for key, dataset in sections.items():
        if dataset.mode == "GT":
            raise UserError(f"datasets.{key} needs LR images: mode LQGT, or LQ to restore without measuring")
        if options.test.true_kernels and dataset.dataroot_kernel is None:
            raise UserError(f"datasets.{key} needs dataroot_kernel, or test.true_kernels=false")
    if not sections:
        raise UserError("testing needs a section datasets.test1")
    require_images(sections)
    root = options.path.restored_root
    sets, saved = {}, {}
    for section in sections.values():
        images = build_dataset(section, options.scale, False)
        conditions = find_conditions(section, images.keys, options.scale)
        if options.test.true_kernels and not conditions.bicubic:
            log.warning(
                "%s is not known to be downsampled by bicubic, as in training: its kernels are not those to restore "
                "with, and the scores say nothing of better estimates",
                section.name,
            )
        sets[section.name] = TestSet(build_eval_loader(images, section.n_workers), conditions)
        if root is not None:
            saved[section.name] = SavedImages(root / section.name, images.keys, device, options.suffix)
    net = load_network(options) if root is None else None
    if options.test.true_kernels and net is not None and "kernel" not in inspect.signature(net.forward).parameters:
        raise UserError(f"test.true_kernels is not for {options.network_G.which_model_G}: its forward takes no kernel")
    return Candidate(options, net, saved, sets, load_perceptual(options.test.perceptual, device))


def as_tested(net: nn.Module, options: Options) -> nn.Module:
    """The network with what `test.tile` and `test.ensemble` put around it."""
    tiled = in_tiles(net, options.test)
    if options.test.tile is None and options.test.tile_overlap is not None:
        log.info("test.tile_overlap is of no use without test.tile")
    if options.test.tile is not None and tiled is net:
        log.info("test.tile is of no use with %s, which restores images whole", options.network_G.which_model_G)
    return SelfEnsemble(tiled) if options.test.ensemble else tiled


def load_network(options: Options, weights: Path | None = None) -> nn.Module:
    """Build the network of an option file and load its weights, or those given.

    Raises:
        UserError: an unknown network or argument, missing or unfitting weights.
    """
    net = build_network(options.network_G.which_model_G, **options.network_setting)
    path = weights or options.path.pretrain_model_G
    models = options.path.experiments_root / options.name / "models"  # where the option file is of a run
    if path is not None:
        if weights is None and not path.is_file():
            hint = "path.pretrain_model_G names the weights: your run's best_G.pth, for example"
            raise UserError(f"no checkpoint at {path}; {hint}")
        found = load_checkpoint(net, path, options.path.strict_load)
        log.log(logging.WARNING if found.missing else logging.INFO, "%s: %s", path, found)
        if weights is None and "train" in options.datasets and path.parent != models:
            log.warning("these are the weights that training starts from; those of the run are in %s", models)
    elif any(True for _ in net.parameters()):
        hint = f", to {models / 'best_G.pth'} for example" if "train" in options.datasets else ""
        raise UserError(f"{options.network_G.which_model_G} needs weights: set path.pretrain_model_G{hint}")
    return net

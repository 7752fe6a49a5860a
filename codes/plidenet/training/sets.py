"""The data of a training run, from the sections under `datasets`."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from plidenet import distributed
from plidenet.config import Options
from plidenet.data.build import build_dataset
from plidenet.data.datasets import LQDataset
from plidenet.data.loaders import build_eval_loader, build_train_loader
from plidenet.errors import UserError


def build_train_batches(options: Options, device: torch.device, start: int) -> DataLoader[dict[str, Any]]:
    """Endless training batches from batch number `start` on; UserError where the section or its data do not serve."""
    section = options.datasets.get("train")
    if section is None:
        raise UserError("training needs a section datasets.train")
    if section.mode == "LQ" or section.GT_size is None:
        raise UserError("datasets.train needs HR images (mode GT or LQGT) and GT_size, the side of the HR crop")
    if section.dataroot_kernel is not None:
        raise UserError("datasets.train.dataroot_kernel has no effect: true kernels of pairs are not read in training")
    world, accumulate = distributed.world_size(), options.train.accumulate
    if section.batch_size % (world * accumulate):
        parts = f"{world} x {accumulate} equal parts (processes x train.accumulate)"
        raise UserError(f"a batch of {section.batch_size} images cannot be divided into {parts}")
    dataset = build_dataset(section, options.scale, training=True)
    assert not isinstance(dataset, LQDataset)
    return build_train_loader(
        dataset,
        batch_size=section.batch_size,
        n_workers=section.n_workers,
        seed=options.train.manual_seed,
        start=start,
        cache=options.data.cache,
        device=device,
    )


def build_val_loaders(options: Options) -> dict[str, DataLoader[dict[str, Any]]]:
    """A loader for every section called val.., by the set's name; UserError for sets that are not of pairs."""
    loaders = {}
    for key, section in options.datasets.items():
        if key.startswith("val"):
            if section.mode != "LQGT":
                raise UserError(f"datasets.{key} needs pairs to measure: mode LQGT")
            dataset = build_dataset(section, options.scale, training=False)
            loaders[section.name] = build_eval_loader(dataset, section.n_workers)
    return loaders


def micro_batches(count: int, *tensors: Tensor | None) -> Iterator[tuple[Any, ...]]:
    """Split tensors along the batch, which `count` divides, into as many equal parts; None is None in each."""
    return zip(*((None,) * count if tensor is None else tensor.chunk(count) for tensor in tensors), strict=True)

"""From the options of a data set to the data set."""

from collections.abc import Mapping
from typing import Any

from plidenet import config
from plidenet.data.datasets import DATASETS, GTDataset, LQDataset, LQGTDataset
from plidenet.errors import UserError
from plidenet.files import is_file_name


def build_dataset(options: config.DatasetOptions, scale: int, training: bool) -> GTDataset | LQDataset | LQGTDataset:
    """Build the data set of one section under `datasets`.

    Args:
        options: the section.
        scale: HR size / LR size.
        training: with random crops and augmentation, as the options say; otherwise whole images in order.

    Raises:
        UserError: missing files, HR and LR that do not match, images smaller than the crop or, outside of training,
            image names that are not plain file names.
    """
    arguments: dict[str, Any] = {**options.images}
    if options.mode == "LQGT":
        arguments["scale"] = scale
    if options.mode != "GT" and not training:
        arguments["dataroot_kernel"] = options.dataroot_kernel
    if training:
        arguments |= {"GT_size": options.GT_size, "use_flip": options.use_flip, "use_rot": options.use_rot}
    dataset = DATASETS.build(options.mode, **arguments)
    if not training:
        require_file_names(dataset)
    return dataset


def require_images(sections: Mapping[str, config.DatasetOptions]) -> None:
    """UserError that names every set whose images are missing, and what to do.

    Args:
        sections: those under `datasets` that are to be built, by their names there.
    """
    missing: dict[str, str] = {}
    for key, section in sections.items():
        for field, root in section.images.items():
            if not root.exists():
                missing.setdefault(key, f"datasets.{key}.{field}: no LMDB or folder at {root}")
    if not missing:
        return
    benchmarks = [key for key in missing if key != "train"]
    parts = [", ".join(missing.values())]
    if len(benchmarks) < len(missing):
        parts.append("name images of your own to train on")
    if benchmarks:
        parts.append("scripts/build_benchmark.py makes benchmarks")
    if benchmarks and len(missing) < len(sections):
        parts.append(" ".join(f"datasets.{key}=" for key in benchmarks) + " leaves out what is missing")
    raise UserError("; ".join(parts))


def require_file_names(dataset: GTDataset | LQDataset | LQGTDataset) -> None:
    """UserError where an image's name is not a plain file name to save it under: in an LMDB it can be any path."""
    for key in dataset.keys:
        if not is_file_name(key):
            raise UserError(f"the image {key!r} cannot be saved under its name: it must be a plain file name")

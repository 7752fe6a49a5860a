"""From the options of a data set to the data set."""

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
        UserError: missing files, HR and LR that do not match, images smaller than the crop or, where they are
            restored, of names that are no plain file names.
    """
    arguments: dict[str, Any] = {"scale": scale} if options.mode == "LQGT" else {}
    if options.mode != "LQ":
        arguments["dataroot_GT"] = options.dataroot_GT
    if options.mode != "GT":
        arguments |= {"dataroot_LQ": options.dataroot_LQ, "dataroot_kernel": options.dataroot_kernel}
    if training:
        arguments |= {"GT_size": options.GT_size, "use_flip": options.use_flip, "use_rot": options.use_rot}
    dataset = DATASETS.build(options.mode, **arguments)
    if not training:
        require_file_names(dataset)
    return dataset


def require_file_names(dataset: GTDataset | LQDataset | LQGTDataset) -> None:
    """UserError where an image could not be saved under its name, which an LMDB may make a path to any place."""
    images = dataset.hr if isinstance(dataset, GTDataset) else dataset.lr
    for key in images.keys:
        if not is_file_name(key):
            raise UserError(f"the image {key!r} cannot be saved under its name: it must be a plain file name")

"""From the options of a data set to the data set."""

from typing import Any

from plidenet import config
from plidenet.data.datasets import DATASETS, GTDataset, LQDataset, LQGTDataset


def build_dataset(options: config.DatasetOptions, scale: int, training: bool) -> GTDataset | LQDataset | LQGTDataset:
    """Build the data set of one section under `datasets`.

    Args:
        options: the section.
        scale: HR size / LR size.
        training: with random crops and augmentation, as the options say; otherwise whole images in order.

    Raises:
        UserError: missing files, HR and LR that do not match, images smaller than the crop.
    """
    arguments: dict[str, Any] = {"scale": scale} if options.mode == "LQGT" else {}
    if options.mode != "LQ":
        arguments["dataroot_GT"] = options.dataroot_GT
    if options.mode != "GT":
        arguments |= {"dataroot_LQ": options.dataroot_LQ, "dataroot_kernel": options.dataroot_kernel}
    if training:
        arguments |= {"GT_size": options.GT_size, "use_flip": options.use_flip, "use_rot": options.use_rot}
    return DATASETS.build(options.mode, **arguments)

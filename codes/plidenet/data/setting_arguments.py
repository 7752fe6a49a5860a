"""The arguments by which the benchmark scripts choose the blur. Imports no torch before they are read."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from plidenet.errors import UserError

if TYPE_CHECKING:
    from plidenet.data.benchmark import Setting
    from plidenet.degradation import Downsampling


def add_setting_arguments(arguments: argparse.ArgumentParser) -> None:
    """--sigmas, --setting2 or --kernels, --ksize, --seed and --downsample; see `read_setting`."""
    kernels = arguments.add_mutually_exclusive_group()
    kernels.add_argument(
        "--sigmas", type=float, nargs="+", metavar="SIGMA", help="kernel widths in HR pixels (default: Gaussian8's)"
    )
    kernels.add_argument("--setting2", action="store_true", help="random anisotropic kernels")
    kernels.add_argument("--kernels", type=Path, metavar="DIR", help="kernels of your own (.npy), each for every image")
    add = arguments.add_argument
    add("--ksize", type=int, help="side of the kernels, odd (default 21)")
    add("--seed", type=int, help="of --setting2, whose kernels follow from it and the images' names (default 0)")
    add("--downsample", choices=("bicubic", "direct"), help="of --setting2 or --kernels (default bicubic)")


def read_setting(options: argparse.Namespace) -> "Setting":
    """The setting that the arguments describe.

    Args:
        options: the arguments of `add_setting_arguments`, and `scale`.

    Raises:
        UserError: invalid widths, an even size, no kernels, or an argument that goes with another setting.
    """
    from plidenet.data.benchmark import own_kernels, setting1, setting2
    from plidenet.degradation import KERNEL_SIZE, gaussian8_sigmas

    size = KERNEL_SIZE if options.ksize is None else options.ksize
    downsample: Downsampling = options.downsample or "bicubic"
    if options.setting2:
        return setting2(options.seed or 0, size, options.scale, downsample)
    if options.seed is not None:
        raise UserError("--seed needs --setting2; otherwise kernels are fixed")
    if options.kernels is not None:
        if options.ksize is not None:
            raise UserError("--ksize is of no use with --kernels, which are as large as they are")
        return own_kernels(options.kernels, downsample)
    if options.downsample is not None:
        raise UserError("--downsample needs --setting2 or --kernels; otherwise downsampling is bicubic")
    return setting1(options.sigmas or gaussian8_sigmas(options.scale), size)

"""The arguments by which the benchmark scripts choose the blur. Imports no torch before they are read."""

import argparse
from typing import TYPE_CHECKING

from plidenet.errors import UserError

if TYPE_CHECKING:
    from plidenet.data.benchmark import Setting


def add_setting_arguments(arguments: argparse.ArgumentParser) -> None:
    """--sigmas or --setting2, --ksize, --seed and --downsample; see `read_setting`."""
    kernels = arguments.add_mutually_exclusive_group()
    kernels.add_argument(
        "--sigmas", type=float, nargs="+", metavar="SIGMA", help="kernel widths in HR pixels (default: Gaussian8's)"
    )
    kernels.add_argument("--setting2", action="store_true", help="random anisotropic kernels")
    add = arguments.add_argument
    add("--ksize", type=int, default=21, help="side of the kernels, odd (default 21)")
    add("--seed", type=int, help="of --setting2, whose kernels follow from it and the images' names (default 0)")
    add("--downsample", choices=("bicubic", "direct"), help="of --setting2 (default bicubic)")


def read_setting(options: argparse.Namespace) -> "Setting":
    """The setting that the arguments describe.

    Args:
        options: the arguments of `add_setting_arguments`, and `scale`.

    Raises:
        UserError: invalid widths, an even size, or an argument of --setting2 without it.
    """
    from plidenet.data.benchmark import setting1, setting2
    from plidenet.degradation import gaussian8_sigmas

    if options.setting2:
        return setting2(options.seed or 0, options.ksize, options.scale, options.downsample or "bicubic")
    if options.seed is not None or options.downsample is not None:
        raise UserError(
            "--seed and --downsample need --setting2; otherwise kernels are fixed and downsampling is bicubic"
        )
    return setting1(options.sigmas or gaussian8_sigmas(options.scale), options.ksize)

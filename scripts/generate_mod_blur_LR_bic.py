#!/usr/bin/env python3
"""Make a blind benchmark from a folder of HR images: blur with known kernels, downsample, round to 8 bits.

Setting 1 (the default) uses each of several isotropic Gaussians on every image, by default the eight of the Gaussian8
benchmark; --setting2 draws one disturbed anisotropic Gaussian for every image. For scale 4 this writes below --save:

  HR/x4          the HR images, cut to multiples of the scale
  LRblur/x4      blurred and downsampled by MATLAB's bicubic: what a blind network gets
  Bic/x4         downsampled without blur
  kernel/x4      the kernels, float32 .npy
  manifest.json  the setting, and the kernel and sizes of each image, under "x4": other scales keep theirs
"""

import sys
from pathlib import Path

from plidenet.cli import parser, run


def main() -> None:
    arguments = parser(
        __doc__, "python scripts/generate_mod_blur_LR_bic.py --source Set5/original --save datasets/Set5 --scale 4"
    )
    arguments.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder of HR images")
    arguments.add_argument("--save", type=Path, required=True, metavar="DIR", help="where to write")
    arguments.add_argument("--scale", type=int, required=True, choices=(2, 3, 4), help="HR size / LR size")
    kernels = arguments.add_mutually_exclusive_group()
    kernels.add_argument("--sigmas", type=float, nargs="+", metavar="SIGMA", help="kernel widths in HR pixels")
    kernels.add_argument("--setting2", action="store_true", help="random anisotropic kernels")
    arguments.add_argument("--seed", type=int, default=0, help="of --setting2 (default 0)")
    arguments.add_argument("--ksize", type=int, default=21, help="side of the kernels, odd (default 21)")
    options = arguments.parse_args()

    from plidenet.data.benchmark import generate_blurred, setting1, setting2
    from plidenet.degradation import gaussian8_sigmas

    if options.setting2:
        setting = setting2(options.seed, options.ksize, options.scale)
    else:
        setting = setting1(options.sigmas or gaussian8_sigmas(options.scale), options.ksize)
    generate_blurred(options.source, options.save, options.scale, setting)
    print(f"wrote {options.save}/{{HR,LRblur,Bic,kernel}}/x{options.scale}")


if __name__ == "__main__":
    sys.exit(run(main))

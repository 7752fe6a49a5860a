#!/usr/bin/env python3
"""Make a blind benchmark from a folder of HR images: blur with known kernels, downsample, round to 8 bits.

Setting 1 (the default) uses each of several isotropic Gaussians on every image, by default the eight of the Gaussian8
benchmark; --setting2 draws one noisy anisotropic Gaussian for every image, 0.6 to 5 HR pixels wide; --kernels uses each
of a folder on every image. Downsampling is bicubic or, for the last two, with --downsample direct, keeps every scale-th
pixel. For scale 4 this writes below --save:

  HR/x4          the HR images, cut to multiples of the scale
  LRblur/x4      blurred and downsampled: what a blind network gets
  Bic/x4         downsampled without blur
  kernel/x4      the kernels, float32 .npy
  manifest.json  the setting, and the kernel and sizes of each image, under "x4": other scales keep theirs
"""

import sys
from pathlib import Path

from plidenet.cli import parser, run
from plidenet.data.setting_arguments import add_setting_arguments, read_setting


def main() -> None:
    arguments = parser(
        __doc__, "python scripts/generate_mod_blur_LR_bic.py --source Set5/original --save datasets/Set5 --scale 4"
    )
    arguments.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder of HR images")
    arguments.add_argument("--save", type=Path, required=True, metavar="DIR", help="where to write")
    arguments.add_argument("--scale", type=int, required=True, choices=(2, 3, 4), help="HR size / LR size")
    add_setting_arguments(arguments)
    options = arguments.parse_args()

    from plidenet.data.benchmark import build_benchmark

    build_benchmark(options.source, options.save, options.scale, read_setting(options))
    print(f"wrote {options.save}/{{HR,LRblur,Bic,kernel}}/x{options.scale}")


if __name__ == "__main__":
    sys.exit(run(main))

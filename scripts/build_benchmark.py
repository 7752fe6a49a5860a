#!/usr/bin/env python3
"""Make a benchmark set ready for testing: the images and kernels of generate_mod_blur_LR_bic.py and LMDBs of them.

Setting 1 (the default) is Gaussian8; --setting2 makes a set like DIV2KRK of any images, downsampled by MATLAB's bicubic
or, with --downsample direct, by keeping every scale-th pixel of the blurred image.

Everything goes to <save>/<name>/setting1, setting2 or setting2_direct, where several scales live beside each other.
What is printed belongs under `datasets:` of a test option file, where every section has a name of its own: --section
test2 for a second set.
"""

import sys
import textwrap
from pathlib import Path

from plidenet.cli import parser, run
from plidenet.errors import UserError


def main() -> None:
    arguments = parser(__doc__, "python scripts/build_benchmark.py --source Set5/original --name Set5 --scale 4")
    arguments.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder of HR images")
    arguments.add_argument("--name", required=True, help="of the set, for folders and tables")
    arguments.add_argument("--save", type=Path, default=Path("datasets"), metavar="DIR", help="default: datasets")
    arguments.add_argument("--scale", type=int, required=True, choices=(2, 3, 4), help="HR size / LR size")
    arguments.add_argument("--setting2", action="store_true", help="random anisotropic kernels instead of Gaussian8")
    arguments.add_argument("--seed", type=int, default=0, help="of --setting2 (default 0)")
    arguments.add_argument(
        "--downsample", default="bicubic", choices=("bicubic", "direct"), help="of --setting2 (default bicubic)"
    )
    arguments.add_argument("--format", default="dan", choices=("dan", "basicsr"), help="of the LMDBs (default dan)")
    arguments.add_argument("--section", default="test1", help="what the printed section is called (default test1)")
    options = arguments.parse_args()

    import yaml
    from plidenet.data.benchmark import build_benchmark, setting1, setting2
    from plidenet.degradation import gaussian8_sigmas

    if options.setting2:
        folder = "setting2" if options.downsample == "bicubic" else "setting2_direct"
        setting = setting2(options.seed, 21, options.scale, options.downsample)
    elif options.downsample == "direct":
        raise UserError("--downsample direct goes with --setting2: Gaussian8 is downsampled by bicubic")
    else:
        folder, setting = "setting1", setting1(gaussian8_sigmas(options.scale), 21)
    save = options.save / options.name / folder
    roots = build_benchmark(options.source, save, options.scale, setting, options.format)
    if not Path("pyproject.toml").is_file():  # relative paths in an option file begin at the project's root
        roots = {field: path.resolve() for field, path in roots.items()}
    section = {"name": options.name, "mode": "LQGT", **{field: str(path) for field, path in roots.items()}}
    print(textwrap.indent(yaml.safe_dump({options.section: section}, sort_keys=False, width=1000), "  "), end="")


if __name__ == "__main__":
    sys.exit(run(main))

#!/usr/bin/env python3
"""Make a benchmark set ready for testing: what generate_mod_blur_LR_bic.py makes, and LMDBs of HR and LRblur.

Setting 1 (the default) is Gaussian8. --setting2 draws one noisy anisotropic Gaussian for every image, 0.6 to 5 HR
pixels wide, and downsamples by MATLAB's bicubic, as in training. DIV2KRK differs: it keeps every scale-th pixel of the
blurred image (--downsample direct), and its kernels are 11x11 at x2 (--ksize 11), applied twice at x4. --kernels takes
those of a folder, each for every image.

Everything goes to <save>/<name>/setting1, setting2 or own_kernels, with _direct after --downsample direct; several
scales live there beside each other.
What is printed belongs under `datasets:` of a test option file, where every section has a name of its own: --section
test2 for a second set.
"""

import sys
import textwrap
from pathlib import Path

from plidenet.cli import parser, run
from plidenet.data.setting_arguments import add_setting_arguments, read_setting
from plidenet.errors import UserError


def main() -> None:
    arguments = parser(__doc__, "python scripts/build_benchmark.py --source Set5/original --name Set5 --scale 4")
    arguments.add_argument("--source", type=Path, required=True, metavar="DIR", help="folder of HR images")
    arguments.add_argument("--name", required=True, help="of the set, for folders and tables")
    arguments.add_argument("--save", type=Path, default=Path("datasets"), metavar="DIR", help="default: datasets")
    arguments.add_argument("--scale", type=int, required=True, choices=(2, 3, 4), help="HR size / LR size")
    add_setting_arguments(arguments)
    arguments.add_argument("--format", default="dan", choices=("dan", "basicsr"), help="of the LMDBs (default dan)")
    arguments.add_argument("--section", default="test1", help="what the printed section is called (default test1)")
    options = arguments.parse_args()

    import yaml
    from plidenet.config import RESULT_TABLES
    from plidenet.data.benchmark import build_benchmark
    from plidenet.files import is_file_name

    if not is_file_name(options.name):
        raise UserError(f"--name {options.name} cannot be the name of a folder")
    if options.name in RESULT_TABLES and options.section != "train":
        raise UserError(f"--name cannot be {options.name}: a table of the results has that name")
    if options.section != "train" and not options.section.startswith(("test", "val")):
        raise UserError(f"--section must be train, val* or test*, not {options.section}")
    setting = read_setting(options)
    folder = "own_kernels" if options.kernels else "setting2" if options.setting2 else "setting1"
    if setting.downsample == "direct":
        folder += "_direct"
    save = options.save / options.name / folder
    roots = build_benchmark(options.source, save, options.scale, setting, options.format)
    if not Path("pyproject.toml").is_file():  # relative paths in an option file begin at the project's root
        roots = {field: path.resolve() for field, path in roots.items()}
    section = {"name": options.name, "mode": "LQGT", **{field: str(path) for field, path in roots.items()}}
    text = yaml.safe_dump({options.section: section}, sort_keys=False, width=1000, allow_unicode=True)
    print(textwrap.indent(text, "  "), end="")


if __name__ == "__main__":
    sys.exit(run(main))

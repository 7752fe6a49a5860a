#!/usr/bin/env python3
"""Measure a network on every test set of an option file: PSNR and SSIM on Y and on RGB, tables, SR images. Or several
networks, for one table with published ones beside. Under torchrun, the processes share the images among them.
"""

import os
import sys
from argparse import Namespace
from pathlib import Path

from plidenet.cli import add_tile_arguments, option_parser, run, tile_overrides
from plidenet.errors import UserError

EXAMPLES = """python test/test.py -opt options/setting1/test/test_setting1_x4_E.yml
  python test/test.py --compare options/demo/test_bicubic_x4.yml options/demo/test_demo_x4.yml --output results/both"""


def main() -> None:
    arguments = option_parser(__doc__, EXAMPLES, required=False)
    arguments.add_argument("--compare", nargs="+", metavar="FILE", help="option files of one table, instead of -opt")
    arguments.add_argument("--output", type=Path, help="folder of the comparison (default: results/comparison)")
    add_tile_arguments(arguments)
    given = arguments.parse_intermixed_args()
    files, overrides = files_and_overrides(given)

    from plidenet import distributed
    from plidenet.config import load_options
    from plidenet.device import choose_device
    from plidenet.evaluation.tester import compare, test
    from plidenet.logs import log_to_screen

    log_to_screen()
    options = [load_options(file, overrides) for file in files]
    with distributed.process_group(choose_device(options[0]), options[0].dist_timeout):
        text = compare(options, given.output) if given.compare else test(options[0])
    if distributed.is_main():
        print(text)


def files_and_overrides(given: Namespace) -> tuple[list[str], list[str]]:
    """The option files, and the assignments: argparse takes those that follow --compare for files."""
    if (given.opt is None) == (given.compare is None):
        raise UserError("give one option file after -opt, or several after --compare")
    if given.output is not None and given.compare is None:
        raise UserError("--output is for --compare; path.results_root=FOLDER moves the results of -opt")
    if given.opt:
        return [given.opt], given.overrides + tile_overrides(given)
    # os.path, for Path.is_file() fails over assignments that are too long for a path
    files = [entry for entry in given.compare if "=" not in entry or os.path.isfile(entry)]  # noqa: PTH113
    if not files:
        raise UserError("--compare needs option files")
    assignments = [entry for entry in given.compare if entry not in files]
    return files, assignments + given.overrides + tile_overrides(given)


if __name__ == "__main__":
    sys.exit(run(main))

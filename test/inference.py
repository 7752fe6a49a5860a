#!/usr/bin/env python3
"""Restore one image or all images of a folder, and save the blur kernels estimated on the way."""

import sys
from pathlib import Path

from plidenet.cli import add_tile_arguments, option_parser, run, tile_overrides


def main() -> None:
    arguments = option_parser(
        __doc__,
        "python test/inference.py -opt options/setting1/test/test_setting1_x4_E.yml -input_dir photos -output_dir out",
    )
    arguments.add_argument("-input_dir", "--input_dir", required=True, type=Path, help="LR image, or folder of them")
    arguments.add_argument("-output_dir", "--output_dir", required=True, type=Path, help="folder to write to")
    arguments.add_argument("--weights", type=Path, help="weights to use instead of the option file's")
    add_tile_arguments(arguments)
    given = arguments.parse_intermixed_args()

    from plidenet import distributed
    from plidenet.config import load_options
    from plidenet.device import choose_device
    from plidenet.evaluation.inference import infer
    from plidenet.logs import log_to_screen

    log_to_screen()
    options = load_options(given.opt, given.overrides + tile_overrides(given))
    with distributed.process_group(choose_device(options), options.dist_timeout):
        infer(options, given.input_dir, given.output_dir, given.weights)


if __name__ == "__main__":
    sys.exit(run(main))

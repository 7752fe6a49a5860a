#!/usr/bin/env python3
"""Measure a network on every test set of an option file: PSNR and SSIM on Y and on RGB, tables, SR images."""

import sys

from plidenet.cli import option_parser, run


def main() -> None:
    arguments = option_parser(
        __doc__, "python test/test.py -opt options/setting1/test/test_setting1_x4.yml"
    ).parse_intermixed_args()

    from plidenet.config import load_options
    from plidenet.evaluation.tester import test
    from plidenet.logs import log_to_screen

    log_to_screen()
    print(test(load_options(arguments.opt, arguments.overrides)))


if __name__ == "__main__":
    sys.exit(run(main))

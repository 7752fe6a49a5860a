#!/usr/bin/env python3
"""Train PL-IDENet as an option file says. Single fields can be set on the command line: train.niter=2000."""

import logging
import sys
from pathlib import Path

from plidenet.cli import option_parser, run

log = logging.getLogger("plidenet.train")


def main() -> None:
    arguments = option_parser(
        __doc__, "python train/train.py -opt options/setting1/train/train_setting1_x4.yml"
    ).parse_intermixed_args()

    from plidenet import distributed
    from plidenet.config import describe_changes, load_options
    from plidenet.data.build import require_images
    from plidenet.device import choose_device
    from plidenet.logs import log_to_file, log_to_memory, log_to_screen
    from plidenet.training import Trainer

    log_to_screen()
    start = log_to_memory()
    options = load_options(arguments.opt, arguments.overrides)
    require_images({key: section for key, section in options.datasets.items() if not key.startswith("test")})
    with distributed.process_group(choose_device(options), options.dist_timeout):
        trainer = Trainer(options, Path(arguments.opt))
        if distributed.is_main():
            log_to_file(trainer.experiment.folder / f"train_{options.name}.log", start)
        changes = [f"{name}: {value}" for name, value in describe_changes(options).items()]
        log.info("options that differ from the defaults:\n  %s", "\n  ".join(changes))
        processes, batch = distributed.world_size(), options.datasets["train"].batch_size
        network = options.network_G.which_model_G
        log.info("%s on %d x %s, %d images a step in all", network, processes, trainer.device, batch)
        trainer.fit()


if __name__ == "__main__":
    sys.exit(run(main))

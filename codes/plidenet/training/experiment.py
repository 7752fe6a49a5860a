"""The folder of a training run, its checkpoints, and resuming from them."""

import logging
import shutil
import time
from pathlib import Path
from typing import Any

from plidenet.checkpoint import load_tensors, save_atomically
from plidenet.config import Options
from plidenet.errors import UserError

log = logging.getLogger(__name__)


class Experiment:
    """experiments/<name>, with `models`, `training_states`, `tb_logger`, logs and the option file.

    Args:
        options: the run's options.
        option_file: copied into the folder.

    A folder left by an earlier run is kept when this one resumes, and renamed to <name>_archived_<time> otherwise.
    """

    def __init__(self, options: Options, option_file: Path) -> None:
        self.folder = options.path.experiments_root / options.name
        if self.folder.exists() and options.path.resume_state is None:
            archived = self.folder.with_name(f"{options.name}_archived_{time.strftime('%y%m%d-%H%M%S')}")
            self.folder.rename(archived)
            log.info("the earlier run of this name was moved to %s", archived)
        self.models = self.folder / "models"
        self.states = self.folder / "training_states"
        self.tensorboard = self.folder / "tb_logger"
        for folder in (self.models, self.states):
            folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(option_file, self.folder / option_file.name)

    def save_state(self, state: dict[str, Any]) -> None:
        """Write training_states/<iteration>.state."""
        save_atomically(state, self.states / f"{state['iteration']}.state")


def load_state(path: Path) -> dict[str, Any]:
    """Read a training state written by `Experiment.save_state`; UserError if it is none."""
    state = load_tensors(path)
    missing = {"iteration", "net", "optimizer", "best_psnr"} - state.keys()
    if missing:
        raise UserError(f"{path} is no training state: it lacks {', '.join(sorted(missing))}")
    return state

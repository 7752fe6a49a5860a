"""The folder of a training run, its checkpoints, and resuming from them."""

import json
import logging
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from plidenet import distributed
from plidenet.checkpoint import load_tensors, save_atomically, save_checkpoint
from plidenet.config import Options, describe_differences, write_options
from plidenet.errors import UserError
from plidenet.files import write_file
from plidenet.lock import lock

log = logging.getLogger(__name__)
STATE_FIELDS: dict[str, Any] = {
    "iteration": int,
    "best_psnr": float,
    "validation_due": bool,
    "options": dict,
    "weights": dict,
    "last_good": dict | None,
    "guard": dict,
    "meter": dict,
}


class Experiment:
    """experiments/<name>, with `models`, `training_states`, `val_images`, `tb_logger`, logs and the options.

    Args:
        options: the run's options.
        option_file: copied into the folder, next to resolved.yml: all options as read, except that
            `path.resume_state` is auto, so that it continues the run.
    """

    def __init__(self, options: Options, option_file: Path) -> None:
        self.options = options
        self.option_file, self.option_text = option_file.name, option_file.read_bytes()
        self.parts = {part.name: part.read_bytes() for part in options.parts}  # they may lie in a folder that is moved
        self.folder = options.path.experiments_root / options.name
        self.models = self.folder / "models"
        self.states = self.folder / "training_states"
        self._lock: IO[str] | None = None

    def claim(self) -> None:
        """Keep other programs from training in the folder, where it exists, until this one ends.

        Raises:
            UserError: another one does, or the folder holds other things than a run.
        """
        if distributed.is_main() and self._lock is None and self.folder.exists():
            if any(self.folder.iterdir()) and not (self.models.is_dir() or self.states.is_dir()):
                raise UserError(f"{self.folder} holds no training run; choose another name, for it would be moved away")
            refusal = f"{self.folder} is in use by another training process; another name starts a run beside it"
            self._lock = lock(self.folder / ".lock", refusal)

    def prepare(self, iteration: int | None, best_counts: bool) -> None:
        """Make the folder, with the option file, its parts, resolved.yml and the environment in it.

        A folder left by an earlier run is kept when this one resumes, or where it holds no weights of a step
        and `path.resume_state` is set; it is renamed to <name>_archived_<time> otherwise.
        States of later iterations than the one resumed at are renamed to *.abandoned: they do not belong to this run.

        Args:
            iteration: where this run resumes; None: it does not.
            best_counts: whether the score of the best weights so far is still to be beaten. If not, they are kept as
                best_left_at_<iteration>_G.pth, and the next validation writes best_G.pth anew.

        Raises:
            UserError: another process trains there.
        """
        self.claim()
        wanted = self.options.path.resume_state is not None
        if self.folder.exists() and iteration is None and (not wanted or (self.models / "latest_G.pth").exists()):
            stem = name = f"{self.options.name}_archived_{time.strftime('%y%m%d-%H%M%S')}"
            number = 1
            while (archived := self.folder.with_name(name)).exists():  # within a second, or the clock went back
                number += 1
                name = f"{stem}_{number}"
            self.folder.rename(archived)
            self._lock = None
            reason = "there is no training state to go on from" if wanted else "path.resume_state is not auto"
            log.info("the earlier run of this name was moved to %s, as %s", archived, reason)
        for path in self._newest_states():
            if int(path.stem) > (iteration or 0):
                path.replace(path.with_suffix(".abandoned"))
                log.info("%s is of a later iteration than this run's, and now called .abandoned", path)
        for folder in (self.models, self.states):
            folder.mkdir(parents=True, exist_ok=True)
            for unfinished in folder.glob(".*.tmp"):  # of a run that was killed while saving
                unfinished.unlink()
        self.claim()
        best, kept = (self.models / f"{name}_G.pth" for name in ("best", f"best_left_at_{iteration}"))
        if iteration and best.exists() and not (best_counts or kept.exists()):
            best.replace(kept)
            log.info("the best weights so far are kept as %s", kept)
        resuming = replace(self.options, path=replace(self.options.path, resume_state="auto"))
        write_file(self.folder / self.option_file, self.option_text)
        for name, content in self.parts.items():
            self._keep_part(name, content, iteration or 0)
        write_file(self.folder / "resolved.yml", write_options(resuming))
        environment = f"environment_{iteration}.json" if iteration else "environment.json"
        write_file(self.folder / environment, json.dumps(describe_environment(), indent=1) + "\n")

    def _keep_part(self, name: str, content: bytes, iteration: int) -> None:
        """Write a copy of a part; an earlier one that differs is kept as <name>.until_<iteration>, with a warning."""
        copy = self.folder / name
        if copy.exists() and copy.read_bytes() != content:
            kept = copy.with_name(f"{name}.until_{iteration}")
            copy.replace(kept)
            log.warning("%s has changed since this run was saved: its earlier text is kept as %s", name, kept)
        write_file(copy, content)

    def save_weights(self, names: Iterable[str], **weights: Mapping[str, Tensor]) -> None:
        """Write models/<name>_G.pth, the same under each of the names; the main process does."""
        for name in names if distributed.is_main() else ():
            save_checkpoint(self.models / f"{name}_G.pth", **weights)

    def save_state(self, state: dict[str, Any]) -> None:
        """Write training_states/<iteration>.state and remove all but the newest `logger.keep`."""
        save_atomically(state, self.states / f"{state['iteration']}.state")
        for path in self._newest_states()[self.options.logger.keep :]:
            path.unlink()

    def find_state(self) -> tuple[Path, dict[str, Any]] | None:
        """The state that `path.resume_state` names, or the newest complete one for `auto`; None for a fresh start.

        Raises:
            UserError: the named state is missing or damaged, or, for `auto`, every state that exists is damaged.
        """
        wanted = self.options.path.resume_state
        if wanted is None:
            return None
        if wanted != "auto":
            return Path(wanted), load_state(Path(wanted))
        states = self._newest_states()
        for path in states:
            try:
                return path, load_state(path)
            except UserError as error:
                log.warning("passed over: %s", error)
        if states:
            raise UserError(f"no training state in {self.states} can be read; another name starts a new run")
        log.info("no training state in %s: this is a fresh start", self.states)
        return None

    def tell_differences(self, path: Path, state: Mapping[str, Any]) -> list[str]:
        """Log where the run goes on, and how its options differ from those of the state; returns the fields' names."""
        log.info("resuming from %s at iteration %d", path, state["iteration"])
        earlier = {str(name): str(value) for name, value in state["options"].items()}
        differences = describe_differences(self.options, earlier)
        for name, values in differences.items():
            log.warning("%s has changed since that state was saved: %s", name, values)
        if "path.pretrain_model_G" in differences:
            log.warning("the weights are those of the state: another name starts a run from path.pretrain_model_G")
        return list(differences)

    def owns(self, state: Path) -> bool:
        """Whether a training state is one of this run's."""
        return state.resolve().parent == self.states.resolve()

    def _newest_states(self) -> list[Path]:
        states = (path for path in self.states.glob("*.state") if path.stem.isdecimal())  # not 5000_copy.state
        return sorted(states, key=lambda path: int(path.stem), reverse=True)


def load_state(path: Path) -> dict[str, Any]:
    """Read a training state written by `Experiment.save_state`; UserError if it is none."""
    state = load_tensors(path)
    wrong = [name for name, kind in STATE_FIELDS.items() if name not in state or not isinstance(state[name], kind)]
    if wrong:
        hint = "; weights alone are for path.pretrain_model_G" if "weights" in wrong else ""
        raise UserError(f"{path} is not a training state; missing or of the wrong type: {', '.join(wrong)}{hint}")
    return state


def describe_environment() -> dict[str, Any]:
    """The command of a run, versions, hardware and the commit."""
    cuda = torch.cuda.is_available()
    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "command": shlex.join(sys.argv),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cuda": torch.version.cuda,
        "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())] if cuda else [],
        "processes": distributed.world_size(),
        "commit": git_commit(),
    }


def git_commit() -> str | None:
    """The commit of the source tree, with "+changes" where files differ from it; None outside of git."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty=+changes"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None

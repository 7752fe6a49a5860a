"""A training run small enough for a test: four crops of photographs, a network of a few thousand parameters, x2."""

import csv
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import torch
import yaml
from conftest import ROOT, TINY
from plidenet.config import Options, load_options
from plidenet.data.benchmark import build_benchmark, setting1
from plidenet.data.images import write_image
from plidenet.training import Trainer
from plidenet.training.validation import Validator
from skimage import data

OPTIONS = {
    "name": "run",
    "scale": 2,
    "device": "cpu",
    "use_tb_logger": False,
    "degradation": {"sig_min": 0.2, "sig_max": 2.0},
    "network_G": {"which_model_G": "PL_IDENet_E", "setting": {**TINY, "kernel_init_sigma": 1.0, "drop_path": 0.2}},
    "train": {"niter": 6, "lr_G": 1e-3, "val_freq": 3, "ema_decay": 0.9, "manual_seed": 3},
    "logger": {"print_freq": 1, "save_checkpoint_freq": 2, "val_images": 1},
}
AUTO = "path.resume_state=auto"


class Run:
    """A folder with data and an option file; `train` trains in this process, `start` in one of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.opt = folder, folder / "options.yml"
        for number in range(4):
            top, left = 60 * number, 90 * number
            write_image(folder / f"hr/{number}.png", data.astronaut()[top : top + 60, left : left + 52 + 4 * number])
        write_image(folder / "source/cat.png", data.chelsea()[100:148, 150:198])
        build_benchmark(folder / "source", folder / "val", 2, setting1([1.0, 1.4], 21))
        sections = {
            "train": {"name": "crops", "mode": "GT", "GT_size": 32, "batch_size": 4, "n_workers": 0},
            "val": {"name": "cat", "mode": "LQGT", "n_workers": 0},
        }
        sections["train"]["dataroot_GT"] = str(folder / "hr")
        for field, kind in (("dataroot_GT", "HR"), ("dataroot_LQ", "LRblur"), ("dataroot_kernel", "kernel")):
            sections["val"][field] = str(folder / f"val/{kind}/x2")
        paths = {"experiments_root": str(folder / "experiments")}
        self.opt.write_text(yaml.safe_dump({**OPTIONS, "datasets": sections, "path": paths}))

    def options(self, *overrides: str) -> Options:
        return load_options(self.opt, overrides)

    def trainer(self, *overrides: str) -> Trainer:
        return Trainer(self.options(*overrides), self.opt)

    def train(self, *overrides: str) -> Trainer:
        trainer = self.trainer(*overrides)
        trainer.fit()
        return trainer

    def command(self, *overrides: str) -> list[str]:
        return [sys.executable, str(ROOT / "train/train.py"), "-opt", str(self.opt), *overrides]

    def start(self, command: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )

    def state(self, name: str, iteration: int) -> dict:
        path = self.folder / f"experiments/{name}/training_states/{iteration}.state"
        return torch.load(path, weights_only=True)

    def curves(self, name: str) -> list[list[str]]:
        with (self.folder / f"experiments/{name}/curves.csv").open(newline="") as file:
            return list(csv.reader(file))


def assert_identical(one: object, other: object, where: str = "state") -> None:
    """Bit for bit the same, down to the last tensor of nested dicts and lists."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other), f"{where} differs by {(one - other).abs().max()}"
    elif isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for key in one:
            assert_identical(one[key], other[key], f"{where}.{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), where
        for number, (a, b) in enumerate(zip(one, other, strict=True)):
            assert_identical(a, b, f"{where}[{number}]")
    else:
        assert one == other, where


def assert_same_curves(one: list[list[str]], other: list[list[str]], tolerance: float = 1e-5) -> None:
    """The losses of two runs agree to a relative tolerance at every iteration."""
    pairs = [pair for pair in zip(one, other, strict=True) if pair[0][1].startswith("loss/")]
    assert pairs
    for (iteration, name, value), (_, same_name, same) in pairs:
        assert name == same_name
        assert abs(float(value) - float(same)) <= tolerance * abs(float(value)), (
            f"{name} at {iteration}: {value}, {same}"
        )


def assert_same_end(run, one, other, iteration=6):
    """Two runs end with the same weights, averages, optimizer, guard and loss log."""
    ends = [run.state(name, iteration) for name in (one, other)]
    for end in ends:
        end.pop("options")  # they hold the name
    assert_identical(*ends)
    assert run.curves(one) == run.curves(other)


def before_step(monkeypatch, iteration, action):
    """Run the action before the step that follows so many."""
    step = Trainer.train_step

    def acting(self, *arguments):
        if self.iteration == iteration:
            action()
        return step(self, *arguments)

    monkeypatch.setattr(Trainer, "train_step", acting)


def crash_before(monkeypatch, iteration):
    before_step(monkeypatch, iteration, Mock(side_effect=RuntimeError("the machine is gone")))


def validate_with(monkeypatch, values):
    """Let validation report given PSNRs, one after the other."""
    remaining = iter(values)
    monkeypatch.setattr(Validator, "measure", lambda *_: next(remaining))

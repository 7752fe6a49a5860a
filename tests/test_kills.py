"""kill -9 at random moments of training and of writing LMDBs; nothing that was reported saved is lost.

The quick tests kill a few times, the exhaustive ones fifty times each. `test_faults.py` has the other faults.
"""

import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from lmdb_samples import PHOTOGRAPH, write_images
from plidenet.checkpoint import load_tensors, read_weights
from plidenet.data import lmdb_store
from plidenet.data.lmdb_store import write_lmdb
from plidenet.files import HOST
from plidenet.training.experiment import load_state
from test_lmdb import raw
from training_setup import Run, assert_identical

NITER, KEEP = 4, 2
MANY = pytest.param(50, marks=pytest.mark.exhaustive)


class Killer:
    """A process that forks programs and kills them, see killed_programs.py, and the moments to kill at.

    Attributes:
        kills: how many were killed.
        kills_in_saves: how many of them in a save.
    """

    def __init__(self, work: str, folder: Path) -> None:
        self.errors = (folder / "errors.txt").open("w+", encoding="utf-8", errors="replace")
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/killed_programs.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        )
        self.work, self.random = work, random.Random(9)
        self.kills = self.kills_in_saves = 0

    def __enter__(self) -> "Killer":
        return self

    def __exit__(self, *error: object) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.errors.close()

    def work_to_the_end(self, *arguments: object, **more: object) -> dict:
        ended = self._attempt(*arguments, **more)
        assert ended["status"] == 0, Path(self.errors.name).read_text()[-3000:]
        return ended

    def kill(self, whole: dict, *arguments: object, **more: object) -> bool:
        """Kill an attempt at a random moment of the whole, or of a random save; False if it was quicker."""
        if self.random.random() < 0.5:
            more |= {"after": self.random.randint(1, whole["saves"]), "delay": self.random.uniform(0, 0.03)}
        else:
            more |= {"after": 0, "delay": self.random.uniform(0, whole["seconds"])}
        ended = self._attempt(*arguments, **more)
        assert ended["killed"] or ended["status"] == 0, Path(self.errors.name).read_text()[-3000:]
        self.kills += ended["killed"]
        self.kills_in_saves += ended["saving"]
        return ended["killed"]

    def report(self) -> str:
        return f"{self.work}: {self.kills} kills, {self.kills_in_saves} of them in a save"

    def _attempt(self, *arguments: object, **more: object) -> dict:
        self.process.stdin.write(json.dumps({"work": self.work, "arguments": arguments, **more}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def assert_saved_as_reported(folder: Path, log: Path) -> None:
    """What the log says was saved is there: the newest states and all weights, each of them whole."""
    text = log.read_text() if log.exists() else ""
    saved: set[int] = set()
    for number, start in re.findall(r"iteration (\d+): saved to|(?:resuming from .* at iteration|fresh) (.+)", text):
        if number:
            saved.add(int(number))
        else:
            assert (0 if start == "start" else int(start)) >= max(saved, default=0), "the resumed run lost a save"
    for iteration in sorted(saved)[-KEEP:]:
        state = folder / f"training_states/{iteration}.state"
        if state.exists() or iteration in sorted(saved)[-KEEP + 1 :]:  # one more may be on its way
            assert load_state(state)["iteration"] == iteration
    for name in [*map(str, saved), *(["latest"] if saved else []), *(["best"] if "is the best so far" in text else [])]:
        read_weights(folder / f"models/{name}_G.pth")


def files_of(run: Path) -> list[str]:
    """The files of a run but for environment_<iteration>.json, of its continuations."""
    files = [str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()]
    return sorted(name for name in files if not re.fullmatch(r"environment_\d+\.json", name))


def assert_same_run(one: Path, other: Path) -> None:
    """Weights, states and curves of two runs are the same, and neither has anything unfinished in it."""
    names = [files_of(run) for run in (one, other)]
    assert names[0] == names[1]
    assert (one / "curves.csv").read_bytes() == (other / "curves.csv").read_bytes()
    for name in names[0]:
        if name.endswith((".pth", ".state")):
            contents = [load_tensors(run / name) for run in (one, other)]
            for content in contents:
                content.pop("options", None)  # they hold the run's name
            assert_identical(*contents, where=name)


@pytest.mark.parametrize("kills", [5, MANY])
def test_training_killed_at_any_moment_ends_as_if_it_had_not_been(tmp_path, kills):
    run = Run(tmp_path)
    experiments = tmp_path / "experiments"
    setting = ["logger.save_checkpoint_freq=1", f"train.niter={NITER}", "train.val_freq=2", f"logger.keep={KEEP}"]
    with Killer("train", tmp_path) as killer:
        whole = killer.work_to_the_end(str(run.opt), ["name=whole", *setting])
        number = 0
        while killer.kills < kills:
            number += 1
            name, log = f"killed{number}", tmp_path / f"{number}.log"
            job = (str(run.opt), [f"name={name}", "path.resume_state=auto", *setting])
            for _ in range(2):  # the resumed run is killed, too
                killed = killer.kills < kills and killer.kill(whole, *job, log=str(log))
                assert_saved_as_reported(experiments / name, log)
                if not killed:
                    break
            killer.work_to_the_end(*job, log=str(log))
            assert_saved_as_reported(experiments / name, log)
            assert_same_run(experiments / "whole", experiments / name)
        print(killer.report())
        assert killer.kills_in_saves >= kills // 5


@pytest.mark.parametrize("kills", [6, MANY])
def test_an_lmdb_whose_writing_was_killed_at_any_moment_is_written_by_the_next_attempt(tmp_path, kills):
    images = {f"{i:02d}": PHOTOGRAPH[10 * i : 10 * i + 200, : 180 + 5 * i] for i in range(16)}
    paths = [str(path) for path in write_images(tmp_path / "images", images).values()]
    wholes = {}
    with Killer("lmdb", tmp_path) as killer:
        for format in ("dan", "basicsr"):
            ended = killer.work_to_the_end(str(tmp_path / f"{format}/a.lmdb"), paths, format)
            wholes[format] = (ended, contents(tmp_path / f"{format}/a.lmdb"))
        number = unfinished = 0
        while killer.kills < kills:
            number += 1
            format = ("dan", "basicsr")[number % 2]
            target = tmp_path / f"{number}" / "a.lmdb"
            ended, whole = wholes[format]
            killer.kill(ended, str(target), paths, format)
            if target.parent.exists():
                unfinished += any(path != target for path in target.parent.iterdir())
            if not target.exists():
                killer.work_to_the_end(str(target), paths, format)
            assert list(target.parent.iterdir()) == [target], "an attempt that was killed has left something behind"
            assert contents(target) == whole
        print(killer.report(), f"({unfinished} left something for the next attempt to clear)")
        assert unfinished >= kills // 3
        assert killer.kills_in_saves >= kills // 10


def contents(folder):
    """Everything an LMDB holds, by name; the store's file aside, whose unused bytes may differ."""
    meta = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "data.mdb"}
    return raw(folder), meta


def test_what_a_killed_process_of_the_same_number_left_does_not_get_into_the_lmdb(tmp_path, monkeypatch):
    images = write_images(tmp_path / "images")
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(lmdb_store, "_dan_meta", lambda *_: (_ for _ in ()).throw(SystemExit))
        patch.setattr("plidenet.files._remove", lambda path: None)
        write_lmdb(tmp_path / "out/a.lmdb", {"other": images["baby"]})
    (left,) = (tmp_path / "out").iterdir()
    assert str(os.getpid()) in left.name
    write_lmdb(tmp_path / "out/a.lmdb", images)
    assert raw(tmp_path / "out/a.lmdb").keys() == images.keys()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.lmdb"]


def test_what_living_processes_and_other_machines_are_writing_is_left_alone(tmp_path):
    ended = subprocess.Popen(["true"])
    ended.wait()
    kept = [f".a.lmdb.{HOST}.{os.getppid()}.tmp", f".a.lmdb.0badc0de.{ended.pid}.tmp", ".a.tmp", "a.1.tmp"]
    for name in [*kept, f".b.lmdb.{HOST}.{ended.pid}.tmp"]:
        (tmp_path / name).mkdir()
    write_lmdb(tmp_path / "a.lmdb", write_images(tmp_path / "images"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, "a.lmdb", "images"])

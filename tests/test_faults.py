"""Machines that fail during work: full and read-only disks, lost files and processes, clocks that go back.

`test_kills.py` has kill -9, `test_resume.py` a file that cannot grow and signals to a single process. The last tests
are of a machine that does not fail: seeds decide everything.
"""

import multiprocessing
import os
import re
import shutil
import signal
import subprocess
import time
from itertools import count
from unittest.mock import Mock

import pytest
from lmdb_samples import PHOTOGRAPH, write_images
from plidenet.checkpoint import read_weights
from plidenet.data.lmdb_store import write_lmdb
from plidenet.errors import UserError
from plidenet.training.experiment import load_state
from plidenet.training.validation import Validator
from training_setup import AUTO, assert_same_end, before_step

EVEN = "train.val_freq=2"


@pytest.fixture
def small_disk(tmp_path):
    """A disk of two megabytes; call it with mount options to change them."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(options):
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")

    try:
        mount("size=2m")
    except FileNotFoundError:
        pytest.skip("there is no mount program here")
    mount.folder = folder
    yield mount
    subprocess.run(["umount", "--lazy", folder], check=True)


def error_of(done):
    assert done.status == 2, done.err
    (line,) = (line for line in done.err.splitlines() if not re.match(r"(write|verify) a|.*it/s|.*\?it", line))
    return line


def test_training_onto_a_disk_that_fills_loses_nothing_and_goes_on_when_there_is_room(run, run_script, small_disk):
    setting = [f"path.experiments_root={small_disk.folder}", "logger.save_checkpoint_freq=1", "train.niter=20", AUTO]
    done = run_script("train/train.py", "-opt", run.opt, *setting)
    assert done.status == 2
    assert re.fullmatch(r"error: .* cannot be written: .*; what was there before is unharmed", error_of(done))
    saved = [int(number) for number in re.findall(r"iteration (\d+): saved to", done.out)]
    folder = small_disk.folder / "run"
    assert saved
    assert load_state(folder / f"training_states/{saved[-1]}.state")["iteration"] == saved[-1]
    for name in ("latest", *map(str, saved)):
        read_weights(folder / f"models/{name}_G.pth")
    assert not list(folder.rglob(".*.tmp"))
    for path in folder.glob("models/[0-9]*"):
        path.unlink()
    small_disk("remount,size=20m")
    trainer = run.train(*setting, f"train.niter={saved[-1] + 1}")
    assert trainer.iteration == saved[-1] + 1


@pytest.mark.parametrize("full", [True, False])
def test_an_lmdb_that_cannot_be_written_is_said_in_one_sentence(tmp_path, run_script, small_disk, full):
    write_images(tmp_path / "images", {f"{i:02d}": PHOTOGRAPH[16 * i : 16 * i + 200, :300] for i in range(16)})
    if not full:
        small_disk("remount,ro")
    target = small_disk.folder / "a.lmdb"
    done = run_script("scripts/create_lmdb.py", "--source", tmp_path / "images", "--lmdb", target)
    assert re.fullmatch(
        rf"error: {target} cannot be written \(is the disk full\?\): .*" if full else ".*: Read-only file system",
        error_of(done),
    )
    assert not list(small_disk.folder.iterdir())


@pytest.mark.parametrize("earlier", [True, False])
def test_a_folder_that_is_read_only_ends_training_before_the_first_step(run, run_script, small_disk, earlier):
    setting = [f"path.experiments_root={small_disk.folder}", "train.niter=1"]
    if earlier:
        run.train(*setting)
    small_disk("remount,ro")
    done = run_script("train/train.py", "-opt", run.opt, *setting, AUTO)
    assert re.fullmatch(rf"error: {small_disk.folder}/\S+: Read-only file system", error_of(done))


@pytest.mark.parametrize("n_workers", [0, 2])
def test_a_file_that_disappears_is_named_and_training_goes_on_when_it_is_back(
    run, run_script, monkeypatch, tmp_path, n_workers
):
    workers, lost = f"datasets.train.n_workers={n_workers}", tmp_path / "hr/2.png"
    run.train("name=whole", "train.niter=12", workers)
    with monkeypatch.context() as patch:
        before_step(patch, 2, lambda: lost.rename(tmp_path / "2.png"))
        done = run_script("train/train.py", "-opt", run.opt, "train.niter=12", workers)
    assert f"error: {lost} cannot be read: No such file" in error_of(done)
    (tmp_path / "2.png").rename(lost)
    assert run.train("train.niter=12", workers, AUTO).iteration == 12
    assert_same_end(run, "whole", "run", 12)


def test_a_clock_that_goes_back_changes_nothing(run, monkeypatch):
    run.train("name=whole", EVEN)
    ticks = count()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: 1e9 - 1000 * next(ticks))
        run.train("name=parts", "train.niter=2", EVEN)
        os.utime(run.folder / "experiments/parts/training_states/2.state", (2e9, 2e9))
        run.train("name=parts", "train.niter=4", AUTO, EVEN)
        run.train("name=parts", AUTO, EVEN)
    assert_same_end(run, "whole", "parts")


def test_curves_outlast_a_resume_that_ends_while_it_writes_them_anew(run, monkeypatch):
    run.train("train.niter=2")
    before = run.curves("run")
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="the machine is gone"):
        patch.setattr("plidenet.training.record.csv.writer", Mock(side_effect=RuntimeError("the machine is gone")))
        run.trainer(AUTO)
    assert run.curves("run") == before


def test_earlier_runs_of_one_moment_are_all_kept(run, monkeypatch):
    monkeypatch.setattr(time, "strftime", lambda form: "210101-000000")
    for seed in range(4):
        run.train("train.niter=1", f"train.manual_seed={seed}")
    archived = sorted(path.name for path in (run.folder / "experiments").glob("run_archived_*"))
    assert archived == [f"run_archived_210101-000000{end}" for end in ("", "_2", "_3")]
    assert len({(run.folder / "experiments" / name / "curves.csv").read_text() for name in archived}) == 3


def test_a_loader_process_that_is_killed_is_told_and_training_goes_on(run, monkeypatch):
    workers = "datasets.train.n_workers=2"
    run.train("name=whole", workers)

    earlier = {child.pid for child in multiprocessing.active_children()}  # each loader tells a death of its own, once

    def kill():
        for child in multiprocessing.active_children():
            if child.pid not in earlier:
                os.kill(child.pid, signal.SIGKILL)
        time.sleep(0.2)

    with monkeypatch.context() as patch, pytest.raises(UserError, match=r"DataLoader worker \(pid.*killed.*: auto"):
        before_step(patch, 3, kill)
        run.train(workers)
    assert run.train(workers, AUTO).iteration == 6
    assert_same_end(run, "whole", "run")


def test_a_loader_process_that_is_killed_in_validation_costs_no_step(run, monkeypatch):
    def killed(*_):
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Killed. ")

    with monkeypatch.context() as patch, pytest.raises(UserError, match=r"worker \(pid 1\) is killed"):
        patch.setattr(Validator, "measure", killed)
        run.train("logger.save_checkpoint_freq=100")
    assert run.trainer(AUTO).validation_due
    assert run.train(AUTO).iteration == 6


def test_sigterm_to_all_processes_of_a_run_saves_and_ends_well(run):
    setting = ("train.niter=100000", "logger.save_checkpoint_freq=100000", "train.val_freq=100000")
    command = run.command(*setting, "datasets.train.n_workers=2")
    process = run.start(["setsid", *command])
    for line in process.stdout:
        if "iteration 3/" in line:
            os.killpg(process.pid, signal.SIGTERM)
            break
    rest = process.stdout.read()
    assert process.wait() == 0, rest
    (state,) = (run.folder / "experiments/run/training_states").iterdir()
    assert f"iteration {state.stem}: saved" in rest


def test_twenty_steps_are_the_same_in_two_runs_and_with_any_number_of_workers(run):
    setting = ("train.niter=20", "train.val_freq=20", "logger.save_checkpoint_freq=20")
    for name, n_workers in (("first", 0), ("second", 0), ("one", 1), ("two", 2)):
        run.train(f"name={name}", f"datasets.train.n_workers={n_workers}", *setting)
        assert_same_end(run, "first", name, 20)
    run.train("name=seed", "train.manual_seed=4", "train.niter=1")
    assert run.curves("seed")[1] != run.curves("first")[1]


@pytest.mark.parametrize("format", ["dan", "basicsr"])
def test_an_lmdb_is_the_same_to_the_byte_with_any_number_of_threads(tmp_path, format):
    images = write_images(tmp_path / "images", {f"{i}": PHOTOGRAPH[9 * i : 9 * i + 90, :80] for i in range(20)})
    files = []
    for workers in (1, 1, 4):
        write_lmdb(tmp_path / "a.lmdb", images, format, workers)
        files.append({path.name: path.read_bytes() for path in (tmp_path / "a.lmdb").iterdir()})
        shutil.rmtree(tmp_path / "a.lmdb")
    assert files[0] == files[1] == files[2]

"""Two training processes with one name: the second is refused, and the first goes on as if nothing had been."""

import errno
import fcntl
import signal
import subprocess

import pytest
from plidenet.errors import UserError
from plidenet.training.lock import lock
from training_setup import AUTO, Run


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


@pytest.mark.parametrize("resume", [AUTO, "path.resume_state="])
def test_a_second_process_of_one_name_is_refused_while_the_first_trains(run, resume):
    first = run.start(run.command("train.niter=100000", "logger.save_checkpoint_freq=100000", "train.val_freq=100000"))
    for line in first.stdout:
        if "iteration 1/" in line:
            break
    second = subprocess.run(run.command(resume), capture_output=True, text=True, check=False)
    assert second.returncode == 2
    assert f"error: {run.folder / 'experiments/run'} is in use by another training process" in second.stderr
    first.send_signal(signal.SIGTERM)
    rest = first.stdout.read()
    assert (first.wait(), "stopped on request" in rest) == (0, True), rest
    assert [path.name for path in (run.folder / "experiments").iterdir()] == ["run"]
    steps = [int(iteration) for iteration, name, _ in run.curves("run") if name == "loss/total"]
    assert steps == list(range(1, len(steps) + 1))


def test_a_name_is_free_again_when_its_process_has_ended_however_it_ended(run):
    killed = run.start(run.command("train.niter=100000"))
    for line in killed.stdout:
        if "iteration 1/" in line:
            killed.kill()
    killed.wait()
    assert run.train(AUTO, "train.niter=8", "train.val_freq=100").iteration == 8


def test_locks_of_one_folder_do_not_concern_another(run):
    run.train("train.niter=1")
    with lock(run.folder / "experiments/run/.lock", "taken"):
        run.train("name=other", "train.niter=1")


def test_a_file_system_without_locks_is_no_obstacle(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", unsupported)
    with lock(tmp_path / "file", "taken"):
        pass


def test_what_is_said_of_a_lock_that_another_process_holds(tmp_path, monkeypatch):
    def held(*_):
        raise BlockingIOError

    monkeypatch.setattr(fcntl, "lockf", held)
    with pytest.raises(UserError, match="taken"):
        lock(tmp_path / "file", "taken")

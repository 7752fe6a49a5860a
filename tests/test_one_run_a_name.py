"""Two training processes with one name: the second is refused, and the first goes on as if nothing had been."""

import errno
import fcntl
import shutil
import signal
import subprocess

import pytest
from plidenet.errors import UserError
from plidenet.lock import lock
from plidenet.training.experiment import Experiment
from training_setup import AUTO

LONG = ("train.niter=100000", "logger.save_checkpoint_freq=1", "train.val_freq=100000")
IN_USE = "experiments/run is in use by another training process"


@pytest.fixture
def started(run):
    """Start processes, and return each in the midst of training, with a state saved; none outlives the test."""
    processes = []

    def start():
        processes.append(process := run.start(run.command(*LONG)))
        assert any("iteration 1: saved" in line for line in process.stdout), "it never trained"
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()


def stopped(process):
    process.send_signal(signal.SIGTERM)
    rest = process.stdout.read()
    return process.wait() == 0 and "stopped on request" in rest


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("resume", [AUTO, "path.resume_state="])
def test_a_second_process_of_one_name_is_refused_while_the_first_trains(run, started, resume, earlier):
    if earlier:
        run.train("train.niter=1")
    first = started()
    second = subprocess.run(run.command(resume), capture_output=True, text=True, check=False)
    assert (second.returncode, IN_USE in second.stderr) == (2, True)
    assert stopped(first)
    assert len(list((run.folder / "experiments").iterdir())) == 1 + earlier
    steps = [int(iteration) for iteration, name, _ in run.curves("run") if name == "loss/total"]
    assert steps == list(range(1, len(steps) + 1))


@pytest.mark.parametrize("resume", [AUTO, "path.resume_state="])
def test_of_two_that_start_at_once_the_later_one_changes_nothing(run, started, monkeypatch, resume):
    first = []
    prepare = Experiment.prepare

    def prepare_late(*arguments):
        first.append(started())
        prepare(*arguments)

    monkeypatch.setattr(Experiment, "prepare", prepare_late)
    with pytest.raises(UserError, match=IN_USE):
        run.trainer(resume)
    assert stopped(*first)
    assert [path.name for path in (run.folder / "experiments").iterdir()] == ["run"]
    assert not list(run.folder.rglob("*.abandoned"))


def test_a_name_is_free_again_when_its_process_has_ended_however_it_ended(run, started):
    killed = started()
    killed.kill()
    killed.wait()
    assert run.train(AUTO, "train.niter=8", "train.val_freq=100").iteration == 8


def test_locks_of_one_folder_do_not_concern_another(run, started):
    first = started()
    other = subprocess.run(run.command("name=other", "train.niter=1"), capture_output=True, text=True, check=False)
    assert other.returncode == 0, other.stderr
    assert stopped(first)


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


@pytest.mark.parametrize("resume", [AUTO, "path.resume_state="])
def test_a_folder_that_holds_no_run_is_left_alone(run, resume):
    weights = run.folder / "experiments/run/weights.pth"
    weights.parent.mkdir(parents=True)
    weights.touch()
    with pytest.raises(UserError, match="run holds no training run; choose another name"):
        run.train(resume)
    assert list((run.folder / "experiments").rglob("*")) == [weights.parent, weights]


def test_weights_whose_training_states_are_gone_are_moved_away(run):
    run.train("train.niter=1")
    folder = run.folder / "experiments/run"
    trained = (folder / "models/latest_G.pth").read_bytes()
    shutil.rmtree(folder / "training_states")
    assert run.train(AUTO, "train.niter=2").iteration == 2
    (archived,) = folder.parent.glob("run_archived_*")
    assert (archived / "models/latest_G.pth").read_bytes() == trained
    assert not (folder / "models/1_G.pth").exists()


def test_a_run_that_was_killed_before_it_saved_anything_begins_in_its_folder(run):
    start = run.train("name=start", "train.niter=1").experiment.models / "latest_G.pth"
    fields = ("train.niter=1", f"path.pretrain_model_G={start}")
    folder = run.train(*fields).experiment.folder
    shutil.rmtree(folder / "training_states")
    for weights in folder.glob("models/[!b]*"):  # best_G.pth is written before the first step
        weights.unlink()
    assert [path.name for path in folder.glob("models/*")] == ["best_G.pth"]
    assert run.train(AUTO, *fields).iteration == 1
    assert not list(folder.parent.glob("*archived*"))


def test_the_parts_that_a_run_has_kept_can_be_given_when_its_folder_is_moved_away(run):
    (run.folder / "own.py").write_text("")
    folder = run.train("train.niter=1", f"parts=[{run.folder}/own.py]").experiment.folder
    assert run.train("path.resume_state=", "train.niter=1", f"parts=[{folder}/own.py]").iteration == 1
    assert (folder / "own.py").exists()


def test_an_empty_folder_is_trained_in(run):
    (run.folder / "experiments/run").mkdir(parents=True)
    assert run.train(AUTO, "train.niter=1").iteration == 1

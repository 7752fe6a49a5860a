"""Several processes make the run that one makes; what one of them suffers ends all."""

import logging
import signal
import subprocess
import sys
from unittest.mock import Mock

import pytest
import torch
from conftest import ROOT
from plidenet import distributed
from plidenet.errors import UserError
from plidenet.evaluation.evaluator import NotFinite, evaluate
from plidenet.logs import PACKAGE, log_to_memory, log_to_screen
from training_setup import assert_identical, assert_same_curves

CPU = torch.device("cpu")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone"]

RANK_1_DIES = """
import os, runpy, sys
from plidenet.training import Trainer
step = Trainer.train_step
def dying(self, *arguments):
    if self.iteration == 2 and os.environ["RANK"] == "1":
        raise RuntimeError("rank 1 has died")
    return step(self, *arguments)
Trainer.train_step = dying
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# Process 1 alone is asked to stop, in its first validation; it has one of the two images.
RANK_1_IS_STOPPED = """
import os, runpy, signal, sys
from plidenet.evaluation import evaluator
restore = evaluator.restore
def stopped(*arguments):
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGTERM)
    return restore(*arguments)
evaluator.restore = stopped
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""

LEFT_WITHOUT_THREADS = """
import os
import torch
from plidenet import distributed
before = len(os.listdir("/proc/self/task"))
with distributed.process_group(torch.device("cpu"), 60):
    import torch._dynamo
    distributed.gather_interleaved([distributed.rank()])
    assert len(os.listdir("/proc/self/task")) > before
assert len(os.listdir("/proc/self/task")) == before
"""

ALL_START_AS_THE_FIRST = """
import torch
from plidenet import distributed
with distributed.process_group(torch.device("cpu"), 60):
    torch.manual_seed(distributed.rank())
    net = torch.nn.Linear(2, 2)
    distributed.share_weights(net)
    torch.manual_seed(0)
    assert torch.equal(net.weight, torch.nn.Linear(2, 2).weight)
"""


def torchrun(command):
    finished = subprocess.run([*TORCHRUN, *command], capture_output=True, text=True, cwd=ROOT, timeout=300)
    return finished.returncode, finished.stdout + finished.stderr


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one(run):
    setting = ("network_G.setting.drop_path=0", "train.niter=5", "train.lr_G=1e-4", "data.cache=ram")
    setting += ("datasets.train.GT_size=40", "train.refine_crop=32")
    run.train("name=one", *setting)
    status, output = torchrun(run.command("name=two", *setting)[1:])
    assert status == 0, output
    one, two = run.curves("one"), run.curves("two")
    assert_same_curves(one, two)
    validation = {tuple(row[:2]): float(row[2]) for row in one if row[1].startswith("val/")}
    assert validation.keys() == {tuple(row[:2]) for row in two if row[1].startswith("val/")}
    for iteration, name, value in two:
        if name.startswith("val/"):
            assert float(value) == pytest.approx(validation[iteration, name], abs=2e-3)
    assert output.count("iteration 5: saved") == 1


@pytest.mark.slow
def test_a_process_that_dies_ends_the_run_with_its_error(run):
    program = run.folder / "dying.py"
    program.write_text(RANK_1_DIES)
    status, output = torchrun([str(program), *run.command("train.niter=50")[1:]])
    assert status != 0
    assert "rank 1 has died" in output


@pytest.mark.slow
def test_an_image_that_one_process_cannot_read_costs_no_step(run):
    image = run.folder / "hr/0.png"
    image.write_bytes(image.read_bytes()[:-200])
    setting = ("datasets.train.batch_size=2", "logger.save_checkpoint_freq=100", "train.val_freq=100")
    status, output = torchrun(run.command(*setting)[1:])
    assert status != 0
    assert "error: another process could not go on" in output
    assert f"error: {image}" in output
    (state,) = (run.folder / "experiments/run/training_states").iterdir()
    assert state.stem == "1"


def test_what_keeps_one_process_from_its_next_batch_ends_all(monkeypatch):
    def batches(error):
        yield 0
        if error:
            raise error

    def taken(error, others):
        flags = iter(others)
        monkeypatch.setattr(distributed, "mean", lambda flag: torch.maximum(flag, torch.tensor(next(flags))))
        return list(distributed.in_step(batches(error), torch.device("cpu")))

    monkeypatch.setenv("WORLD_SIZE", "2")
    assert taken(None, (0.0, 0.0)) == [0]
    with pytest.raises(UserError, match="another process"):
        taken(None, (0.0, 0.5))
    with pytest.raises(UserError, match="damaged"):
        taken(UserError("damaged"), (0.0, 0.0))
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        taken(RuntimeError("DataLoader worker"), (0.0, 0.0))


@pytest.mark.slow
def test_a_signal_to_two_processes_saves_once_and_resumes(run):
    setting = ("train.niter=100000", "logger.save_checkpoint_freq=100000", "train.val_freq=100000")
    process = run.start([*TORCHRUN, *run.command(*setting)[1:]])
    for line in process.stdout:
        if "iteration 3/" in line:
            process.send_signal(signal.SIGTERM)
            break
    rest = process.stdout.read()
    process.wait()
    assert rest.count("stopped on request") == 1, rest
    (state,) = (run.folder / "experiments/run/training_states").iterdir()
    assert run.trainer("path.resume_state=auto").iteration == int(state.stem) >= 3


@pytest.mark.slow
def test_a_signal_to_one_process_during_validation_stops_and_saves_all(run):
    program = run.folder / "stopped.py"
    program.write_text(RANK_1_IS_STOPPED)
    status, output = torchrun([str(program), *run.command()[1:]])
    assert status == 0, output
    assert output.count("stopped on request") == 1
    assert run.state("run", 3)["validation_due"]
    assert not any(name.startswith("val/") for _, name, _ in run.curves("run"))


def test_a_batch_that_cannot_be_shared_equally_is_refused(run, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setattr(distributed, "gather_interleaved", list)
    shared = []
    monkeypatch.setattr(distributed, "share_weights", shared.append)
    with pytest.raises(UserError, match="a batch of 4 images cannot be divided into 3 x 1 equal parts"):
        run.trainer()
    assert len(shared) == 1, "the weights of the first process are those of all"


def test_other_processes_than_the_main_one_tell_errors_alone(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    level, handlers = PACKAGE.level, list(PACKAGE.handlers)
    log_to_screen()
    log_to_memory()
    try:
        assert PACKAGE.getEffectiveLevel() == logging.ERROR
        assert PACKAGE.handlers == handlers
    finally:
        PACKAGE.setLevel(level)


def test_processes_that_would_resume_from_different_states_are_stopped(run, monkeypatch):
    monkeypatch.setattr(distributed, "gather_interleaved", lambda iterations: [*iterations, 7])
    with pytest.raises(UserError, match="different training states"):
        run.trainer()


def test_processes_wait_for_each_other_as_long_as_they_are_told(monkeypatch):
    group = Mock()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(distributed, "dist", group)
    with distributed.process_group(CPU, 60):
        assert group.init_process_group.call_args.kwargs["timeout"].total_seconds() == 60


def test_shares_are_joined_in_the_order_of_the_whole(monkeypatch):
    shares = [[0, 3, 6], [1, 4], [2, 5]]
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setattr(
        torch.distributed, "all_gather_object", lambda into, mine: into.__setitem__(slice(None), shares)
    )
    assert distributed.gather_interleaved(shares[0]) == list(range(7))


def test_gradients_become_their_means(monkeypatch):
    parameters = [
        torch.nn.Parameter(torch.zeros(2, 3)),
        torch.nn.Parameter(torch.zeros(4)),
        torch.nn.Parameter(torch.zeros(1)),
    ]
    parameters[0].grad, parameters[1].grad = torch.arange(6.0).view(2, 3), torch.ones(4)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda values: values.mul_(3))
    distributed.average_gradients(parameters)
    assert_identical([p.grad for p in parameters[:2]], [1.5 * torch.arange(6.0).view(2, 3), 1.5 * torch.ones(4)])
    assert parameters[2].grad is None


def test_what_one_process_meets_in_evaluation_is_raised_in_all(monkeypatch):
    monkeypatch.setattr(distributed, "gather_interleaved", lambda mine: [*mine, NotFinite("another's image")])
    with pytest.raises(NotFinite, match="another's image"):
        evaluate(torch.nn.Identity(), [], CPU, lambda *_: None)


def test_what_one_process_meets_in_evaluation_is_said_before_it_waits_for_the_others(monkeypatch, caplog):
    def samples():
        raise UserError("cat.png cannot be read")
        yield

    def gather(mine):
        assert "process 1: cat.png cannot be read" in caplog.text
        return mine

    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setattr(distributed, "gather_interleaved", gather)
    with pytest.raises(UserError, match="cat"):
        evaluate(torch.nn.Identity(), samples(), CPU, lambda *_: None)


def test_what_a_process_alone_meets_in_evaluation_is_not_said_twice(caplog):
    with pytest.raises(UserError):
        evaluate(torch.nn.Identity(), [{"lq": torch.zeros(3, 4, 4), "key": "cat"}], CPU, lambda *_: None)
    assert not caplog.text


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in /proc")
def test_the_threads_of_gloo_end_with_the_group_as_they_abort_an_interpreter_that_ends_before_them(tmp_path):
    program = tmp_path / "group.py"
    program.write_text(LEFT_WITHOUT_THREADS)
    status, output = torchrun([str(program)])
    assert status == 0, output


def test_all_processes_start_from_the_weights_of_the_first(tmp_path):
    program = tmp_path / "start.py"
    program.write_text(ALL_START_AS_THE_FIRST)
    status, output = torchrun([str(program)])
    assert status == 0, output

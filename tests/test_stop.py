"""Runs that are asked to stop, in a step or in validation: saved at once, and nothing lost when they go on."""

import os
import signal
from unittest.mock import Mock

import pytest
import torch
import yaml
from plidenet import distributed
from plidenet.errors import UserError
from plidenet.evaluation import evaluator
from plidenet.memory import OutOfMemory
from plidenet.training import Trainer
from plidenet.training.interrupt import NOTICE, Interrupt, Stopped
from training_setup import AUTO, assert_same_end, before_step, crash_before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_ends_well(run, number):
    process = run.start(
        run.command("train.niter=100000", "logger.save_checkpoint_freq=100000", "train.val_freq=100000")
    )
    for line in process.stdout:
        if "iteration 3/" in line:
            process.send_signal(number)
            break
    rest = process.stdout.read()
    assert process.wait() == 0, rest
    assert "stopped on request" in rest
    (state,) = (run.folder / "experiments/run/training_states").iterdir()
    assert int(state.stem) >= 3
    assert f"iteration {state.stem}: saved" in rest


def stop_in_step(monkeypatch, iteration):
    """Send SIGTERM in the step before the one that leads to this iteration, which is then the last."""
    before_step(monkeypatch, iteration - 2, lambda: os.kill(os.getpid(), signal.SIGTERM))


def stop_in_validation(monkeypatch, image):
    """Send SIGTERM while the given validation image, counted from 1, is restored; returns the list of those begun."""
    restore, begun = evaluator.restore, []

    def stopped(*arguments):
        begun.append(arguments[-1])
        if len(begun) == image:
            os.kill(os.getpid(), signal.SIGTERM)
        return restore(*arguments)

    monkeypatch.setattr(evaluator, "restore", stopped)
    return begun


@pytest.mark.parametrize("val_freq", [2, 4])
@pytest.mark.parametrize("iteration", [4, 6])
def test_a_stop_where_validation_is_due_saves_at_once_and_validates_when_the_run_goes_on(
    run, monkeypatch, iteration, val_freq
):
    setting = (f"train.val_freq={val_freq}",)
    run.train("name=whole", *setting)
    with monkeypatch.context() as patch:
        stop_in_step(patch, iteration)
        begun = stop_in_validation(patch, None)
        assert run.train("name=parts", *setting).iteration == iteration
    assert len(begun) == 2 * ((iteration - 1) // val_freq), "that validation has not begun"
    assert run.state("parts", iteration)["validation_due"]
    assert run.train("name=parts", AUTO, *setting).iteration == 6
    assert_same_end(run, "whole", "parts")


@pytest.mark.parametrize("image", [1, 3])
def test_a_stop_during_validation_saves_after_the_image_and_validates_anew_when_the_run_goes_on(
    run, monkeypatch, image
):
    add_validation_set(run)
    run.train("name=whole")
    with monkeypatch.context() as patch:
        begun = stop_in_validation(patch, image)
        assert run.train("name=parts").iteration == 3
    assert len(begun) == image
    with monkeypatch.context() as patch:
        begun = stop_in_validation(patch, image)
        assert run.train("name=parts", AUTO).iteration == 3, "stopped again in the same validation"
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="the machine is gone"):
        crash_before(patch, 3)
        run.train("name=parts", AUTO)
    assert run.train("name=parts", AUTO).iteration == 6
    assert_same_end(run, "whole", "parts")


def add_validation_set(run):
    content = yaml.safe_load(run.opt.read_text())
    content["datasets"]["val2"] = content["datasets"]["val"] | {"name": "another"}
    run.opt.write_text(yaml.safe_dump(content))


def test_a_validation_killed_before_its_save_is_recorded_once(run, monkeypatch):
    run.train("name=whole")
    with monkeypatch.context() as patch:
        stop_in_step(patch, 3)
        run.train("name=parts")
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="the machine is gone"):
        patch.setattr(Trainer, "save", Mock(side_effect=RuntimeError("the machine is gone")))
        run.train("name=parts", AUTO)
    assert any(name.startswith("val/") for _, name, _ in run.curves("parts"))
    run.train("name=parts", AUTO)
    assert_same_end(run, "whole", "parts")


def test_a_validation_that_cannot_be_done_leaves_a_state_before_it_to_go_on_from(run, monkeypatch):
    run.train("name=whole")
    with monkeypatch.context() as patch, pytest.raises(UserError, match="out of memory"):
        patch.setattr(evaluator, "restore", Mock(side_effect=OutOfMemory("out of memory")))
        run.train("name=parts")
    assert run.state("parts", 3)["validation_due"]
    run.train("name=parts", AUTO)
    assert_same_end(run, "whole", "parts")


def test_memory_that_does_not_suffice_for_a_step_is_told_with_what_saves_some_and_nothing_is_saved(run, monkeypatch):
    before_step(monkeypatch, 1, Mock(side_effect=torch.cuda.OutOfMemoryError("full")))
    with pytest.raises(UserError, match=r"out of memory on cpu; train\.accumulate, "):
        run.train("logger.save_checkpoint_freq=100")
    assert not list((run.folder / "experiments/run").glob("training_states/*"))


def test_a_damaged_image_costs_no_step(run, caplog):
    rare = ("datasets.train.batch_size=1", "logger.save_checkpoint_freq=100")
    run.train("name=whole", *rare)
    image = run.folder / "hr/1.png"
    content = image.read_bytes()
    image.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"1\.png"), caplog.at_level("WARNING", "plidenet"):
        run.train("name=parts", *rare)
    assert f"training ends: {image}" in caplog.text
    (state,) = (run.folder / "experiments/parts/training_states").iterdir()
    assert 0 < int(state.stem) < 6
    with pytest.raises(UserError, match=r"1\.png"):
        run.train("name=parts", AUTO, *rare)
    image.write_bytes(content)
    run.train("name=parts", AUTO, *rare)
    assert_same_end(run, "whole", "parts")


@pytest.fixture
def stops_at_ctrl_c():
    """What a shell's background jobs do not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_a_second_sigterm_changes_nothing_and_a_second_ctrl_c_stops_at_once(stops_at_ctrl_c):
    with Interrupt() as interrupt:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.requested
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(("rank", "told"), [("0", 1), ("1", 0)])
def test_the_first_ctrl_c_is_answered_at_once_by_the_main_process(stops_at_ctrl_c, capfd, monkeypatch, rank, told):
    monkeypatch.setenv("RANK", rank)
    with Interrupt():
        os.kill(os.getpid(), signal.SIGTERM)
        assert capfd.readouterr().err == ""
        os.kill(os.getpid(), signal.SIGINT)
        assert capfd.readouterr().err == told * NOTICE.decode()


def test_a_wish_to_stop_of_one_process_is_heeded_by_all(monkeypatch):
    Interrupt().heed()
    monkeypatch.setattr(distributed, "gather_interleaved", lambda mine: [*mine, True])
    with pytest.raises(Stopped):
        Interrupt().heed()

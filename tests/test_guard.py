"""Divergence: steps that are not finite are skipped, collapses undone, hopeless runs ended with advice."""

import math

import pytest
import torch
from plidenet.config.training import Guard
from plidenet.errors import UserError
from plidenet.memory import OutOfMemory
from plidenet.training import Trainer, validation
from plidenet.training.guard import DivergenceGuard
from training_setup import AUTO, assert_identical, crash_before, validate_with


def poison(monkeypatch, iterations):
    """Make the HR images of some iterations not finite, and with them loss and gradients."""
    step = Trainer.train_step

    def poisoned(self, batch, *arguments):
        if self.iteration in iterations:
            batch = {**batch, "lq": torch.zeros(4, 3, 16, 16, dtype=torch.uint8), "gt": batch["gt"] * math.nan}
        return step(self, batch, *arguments)

    monkeypatch.setattr(Trainer, "train_step", poisoned)


def averages(state):
    """The averaged weights of a training state, by the network's names."""
    averaged = state["weights"]["ema"]
    return {name.removeprefix("module."): averaged[name] for name in averaged if name.startswith("module.")}


def learning_rates(run):
    return [float(value) for _, name, value in run.curves("run") if name == "lr"]


def test_a_step_that_is_not_finite_changes_nothing_but_the_count(run, monkeypatch):
    poison(monkeypatch, {1})
    trainer = run.trainer()
    batches = iter(trainer.batches)
    trainer.train_step(next(batches))
    before = {name: value.clone() for name, value in trainer.net.state_dict().items()}
    averages = {name: value.clone() for name, value in trainer.ema.state_dict().items()}
    assert math.isnan(trainer.train_step(next(batches))["loss/total"])
    assert_identical(before, dict(trainer.net.state_dict()))
    assert_identical(averages, dict(trainer.ema.state_dict()))
    assert (trainer.guard.skipped, trainer.iteration) == (1, 2)
    assert math.isfinite(trainer.train_step(next(batches))["loss/total"])
    assert trainer.guard.skipped_in_a_row == 0


def test_steps_in_a_row_that_are_not_finite_lead_back_to_the_last_good_weights_and_optimizer(run, monkeypatch, caplog):
    poison(monkeypatch, {3, 4})
    validate_with(monkeypatch, [20.0, 21.0])
    with caplog.at_level("WARNING", "plidenet"):
        run.train("guard.max_skips=2", "logger.save_checkpoint_freq=1", "logger.keep=6")
    assert (
        "2 steps in a row were not finite; back to the weights of iteration 3, learning rate times 0.5" in caplog.text
    )
    after, good = run.state("run", 5), run.state("run", 3)
    assert after["iteration"] == 5
    assert_identical(after["weights"]["net"], averages(good))
    assert_identical(after["weights"]["ema"], good["weights"]["ema"])
    assert_identical(after["weights"]["optimizer"]["state"], good["weights"]["optimizer"]["state"])
    assert learning_rates(run) == pytest.approx([1e-3] * 5 + [5e-4])
    assert [value for _, name, value in run.curves("run") if name == "skipped_steps"] == list("000122")


def test_a_return_keeps_the_scale_that_fp16_has_found_and_a_resumed_run_takes_it_over(run, monkeypatch):
    poison(monkeypatch, {0, 1})
    setting = ("train.precision=fp16", "guard.max_skips=2")
    trainer = run.train("train.niter=2", *setting)
    assert trainer.guard.returns == 1
    assert trainer.scaler.get_scale() == 2**16 / 4, "halved by each of the two steps"
    assert run.trainer("path.resume_state=auto", "train.niter=2", *setting).scaler.get_scale() == 2**16 / 4


@pytest.mark.parametrize(
    ("collapsed", "told"),
    [
        (15.0, "validation fell to 15.00 dB, from 20.00 dB at best"),
        (math.nan, "an image of the validation is not finite"),
    ],
)
def test_a_collapse_in_validation_leads_back_to_the_last_good_weights(run, monkeypatch, caplog, collapsed, told):
    validate_with(monkeypatch, [20.0, collapsed, 20.5])
    setting = ("train.val_freq=2", "logger.save_checkpoint_freq=1", "logger.keep=6")
    with caplog.at_level("WARNING", "plidenet"):
        trainer = run.train(*setting)
    assert f"iteration 4: {told}; back to" in caplog.text
    assert_identical(run.state("run", 4)["weights"]["net"], averages(run.state("run", 2)))
    assert trainer.best_psnr == 20.5
    assert trainer.guard.returns == 1


def test_training_goes_on_after_a_return_without_harming_what_it_returned_to(run, monkeypatch):
    validate_with(monkeypatch, [20.0, 1.0, 1.0])
    trainer = run.train("train.val_freq=2", "logger.save_checkpoint_freq=1", "logger.keep=6")
    assert_identical(run.state("run", 6)["weights"]["net"], averages(run.state("run", 2)))
    assert not torch.equal(run.state("run", 5)["weights"]["net"]["wiener.mixture"], trainer.net.wiener.mixture)


def test_a_small_fall_is_no_collapse(run, monkeypatch):
    validate_with(monkeypatch, [20.0, 18.5])
    assert run.train().guard.returns == 0


def test_without_validation_the_last_good_weights_are_those_of_val_freq(run, monkeypatch):
    poison(monkeypatch, {4})
    trainer = run.train("datasets.val=", "guard.max_skips=1", "train.niter=5")
    assert trainer.last_good["iteration"] == 5
    assert_identical(run.state("run", 5)["weights"]["net"], trainer.net.state_dict())
    assert trainer.guard.returns == 1


def test_a_run_beyond_rescue_ends_with_advice(run, run_script, monkeypatch):
    poison(monkeypatch, range(100))
    finished = run_script("train/train.py", "-opt", run.opt, "guard.max_skips=1", "guard.max_returns=2")
    assert finished.status == 2
    assert "error: training diverged" in finished.err
    assert "after 2 returns" in finished.err
    assert "lower train.lr_G" in finished.err
    states = run.folder / "experiments/run/training_states"
    assert [path.name for path in states.iterdir()] == ["2.state"], "diverged weights are not saved"


def test_a_resumed_run_remembers_its_returns(run, monkeypatch):
    with monkeypatch.context() as patch:
        validate_with(patch, [20.0, 1.0])
        run.train("train.niter=4", "train.val_freq=2")
    trainer = run.trainer("path.resume_state=auto")
    assert trainer.guard.returns == 1
    assert trainer.last_good["iteration"] == 2


def test_strengths_of_the_wiener_filters_are_bounded_and_logged(run):
    trainer = run.trainer("train.niter=1")
    trainer.net.wiener.log_strengths.data.fill_(-40.0)
    trainer.fit()
    logged = {name: float(value) for _, name, value in run.curves("run")[1:]}
    assert logged["wiener_strength_0"] == pytest.approx(1e-10, rel=1e-4)
    assert math.isfinite(logged["loss/total"])


@pytest.mark.parametrize(
    ("psnr", "best", "collapse"),
    [
        (26.9, 30, "validation fell to 26.90 dB, from 30.00 dB at best"),
        (27.1, 30, None),
        (math.nan, 30, "an image of the validation is not finite"),
        (5.0, -math.inf, None),
        (math.nan, -math.inf, "an image of the validation is not finite"),
    ],
)
def test_what_counts_as_a_collapse(psnr, best, collapse):
    assert DivergenceGuard(Guard()).collapse(psnr, best) == collapse


def test_returns_beyond_the_limit_raise():
    guard = DivergenceGuard(Guard(max_returns=1))
    guard.count_return("a reason")
    with pytest.raises(UserError, match="a reason"):
        guard.count_return("a reason")


def test_output_that_is_not_finite_on_any_validation_set_is_a_collapse(run, monkeypatch):
    validator = run.trainer().validator
    validator.loaders = {"good": None, "bad": None}
    monkeypatch.setattr(validator, "_measure_set", lambda name, *_: {"good": 30.0, "bad": math.nan}[name])
    assert math.isnan(validator.measure(None, 1, None))


def test_memory_that_does_not_suffice_for_validation_is_answered_with_tiles(run, monkeypatch):
    def fill(*_):
        raise OutOfMemory("cat: out of memory")

    monkeypatch.setattr(validation, "evaluate", fill)
    with pytest.raises(UserError, match=r"cat: .*in tiles, or in smaller ones, with test\.tile=128 or test\.tile=auto"):
        run.train()


@pytest.mark.parametrize(
    ("changed", "best"),
    [
        ("datasets.val.name=other", -math.inf),
        ("crop_border=3", -math.inf),
        ("test.tile=16", -math.inf),
        ("datasets.val.n_workers=1", 25.0),
        ("datasets.val.batch_size=2", 25.0),
        ("train.lr_G=1e-4", 25.0),
    ],
)
def test_a_run_that_goes_on_with_another_validation_does_not_take_it_for_a_collapse(run, monkeypatch, changed, best):
    validate_with(monkeypatch, [25.0])
    models = run.train("train.niter=2").experiment.models
    before = (models / "best_G.pth").read_bytes()
    for _ in range(2):
        assert run.trainer(AUTO, changed).best_psnr == best
    kept = "best_left_at_2_G.pth" if best == -math.inf else "best_G.pth"
    assert [(path.name, path.read_bytes()) for path in models.glob("best*")] == [(kept, before)]


def test_best_weights_of_steps_that_were_lost_are_not_kept_aside(run, monkeypatch):
    crash_before(monkeypatch, 3)  # after the validation, and before the state with its score is saved
    with pytest.raises(RuntimeError):
        run.train()
    assert [path.name for path in run.trainer(AUTO).experiment.models.glob("best*")] == ["best_G.pth"]


def test_a_run_that_goes_on_from_anothers_state_gets_best_weights_of_its_own(run, monkeypatch):
    validate_with(monkeypatch, [25.0, 24.0])
    run.train("train.niter=2")
    state = run.folder / "experiments/run/training_states/../training_states/2.state"
    assert run.trainer(f"path.resume_state={state}").best_psnr == 25
    run.train("name=other", f"path.resume_state={state}", "train.niter=3")
    assert (run.folder / "experiments/other/models/best_G.pth").exists()

"""One training step: the size of its loss and of its gradient, in parts, in lower precisions, and clipped."""

import pytest
import torch
from plidenet import distributed


def logged(run, name, *overrides):
    """Losses and norms of the gradient of a run, as in its log."""
    run.train(f"name={name}", "network_G.setting.drop_path=0", *overrides)
    kinds = ("loss/", "gradient_norm")
    return torch.tensor([float(value) for _, key, value in run.curves(name) if key.startswith(kinds)])


def test_accumulation_takes_the_same_steps(run):
    setting = ("train.niter=5", "train.lr_G=1e-4")
    whole, parts = logged(run, "whole", *setting), logged(run, "parts", "train.accumulate=2", *setting)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=0)


def first_step(run, precision, *overrides):
    """A trainer behind its first step, and what it logs of that."""
    trainer = run.trainer(f"train.precision={precision}", "network_G.setting.drop_path=0", *overrides)
    trainer.scaler = torch.amp.GradScaler("cpu", init_scale=64, enabled=precision == "fp16")  # else it skips some steps
    return trainer, trainer.train_step(next(iter(trainer.batches)))


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_lower_precisions_stay_near_float32(run, precision):
    (_, expected), (_, values) = (first_step(run, one) for one in ("fp32", precision))
    for name, value in values.items():
        assert value == pytest.approx(expected[name], rel=0.02), name


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_gradient_is_clipped_at_the_norm_that_is_asked_for_and_logged_as_it_was(run, precision):
    trainer, values = first_step(run, precision, "train.grad_clip_norm=0.01")
    gradients = [parameter.grad for parameter in trainer.net.parameters() if parameter.grad is not None]
    norm = torch.stack([gradient.norm() for gradient in gradients]).norm().item()
    assert norm == pytest.approx(0.01, rel=1e-3)
    assert 0.1 < values["gradient_norm"] < 1000


def test_every_step_and_every_process_draws_its_own_random_numbers(run, monkeypatch):
    trainer, drawn = run.trainer(), []
    model, batch = trainer.model, next(iter(trainer.batches))
    trainer.model = lambda lr: drawn.append(torch.rand(()).item()) or model(lr)  # where stochastic depth draws
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(distributed, "mean", lambda values: values)
    monkeypatch.setattr(distributed, "average_gradients", lambda parameters: None)
    for iteration in (4, 5):
        for rank in "01":
            monkeypatch.setenv("RANK", rank)
            trainer.iteration = iteration
            trainer.train_step(batch)
    assert len(set(drawn)) == 4

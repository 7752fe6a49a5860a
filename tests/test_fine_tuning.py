"""Runs that start from other weights: those are measured first, and not taken for the run's own in the end."""

import logging

import pytest
import torch
from conftest import TINY
from plidenet.archs.pl_idenet import PLIDENet
from plidenet.archs.registry import NETWORKS
from plidenet.checkpoint import load_checkpoint, save_checkpoint
from plidenet.errors import UserError
from plidenet.evaluation.candidate import load_network
from plidenet.training.interrupt import Stopped
from plidenet.training.start import load_start
from plidenet.training.validation import Validator
from training_setup import AUTO, assert_identical, validate_with


@pytest.fixture
def start(tmp_path, tiny_network):
    """The field that names weights of the run's network, and the weights."""
    net = tiny_network("PL_IDENet_E", scale=2)
    save_checkpoint(tmp_path / "start.pth", params=net.state_dict())
    return f"path.pretrain_model_G={tmp_path / 'start.pth'}", net.state_dict()


def best(run):
    net = NETWORKS.build("PL_IDENet_E", scale=2, **TINY)
    load_checkpoint(net, run.folder / "experiments/run/models/best_G.pth")
    return dict(net.state_dict())


def test_the_start_is_measured_first_and_stays_the_best_where_training_makes_it_worse(run, start, monkeypatch):
    validate_with(monkeypatch, [30.0, 29.0, 29.5])
    trainer = run.train(start[0])
    assert trainer.best_psnr == 30
    assert_identical(best(run), dict(start[1]))
    states = run.folder / "experiments/run/training_states"
    assert not (states / "0.state").exists(), "nothing was trained yet"


def test_the_curves_begin_with_the_start(run, start):
    run.train(start[0], "train.niter=1")
    validations = [row[0] for row in run.curves("run") if row[1] == "val/cat/psnr_y"]
    assert validations == ["0", "1"]
    run.train(start[0], "train.niter=2", AUTO)
    validations = [row[0] for row in run.curves("run") if row[1] == "val/cat/psnr_y"]
    assert validations == ["0", "1", "2"], "a run that goes on measures its start no more"


def test_a_run_that_is_stopped_while_its_start_is_measured_measures_it_again(run, start, monkeypatch):
    def stop(*_):
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(Validator, "measure", stop)
        run.train(start[0])
    assert run.state("run", 0)["validation_due"]
    validate_with(monkeypatch, [30.0, 29.0, 29.5])
    trainer = run.train(start[0], AUTO)
    assert (trainer.iteration, trainer.best_psnr) == (6, 30)
    assert_identical(best(run), dict(start[1]))


def test_a_collapse_of_the_first_steps_leads_back_to_the_start(run, start, monkeypatch, caplog):
    validate_with(monkeypatch, [30.0, 20.0, 29.0])
    with caplog.at_level(logging.WARNING, "plidenet"):
        trainer = run.train(start[0])
    assert trainer.guard.returns == 1
    assert "validation fell to 20.00 dB, from 30.00 dB at best; back to the weights of iteration 0" in caplog.text


def test_without_a_start_nothing_is_measured_before_the_first_step(run):
    run.train("train.niter=1")
    assert {row[0] for row in run.curves("run")[1:]} == {"1"}


def test_an_option_file_for_training_does_not_pass_off_its_start_as_the_run(run, start, tmp_path, caplog):
    models = tmp_path / "experiments/run/models"
    with caplog.at_level(logging.WARNING, "plidenet"):
        load_network(run.options(start[0]))
        assert f"the weights that training starts from; those of the run are in {models}" in caplog.text
        caplog.clear()
        run.train(start[0], "train.niter=1")
        load_network(run.options(f"path.pretrain_model_G={models / 'best_G.pth'}"))
        load_network(run.options(start[0]), models / "best_G.pth")
        assert "starts from" not in caplog.text


class Wider(PLIDENet):
    """A network of one's own, with a layer that PL_IDENet has not and one of another shape."""

    def __init__(self, **setting):
        super().__init__(**setting, unshuffle="scale")
        self.more = torch.nn.Linear(2, 2)
        self.wiener.mixture = torch.nn.Parameter(torch.ones(1))


def test_a_start_from_another_network_is_as_strict_as_one_from_the_same(run, start, monkeypatch):
    monkeypatch.setitem(NETWORKS._entries, "Wider", Wider)
    fields = ["network_G.which_model_G=Wider", "path.pretrain_network=PL_IDENet_E", start[0]]
    options = run.options(*fields)
    net = NETWORKS.build("Wider", **options.network_setting)
    with pytest.raises(
        UserError, match=r"Wider x2 cannot start .* missing or of another shape: wiener\.mixture, more\."
    ):
        load_start(net, options.path.pretrain_model_G, options)
    options = run.options(*fields, "path.strict_load=false")
    found = load_start(net, options.path.pretrain_model_G, options)
    assert found.missing == ["wiener.mixture", "more.weight", "more.bias"]
    assert found.ignored == ["wiener.mixture"]
    assert len(found.taken) == len(start[1]) - 1

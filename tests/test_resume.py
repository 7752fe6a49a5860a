"""Interrupted runs: resumed bit for bit, killed at any moment, faced with a full disk."""

import copy
import functools
import operator
import re
import signal
import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from plidenet.checkpoint import save_checkpoint
from plidenet.config import load_options
from plidenet.errors import UserError
from plidenet.training import Trainer
from training_setup import AUTO, assert_identical, assert_same_end, crash_before

# The training program, killed by SIGKILL in the middle of writing the state of iteration 4.
KILLED_WHILE_SAVING = """
import io, os, runpy, signal, sys, torch
write = torch.save
def half(content, file):
    whole = io.BytesIO()
    write(content, whole)
    if content.get("iteration") == 4:
        file.write(whole.getvalue()[: len(whole.getvalue()) // 2])
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    file.write(whole.getvalue())
torch.save = half
runpy.run_path(sys.argv[0], run_name="__main__")
"""

# The training program where no file may grow beyond 100 kB: writing fails as it does on a full disk.
ON_A_FULL_DISK = """
import resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def under(driver, command):
    """The command line of a program that runs under a driver."""
    return [sys.executable, "-c", f"import sys; sys.argv = sys.argv[1:]\n{driver}", *command[1:]]


@pytest.mark.parametrize(
    "setting",
    [
        (),
        ("datasets.train.n_workers=2",),
        ("train.accumulate=2", "data.cache=ram"),
        ("logger.print_freq=3",),  # the state is of the middle of a stretch
        ("train.precision=bf16", "train.grad_clip_norm=0.1", "train.warmup_iter=3"),
        ("train.optimizer=Muon",),
    ],
)
def test_a_resumed_run_is_bit_for_bit_the_uninterrupted_one(run, monkeypatch, setting):
    run.train("name=whole", *setting)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="the machine is gone"):
        crash_before(patch, 5)
        run.train("name=parts", *setting)
    assert not (run.folder / "experiments/parts/training_states/6.state").exists()
    assert run.train("name=parts", AUTO, *setting).iteration == 6
    assert_same_end(run, "whole", "parts")


def test_a_run_killed_while_saving_goes_on_from_the_state_before(run, caplog):
    run.train("name=whole")
    finished = subprocess.run(under(KILLED_WHILE_SAVING, run.command("name=killed")), capture_output=True)
    assert finished.returncode == -signal.SIGKILL
    states = run.folder / "experiments/killed/training_states"
    assert {path.suffix for path in states.iterdir()} == {".state", ".tmp"}
    with caplog.at_level("INFO", "plidenet"):
        run.train("name=killed", AUTO)
    assert re.search(r"resuming from .*/2\.state at iteration 2", caplog.text)
    assert {path.name for path in states.iterdir()} == {"2.state", "4.state", "6.state"}
    assert_same_end(run, "whole", "killed")


def test_a_run_goes_on_from_the_options_that_it_wrote_down(run, monkeypatch):
    setting = ("train.lr_G=1e-3", AUTO)
    run.train("name=whole", *setting)
    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="the machine is gone"):
        crash_before(patch, 5)
        run.train("name=parts", *setting)
    written = run.folder / "experiments/parts/resolved.yml"
    Trainer(load_options(written), written).fit()
    assert_same_end(run, "whole", "parts")


def test_auto_passes_over_a_damaged_state_and_says_so(run, caplog):
    run.train()
    states = run.folder / "experiments/run/training_states"
    (states / "6.state").write_bytes((states / "6.state").read_bytes()[:5000])
    with caplog.at_level("INFO", "plidenet"):
        trainer = run.trainer(AUTO)
    assert trainer.iteration == 4
    assert re.search(r"passed over: .*6\.state cannot be read", caplog.text)
    assert re.search(r"resuming from .*4\.state", caplog.text)


def test_auto_leaves_a_run_alone_of_which_no_state_can_be_read(run):
    run.train("train.niter=2")
    folder = run.folder / "experiments/run"
    for state in (folder / "training_states").iterdir():
        state.write_bytes(b"")
    before = sorted(folder.rglob("*"))
    with pytest.raises(UserError, match=r"no training state in .* can be read; another name starts a new run"):
        run.trainer(AUTO)
    assert sorted(folder.rglob("*")) == before


def test_auto_starts_afresh_where_there_is_nothing(run, caplog):
    with caplog.at_level("INFO", "plidenet"):
        assert run.trainer(AUTO).iteration == 0
    assert "this is a fresh start" in caplog.text


def test_options_that_changed_since_the_state_are_named(run, caplog):
    run.train("train.niter=2")
    with caplog.at_level("WARNING", "plidenet"):
        run.trainer(AUTO, "train.niter=2", "train.lr_G=0.5")
    assert "train.lr_G has changed since that state was saved: 0.5" in caplog.text


def test_weights_to_start_from_do_not_pass_for_taken_where_a_run_goes_on(run, caplog):
    start = run.folder / "experiments/run/models/latest_G.pth"
    run.train("train.niter=2")
    with caplog.at_level("INFO", "plidenet"):
        resumed = run.trainer(AUTO, "train.niter=2", f"path.pretrain_model_G={start}")
        assert "tensors taken" not in caplog.text
        run.trainer("name=other", AUTO, f"path.pretrain_model_G={start}")
    assert_identical(dict(resumed.net.state_dict()), run.state("run", 2)["weights"]["net"])
    assert "the weights are those of the state: another name starts a run from path.pretrain_model_G" in caplog.text
    assert f"{start}: own format, params_ema" in caplog.text


def test_a_run_goes_on_without_the_weights_that_it_started_from(run):
    start = run.folder / "start.pth"
    net = run.trainer().net
    net.wiener.add_filter_scale()
    save_checkpoint(start, params=net.state_dict())
    run.train("train.niter=2", f"path.pretrain_model_G={start}")
    start.unlink()
    resumed = run.trainer(AUTO, "train.niter=2", f"path.pretrain_model_G={start}")
    assert resumed.net.wiener.filter_scale is not None
    assert_identical(dict(resumed.net.state_dict()), run.state("run", 2)["weights"]["net"])


def test_the_resolved_options_of_a_run_that_went_back_go_on_from_its_end(run):
    run.train()
    run.train(f"path.resume_state={run.folder}/experiments/run/training_states/2.state", "train.niter=4")
    run.opt = run.folder / "experiments/run/resolved.yml"
    assert run.trainer().iteration == 4


def test_options_of_the_optimizer_are_those_of_the_resumed_run(run):
    run.train("train.niter=2")
    trainer = run.trainer(AUTO, "train.beta1=0.5", "train.weight_decay_G=0.1")
    (group,) = trainer.optimizer.param_groups
    assert (group["betas"][0], group["weight_decay"]) == (0.5, 0.1)
    assert trainer.optimizer.state_dict()["state"][0]["step"] == 2


def test_moments_lie_in_memory_as_their_parameters_do(run):
    run.train("train.niter=2")
    trainer = run.trainer(AUTO, "train.channels_last=true")
    saved = run.state("run", 2)["weights"]["optimizer"]["state"]
    moved = 0
    for number, (parameter, moments) in enumerate(trainer.optimizer.state.items()):
        assert moments["exp_avg"].stride() == parameter.stride()
        assert torch.equal(moments["exp_avg"], saved[number]["exp_avg"])
        moved += moments["exp_avg"].stride() != saved[number]["exp_avg"].stride()
    assert moved


@pytest.mark.parametrize(
    ("before", "after", "lacking"),
    [("train.ema_decay=0", "train.ema_decay=0.9", "ema"), ("train.precision=fp32", "train.precision=fp16", "scaler")],
)
def test_a_state_that_lacks_what_an_option_now_asks_for_is_refused_with_that_reason(run, before, after, lacking):
    run.train("train.niter=2", before)
    with pytest.raises(UserError, match=rf"2\.state holds no {lacking}: train\.ema_decay or train\.precision has"):
        run.trainer(AUTO, after)


@pytest.mark.parametrize("resume_state", ["auto", "null"])
def test_the_option_file_of_the_run_itself_can_be_given(run, resume_state):
    run.train("train.niter=2")
    copy_in_run = run.folder / "experiments/run/options.yml"
    options = load_options(copy_in_run, [f"path.resume_state={resume_state}", "train.niter=3"])
    Trainer(options, copy_in_run).fit()
    assert copy_in_run.read_bytes() == run.opt.read_bytes()
    assert (run.folder / "experiments/run/training_states/3.state").exists()


def test_a_state_beyond_the_last_iteration_is_refused(run):
    run.train("train.niter=4")
    with pytest.raises(UserError, match=r"4\.state is of iteration 4, beyond train.niter: 3"):
        run.trainer(AUTO, "train.niter=3")


def test_a_finished_run_says_so_when_it_is_started_again(run, caplog):
    run.train("train.niter=2")
    with caplog.at_level("INFO", "plidenet"):
        run.train(AUTO, "train.niter=2")
    assert "nothing is left to do" in caplog.text


def test_a_run_that_goes_on_from_an_earlier_state_leaves_the_later_ones_behind(run):
    run.train("train.niter=6")
    states = run.folder / "experiments/run/training_states"
    run.train(f"path.resume_state={states / '2.state'}", "train.niter=3", "logger.keep=1")
    assert {path.name for path in states.iterdir()} == {"3.state", "4.abandoned", "6.abandoned"}
    assert run.trainer(AUTO).iteration == 3


def test_a_state_of_another_network_is_refused(run):
    run.train("train.niter=2")
    with pytest.raises(UserError, match=r"2\.state does not fit this network"):
        run.trainer(AUTO, "network_G.setting.embed_dim=16")


@pytest.mark.parametrize(("state", "message"), [("none.state", "no checkpoint at"), ("options.yml", "cannot be read")])
def test_a_state_that_is_none_is_refused(run, state, message):
    with pytest.raises(UserError, match=message):
        run.trainer(f"path.resume_state={run.folder / state}")


def test_a_state_with_something_else_in_any_place_is_refused_or_harmless(run):
    run.train("train.niter=2", "logger.print_freq=3", "logger.save_checkpoint_freq=1")
    path = run.folder / "experiments/run/training_states/1.state"
    sound = torch.load(path, weights_only=True)
    places = [(name,) for name in sound]
    places += [(name, part) for name in ("weights", "guard", "meter") for part in sound[name]]
    places += [("meter", "values", 0), ("meter", "values", 0, "loss/l1")]
    places += [("weights", part, entry) for part in ("net", "optimizer") for entry in list(sound["weights"][part])[:3]]
    refused = 0
    for place in places:
        for other in ("text", None, [1, [2]], {"a": torch.zeros(2)}, -1.5):
            state = copy.deepcopy(sound)
            inner = functools.reduce(operator.getitem, place[:-1], state)
            inner[place[-1]] = other
            torch.save(state, path)
            try:
                trainer = run.trainer(f"path.resume_state={path}", "train.niter=2", "datasets.val=")
            except UserError as error:
                refused += 1
                assert str(path) in str(error)
            else:
                trainer.fit()
    assert refused > 3 * len(places)


def test_a_full_disk_ends_the_run_clearly_and_leaves_the_state_before_alone(run):
    run.train("train.niter=2")
    states = run.folder / "experiments/run/training_states"
    before = (states / "2.state").read_bytes()
    assert len(before) > 100_000
    finished = subprocess.run(under(ON_A_FULL_DISK, run.command(AUTO)), capture_output=True, text=True, cwd=ROOT)
    assert finished.returncode == 2
    (line,) = finished.stderr.strip().splitlines()
    assert re.fullmatch(r"error: .* cannot be written: File too large; what was there before is unharmed", line)
    assert {path.name for path in states.iterdir()} == {"2.state"}
    assert (states / "2.state").read_bytes() == before

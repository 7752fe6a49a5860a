"""Training: what a run leaves behind, its data paths, its options. Interruption and divergence have their own files."""

import json
import math
import shutil
from functools import partial
from itertools import islice

import cv2
import pytest
import torch
from plidenet import load_checkpoint
from plidenet.archs import build_network
from plidenet.archs.pl_idenet import PLIDENet
from plidenet.config import load_options
from plidenet.errors import UserError
from plidenet.training.ema import MovingAverage
from plidenet.training.meter import Meter
from plidenet.training.record import Record
from plidenet.training.sets import build_train_batches
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_setup import AUTO, assert_identical, assert_same_curves


def test_a_run_leaves_weights_states_curves_pictures_and_its_origin(run, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train/train.py", "-opt", "options.yml", "train.niter=6", "name=a run"])
    run.train("use_tb_logger=true")
    folder = run.folder / "experiments/run"
    assert {path.name for path in (folder / "models").iterdir()} == {
        *("best_G.pth", "latest_G.pth", "2_G.pth", "4_G.pth", "6_G.pth")
    }
    assert {path.name for path in (folder / "training_states").iterdir()} == {"2.state", "4.state", "6.state"}
    assert (folder / "options.yml").read_text() == run.opt.read_text()
    assert load_options(folder / "resolved.yml") == run.options("use_tb_logger=true", AUTO)
    environment = json.loads((folder / "environment.json").read_text())
    assert environment["torch"] == torch.__version__
    assert {"commit", "gpus", "python", "processes"} <= environment.keys()
    assert environment["command"] == "train/train.py -opt options.yml train.niter=6 'name=a run'"
    events = EventAccumulator(str(folder / "tb_logger")).Reload().Tags()
    assert {"loss/total", "val/cat/psnr_y", "patches_per_second"} <= set(events["scalars"])
    assert events["images"] == ["cat/sig1.0_cat"]
    pictures = sorted(path.name for path in (folder / "val_images/cat").iterdir())
    assert pictures == ["sig1.0_cat_3.png", "sig1.0_cat_6.png"]
    assert cv2.imread(str(folder / "val_images/cat" / pictures[0])).shape[1] > 5 * 48
    names = {name for _, name, _ in run.curves("run")}
    assert {"loss/total", "loss/lr_consistency", "lr", "wiener_strength_0", "val/cat/psnr_y"} <= names
    assert "val/cat/kernel_l1" in names


def test_the_log_of_a_run_begins_with_what_it_started_from(run, run_script):
    run.train("train.niter=2")
    launched = ("--launcher", "pytorch", "--local_rank=0")  # as old commands do
    assert run_script("train/train.py", "-opt", run.opt, AUTO, "train.niter=3", *launched).status == 0
    first, second, *_ = (run.folder / "experiments/run/train_run.log").read_text().splitlines()
    assert first.endswith("2.state at iteration 2")
    assert second.endswith("train.niter has changed since that state was saved: 3 (was 2)")


def test_validation_restores_in_tiles_where_testing_would(run):
    run.train("name=whole", "train.niter=3")
    run.train("name=tiled", "train.niter=3", "test.tile=16", "test.tile_overlap=0")
    curves = zip(run.curves("whole"), run.curves("tiled"), strict=True)
    differing = {one[1] for one, other in curves if one != other and "second" not in one[1]}
    assert "val/cat/psnr_y" in differing
    assert all(name.startswith("val/cat") for name in differing)


def test_only_the_newest_states_are_kept(run):
    run.train("logger.save_checkpoint_freq=1", "logger.keep=2")
    states = {path.name for path in (run.folder / "experiments/run/training_states").iterdir()}
    assert states == {"5.state", "6.state"}


def test_copies_beside_the_states_are_neither_read_nor_removed(run):
    run.train("train.niter=2")
    states = run.folder / "experiments/run/training_states"
    shutil.copy(states / "2.state", states / "2_copy.state")
    assert run.train("path.resume_state=auto", "train.niter=4", "logger.keep=1").iteration == 4
    assert {path.name for path in states.iterdir()} == {"4.state", "2_copy.state"}


def test_an_earlier_run_of_the_same_name_is_moved_aside(run):
    run.train("train.niter=1")
    run.train("train.niter=1")
    assert len(list((run.folder / "experiments").glob("run_archived_*/models/latest_G.pth"))) == 1


def test_the_averaged_weights_are_saved_and_preferred(run):
    trainer = run.train()
    saved = torch.load(run.folder / "experiments/run/models/latest_G.pth", weights_only=True)
    assert saved.keys() == {"params", "params_ema"}
    assert_identical(saved["params"], dict(trainer.net.state_dict()))
    net = build_network("PL_IDENet_E", **load_options(run.opt).network_setting)
    assert load_checkpoint(net, run.folder / "experiments/run/models/latest_G.pth").weights == "params_ema"
    assert_identical(dict(net.state_dict()), dict(trainer.ema.module.state_dict()))
    assert not torch.equal(saved["params"]["wiener.mixture"], saved["params_ema"]["wiener.mixture"])


def test_training_lowers_the_loss(run):
    run.train("train.niter=40", "train.lr_G=5e-3", "logger.save_checkpoint_freq=40", "train.val_freq=40")
    losses = [float(value) for _, name, value in run.curves("run") if name == "loss/total"]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


def test_the_log_holds_the_means_of_the_steps_between_its_lines(run):
    run.train("name=each", "train.warmup_iter=4")
    run.train("name=means", "train.warmup_iter=4", "logger.print_freq=4")
    each, means = (
        {(int(at), name): float(value) for at, name, value in run.curves(folder)[1:]} for folder in ("each", "means")
    )
    for name in ("loss/total", "loss/l1", "gradient_norm"):
        for report, steps in {4: (1, 2, 3, 4), 6: (5, 6)}.items():
            assert means[report, name] == pytest.approx(sum(each[step, name] for step in steps) / len(steps), rel=1e-6)
    assert means[4, "lr"] == each[4, "lr"] != each[3, "lr"]


def test_a_report_has_the_last_steps_names_and_passes_over_skipped_steps():
    meter = Meter()
    for step in ({"loss": 9.0}, {"l1": 2.0}, {"l1": math.nan, "norm": math.inf}, {"l1": 4.0, "norm": math.inf}):
        meter.add(step)
    assert meter.take()[0] == {"l1": 3.0, "norm": math.inf}
    meter.add({"l1": 1.0})
    assert meter.take()[0] == {"l1": 1.0}


def test_pauses_are_not_counted_in_the_pace(monkeypatch):
    clock = iter([0.0, 20.0, 120.0, 124.0, 124.0])
    meter = Meter()
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    meter.start_clock()
    meter.add({})
    with meter.paused():  # from 20 to 120
        meter.add({})
    assert meter.take()[1] == 12


@pytest.mark.parametrize("cache", ["ram", "gpu"])
def test_cached_images_give_the_batches_that_workers_give(run, cache):
    def batches(*overrides):
        options = load_options(run.opt, overrides)
        stream = iter(build_train_batches(options, torch.device("cpu"), 5))
        return [next(stream)["gt"] for _ in range(6)]

    for plain, cached in zip(batches("datasets.train.n_workers=1"), batches(f"data.cache={cache}"), strict=True):
        assert torch.equal(plain, cached)


def test_refine_crop_refines_borders_and_middle_and_shows_the_estimator_everything(run, monkeypatch):
    seen, forward = [], PLIDENet.forward
    monkeypatch.setattr(
        PLIDENet, "forward", lambda net, lr, crop: seen.append((lr.shape, crop)) or forward(net, lr, crop)
    )
    trainer = run.trainer("datasets.train.GT_size=48", "train.refine_crop=32")
    for batch in islice(trainer.batches, 12):
        trainer.train_step(batch)
    assert {shape[2:] for shape, _ in seen} == {(24, 24)}
    assert {crop.side for _, crop in seen} == {32}
    assert {crop.top for _, crop in seen} == {crop.left for _, crop in seen} == {0, 8, 16}
    assert any(crop.top != crop.left for _, crop in seen)


CONSISTENCY = "train.losses=[{type: lr_consistency, weight: 1}]"
RESTORATION = "train.losses=[{type: l1, weight: 1}]"


@pytest.mark.parametrize(
    ("setting", "learners"),
    [
        (["train.refine_crop=0", "datasets.train.GT_size=34", CONSISTENCY], {"estimator"}),
        ([RESTORATION], {"upsampler", "wiener", "embedding", "refinement"}),
    ],
)
def test_the_estimator_and_the_rest_learn_each_without_the_other(run, setting, learners):
    trainer = run.trainer(*setting)
    before = {name: value.clone() for name, value in trainer.net.named_parameters()}
    for batch in islice(trainer.batches, 2):
        trainer.train_step(batch)
    changed = (name for name, value in trainer.net.named_parameters() if not torch.equal(value, before[name]))
    assert {name.split(".")[0] for name in changed} == learners


def test_a_loss_without_a_restored_image_is_refused(run):
    with pytest.raises(UserError, match=r"train\.losses cannot contain l1: with refine_crop 0"):
        run.trainer("train.refine_crop=0")
    with pytest.raises(UserError, match=r"train\.refine_crop must not be negative"):
        run.trainer("train.refine_crop=-32")


@pytest.mark.parametrize("refine", [30, 34, 64])
def test_a_refined_part_whose_middle_position_is_off_the_lr_grid_is_refused(run, refine):
    with pytest.raises(UserError, match=r"train\.refine_crop must be 32 less a multiple of 4"):
        run.trainer(f"train.refine_crop={refine}")


def test_a_refined_part_may_be_smaller_than_a_window(run):
    trainer = run.trainer("train.refine_crop=4")
    assert trainer.train_step(next(iter(trainer.batches)))["loss/total"] > 0


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["datasets.train.GT_size=28"], r"datasets\.train\.GT_size is 28, but LR crops need 16 pixels: at least 32"),
        (["degradation.ksize=65"], r"degradation\.ksize is 65, too large for crops of 32 \(datasets\.train\.GT_size\)"),
        (["network_G.setting.kernel_size=65"], r"network_G\.setting\.kernel_size is 65, .*: at most 63"),
    ],
)
def test_sizes_that_no_step_could_take_leave_the_earlier_run_in_its_place(run, overrides, message):
    (run.folder / "experiments/run").mkdir(parents=True)
    with pytest.raises(UserError, match=message):
        run.trainer(*overrides)
    assert [path.name for path in (run.folder / "experiments").iterdir()] == ["run"]


def test_the_largest_kernels_and_smallest_crops_can_be_trained(run):
    trainer = run.trainer("degradation.ksize=63", "network_G.setting.kernel_size=63", "datasets.train.GT_size=32")
    assert trainer.train_step(next(iter(trainer.batches)))["loss/total"] > 0


@pytest.mark.filterwarnings("ignore:Dynamo detected a call to a `functools.lru_cache`")
def test_a_compiled_network_takes_the_same_steps_and_saves_the_same_names(run, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))  # traced, without minutes of g++
    plain = run.train("name=plain", "train.niter=2").net.state_dict()
    run.train("name=compiled", "train.niter=2", "train.compile=true", "train.channels_last=true")
    saved = torch.load(run.folder / "experiments/compiled/models/latest_G.pth", weights_only=True)["params"]
    assert saved.keys() == plain.keys()
    assert_same_curves(run.curves("plain"), run.curves("compiled"))


def test_fine_tuning_takes_what_fits_and_lists_the_rest(run, caplog):
    run.train("train.niter=1")
    weights = f"path.pretrain_model_G={run.folder}/experiments/run/models/latest_G.pth"
    with pytest.raises(UserError, match="does not fit"):
        run.trainer("name=tuned", "network_G.setting.num_wiener_filters=5", weights)
    with caplog.at_level("INFO", "plidenet"):
        run.trainer("name=tuned", "network_G.setting.num_wiener_filters=5", "path.strict_load=false", weights)
    assert "2 left as they were (wiener.log_strengths, wiener.mixture)" in caplog.text


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["datasets.train="], "needs a section datasets.train"),
        (["datasets.train.dataroot_kernel=kernels"], r"datasets\.train\.dataroot_kernel has no effect"),
        (["datasets.train.GT_size="], "needs HR images .* and GT_size"),
        (["datasets.train.GT_size=56"], r"the image 0 \(60x52\) is smaller than the crop of 56x56"),
        (["network_G={which_model_G: Bicubic, setting: {}}"], "Bicubic has no parameters to train"),
        (["datasets.val.mode=GT"], r"datasets\.val needs pairs"),
        (["train.losses=[{type: l2}]"], "unknown loss 'l2'"),
        (["device=cuda:77"], "device 'cuda:77' cannot be used"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(run, overrides, message):
    with pytest.raises(UserError, match=message):
        run.trainer(*overrides)
    assert not (run.folder / "experiments").exists()


def test_a_batch_that_cannot_be_processed_in_equal_parts_is_refused(run):
    with pytest.raises(UserError, match=r"a batch of 4 images cannot be divided into 1 x 3 equal parts"):
        run.trainer("train.accumulate=3")


def test_the_averaged_weights_forget_the_start_of_a_run():
    net = torch.nn.Linear(1, 1, bias=False)
    ema = MovingAverage(net, 0.999)
    expected, values = 0.0, [5.0, 1.0, 2.0, 4.0]
    for updates, value in enumerate(values):
        net.weight.data.fill_(value)
        ema.update_parameters(net)
        kept = (1 + updates) / (10 + updates) if updates else 0
        expected = kept * expected + (1 - kept) * value
    assert ema.module.weight.item() == pytest.approx(expected)
    ema.module.weight.data.fill_(1)
    net.weight.data.fill_(2)
    ema.n_averaged.fill_(10**6)
    ema.update_parameters(net)
    assert ema.module.weight.item() == pytest.approx(1.001), "long after, it is the plain average"


def test_the_averaged_network_has_the_statistics_of_the_last_step():
    net = torch.nn.BatchNorm1d(1)
    ema = MovingAverage(net, 0.9)
    net(torch.tensor([[1.0], [3.0]]))
    ema.update_parameters(net)
    assert ema.module.running_mean.item() == net.running_mean.item() != 0


def test_curves_that_cannot_be_decoded_are_refused_and_kept(tmp_path):
    (tmp_path / "curves.csv").write_bytes(b"iteration,name,value\n\xff,a,1\n")
    with pytest.raises(UserError, match=r"curves\.csv is damaged"):
        Record(tmp_path, 1, tensorboard=False)
    assert b"\xff" in (tmp_path / "curves.csv").read_bytes()


def test_a_line_of_the_curves_whose_iteration_is_no_number_is_dropped(tmp_path):
    (tmp_path / "curves.csv").write_text("iteration,name,value\n1,a,1\n\u00b2,a,1\n", encoding="utf-8")
    Record(tmp_path, 1, tensorboard=False)
    assert (tmp_path / "curves.csv").read_text().split() == ["iteration,name,value", "1,a,1"]

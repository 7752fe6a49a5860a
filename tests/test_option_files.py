"""The option files that ship, and those of DAN and of the authors' release."""

import logging
import re
from pathlib import Path

import pytest
from plidenet import build_network
from plidenet.cli import option_parser
from plidenet.config import load_options, write_options
from plidenet.config.renamed import RENAMED
from plidenet.errors import UserError
from torch import nn

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = sorted((ROOT / "options").rglob("*.yml"))
OF_PAPER = [path for path in SHIPPED if path.parts[-3] in ("setting1", "setting2") and "_E" not in path.stem]
FROM_E = ROOT / "options/setting1/train/train_setting1_x4_from_E.yml"
OF_E = [path for path in SHIPPED if "_E" in path.stem and path != FROM_E]
PARAMETERS = {2: 4_160_142, 3: 4_344_782, 4: 4_307_854}

RELEASED_TRAIN = """
#### general settings
name: PLIDENet_x4
use_tb_logger: true
model: blind_asif
distortion: sr
scale: 4
gpu_ids: [0]
pca_matrix_path: ../../../pca_matrix/pca_matrix.pth
code_length: 10
crop_border: ~

degradation:
  random_kernel: True
  ksize: 21
  code_length: 10
  sig_min: 0.2
  sig_max: 4.0
  sig: 2.6
  rate_iso: 1.0
  random_disturb: false

#### datasets
datasets:
  train:
    name: DF2K
    mode: GT
    dataroot_GT: /data/DF2K/HR.lmdb
    dataroot_LQ: ~

    use_shuffle: true
    n_workers: 8  # per GPU
    batch_size: 12
    GT_size: 128
    LR_size: 32
    use_flip: true
    use_rot: true
    color: RGB
  val:
    name: Set5
    mode: LQGT
    dataroot_GT: /data/Set5/x4HRblur.lmdb
    dataroot_LQ: /data/Set5/x4LRblur.lmdb

#### network structures
network_G:
  which_model_G: DEblurSRResDNet
  setting:
    scale: 4

#### path
path:
  root: /home/somebody/blind
  pretrain_model_G: ~
  strict_load: true
  resume_state: ~

#### training settings: learning rate scheme, loss
train:
  lr_G: !!float 1e-4
  lr_E: !!float 1e-4
  lr_scheme: MultiStepLR
  beta1: 0.9
  beta2: 0.999
  niter: 500000
  warmup_iter: -1  # no warm up
  lr_steps: [250000, 400000, 450000, 475000]
  lr_gamma: 0.5
  restarts: ~
  restart_weights: ~
  eta_min: !!float 1e-7

  pixel_criterion: l1
  pixel_weight: 1.0

  manual_seed: 0
  val_freq: !!float 5e3

#### logger
logger:
  print_freq: 100
  save_checkpoint_freq: !!float 5e3
"""

RELEASED_TEST = """
name: PLIDENet_x4
suffix: ~  # add suffix to saved images
model: blind_asif
distortion: sr
scale: 4
crop_border: ~  # crop border when evaluation. If None(~), crop the scale pixels
gpu_ids: [0]
pca_matrix_path: ../../../pca_matrix/pca_matrix.pth

datasets:
  test0:
    name: Set5
    mode: LQGT
    dataroot_GT: /data/Set5/x4HRblur.lmdb
    dataroot_LQ: /data/Set5/x4LRblur.lmdb

#### network structures
network_G:
  which_model_G: DEblurSRResDNet
  setting:
    scale: 4

#### path
path:
  pretrain_model_G: ../../../checkpoints/x4.pth
"""


def load_text(folder, text):
    file = folder / "some.yml"
    file.write_text(text)
    return load_options(file)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_file_loads_and_builds_its_network(monkeypatch, path):
    monkeypatch.setattr(nn.init, "trunc_normal_", lambda tensor, **_: tensor)  # counted, not run: spare the drawing
    options = load_options(path)
    net = build_network(options.network_G.which_model_G, **options.network_setting)
    if path in OF_PAPER:
        assert sum(parameter.numel() for parameter in net.parameters()) == PARAMETERS[options.scale]
        assert options.border == options.scale


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_example_of_the_help_works_with_every_shipped_file(path):
    (overrides,) = (action for action in option_parser(None, "")._actions if action.dest == "overrides")
    options = load_options(path, overrides.help.removeprefix("e.g. ").split())
    assert (options.train.niter, options.train.lr_G) == (2000, 2e-4)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_options_written_out_are_the_same_options(tmp_path, path):
    options = load_options(path, ["network_G.setting.note=5e3", 'suffix="5e3"', "train.lr_G=1e-5", "gpu_ids=[1, 0]"])
    (tmp_path / "resolved.yml").write_text(write_options(options))
    assert load_options(tmp_path / "resolved.yml") == options


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_weights_that_ship_are_not_called_untrained(path):
    weights = load_options(path).path.pretrain_model_G
    assert "# not trained yet" not in path.read_text() or not weights.exists()


def test_files_ship_for_both_settings():
    names = {f"setting{setting}_x{scale}" for setting, scale in [(1, 2), (1, 3), (1, 4), (2, 2), (2, 4)]}
    assert {path.stem for path in OF_PAPER} == {f"{use}_{name}" for use in ("train", "test") for name in names}
    names = {f"{name}_E" for name in names - {"setting1_x3"}}
    assert {path.stem for path in OF_E} - {"train_setting1_x4_E_cpu"} == {
        f"{use}_{name}" for use in ("train", "test") for name in names
    }


@pytest.mark.parametrize("path", [path for path in OF_PAPER if path.parts[-2] == "train"], ids=lambda path: path.stem)
def test_training_files_have_the_values_of_the_paper(path):
    options = load_options(path)
    assert path.stem == f"train_setting{path.parts[-3][-1]}_x{options.scale}"
    assert options.datasets["train"].GT_size == options.scale * {2: 64, 3: 42, 4: 32}[options.scale]
    blur = options.degradation
    if path.parts[-3] == "setting1":
        assert (blur.sig_min, blur.sig_max, blur.rate_iso, blur.random_disturb) == (0.2, options.scale, 1, False)
    else:
        assert (blur.sig_min, blur.sig_max, blur.rate_iso, blur.random_disturb) == (0.6, 5, 0, True)
    assert blur.ksize == 21
    train = options.train
    assert (train.niter, train.lr_steps, train.lr_gamma) == (500_000, (250_000, 400_000, 450_000, 475_000), 0.5)
    assert (train.lr_G, train.beta1, train.beta2, train.weight_decay_G) == (1e-4, 0.9, 0.999, 0)
    assert (train.lr_scheme, train.warmup_iter) == ("MultiStepLR", -1)
    losses = {loss.type: loss.weight for loss in train.losses}
    assert losses == {"l1": 1, "lr_consistency": 1, "gradient_difference": 1}


def test_the_widest_blur_is_the_scale_where_a_file_gives_none():
    path = ROOT / "options/setting1/train/train_setting1_x2.yml"
    assert load_options(path, ["degradation="]).degradation.widest(2) == 2
    with pytest.raises(UserError, match=r"degradation\.sig_min is 2\.5, larger than sig_max \(by default the scale\)"):
        load_options(path, ["degradation.sig_max=", "degradation.sig_min=2.5"])


@pytest.mark.parametrize("path", [path for path in OF_PAPER if path.parts[-2] == "test"], ids=lambda path: path.stem)
def test_testing_files_have_the_sets_of_the_published_tables(path):
    options = load_options(path)
    assert options.path.pretrain_model_G.stem == options.name == f"PL_IDENet_x{options.scale}_{path.parts[-3]}"
    names = [dataset.name for dataset in options.datasets.values()]
    if path.parts[-3] == "setting1":
        assert names == ["Set5", "Set14", "BSD100", "Urban100", "Manga109"]
        assert all(f"_x{options.scale}." in dataset.dataroot_LQ.name for dataset in options.datasets.values())
    else:
        assert names == ["DIV2KRK", "Set14", "BSD100"]
        assert options.datasets["test1"].dataroot_LQ.name == f"lr_x{options.scale}"


@pytest.mark.parametrize("path", [path for path in SHIPPED if "setting1" in path.parts], ids=lambda path: path.stem)
def test_files_of_setting_1_name_the_kernels_that_the_benchmark_comes_with(path):
    options = load_options(path)
    for dataset in (dataset for key, dataset in options.datasets.items() if key != "train"):
        assert dataset.dataroot_kernel == dataset.dataroot_LQ.parent / f"kernel/x{options.scale}"


@pytest.mark.parametrize("path", OF_E, ids=lambda path: path.stem)
def test_files_of_the_efficient_network_have_the_task_of_the_paper(path):
    stem, _, variant = path.stem.partition("_E")
    own, paper = load_options(path), load_options(path.with_stem(stem))
    assert own.network_G.which_model_G == "PL_IDENet_E"
    assert own.name == paper.name.replace("PL_IDENet", "PL_IDENet_E") + variant
    assert (own.scale, own.degradation, own.train.losses) == (paper.scale, paper.degradation, paper.train.losses)
    if "train" in own.datasets:
        assert own.datasets["val"] == paper.datasets["val"]
    else:
        assert own.datasets == paper.datasets
        assert own.path.pretrain_model_G.stem == own.name


def test_the_network_of_the_paper_can_start_from_that_of_the_efficient_one():
    own, paper = load_options(FROM_E), load_options(FROM_E.with_stem("train_setting1_x4"))
    assert own.network_G.which_model_G == paper.network_G.which_model_G
    assert (own.scale, own.degradation) == (paper.scale, paper.degradation)
    assert own.path.pretrain_model_G.stem == f"{own.path.pretrain_network}_x4_setting1"
    assert own.path.pretrain_model_G.exists()


def test_a_released_training_file_works_unchanged(tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="plidenet"):
        options = load_text(tmp_path, RELEASED_TRAIN)
    assert (options.model, options.network_G.which_model_G) == ("blind_asif", "DEblurSRResDNet")
    assert options.network_setting == {"scale": 4}
    assert (options.gpu_ids, options.border, options.use_tb_logger) == ((0,), 4, True)
    assert options.datasets["train"].dataroot_GT == Path("/data/DF2K/HR.lmdb")
    assert (options.datasets["train"].batch_size, options.datasets["train"].n_workers) == (12, 8)
    assert (options.train.lr_G, options.train.eta_min, options.train.val_freq) == (1e-4, 1e-7, 5000)
    assert options.logger.save_checkpoint_freq == 5000
    assert isinstance(options.logger.save_checkpoint_freq, int)
    ignored = re.findall(r"some.yml: (\S+) is ignored: \w+", caplog.text)
    assert sorted(ignored) == sorted(
        ["distortion", "pca_matrix_path", "code_length", "path.root"]
        + [f"degradation.{name}" for name in ("random_kernel", "code_length", "sig")]
        + [f"datasets.train.{name}" for name in ("use_shuffle", "LR_size", "color")]
        + [f"train.{name}" for name in ("lr_E", "restarts", "restart_weights", "pixel_criterion", "pixel_weight")]
    )


def test_a_released_test_file_works_unchanged(tmp_path):
    options = load_text(tmp_path, RELEASED_TEST)
    assert (options.suffix, options.border, options.path.strict_load) == (None, 4, True)
    assert [(key, dataset.name, dataset.mode) for key, dataset in options.datasets.items()] == [
        ("test0", "Set5", "LQGT")
    ]


def test_one_field_sets_the_scale_of_a_shipped_file():
    options = load_options(ROOT / "options/setting1/test/test_setting1_x4.yml", ["scale=2"])
    assert (options.network_setting, options.border) == ({"scale": 2}, 2)


@pytest.mark.parametrize("name", [*RENAMED])
def test_fields_of_other_projects_are_answered_with_those_of_this_one(name):
    with pytest.raises(UserError) as refused:
        load_options(FROM_E, [f"train.{name}=1"])
    assert str(refused.value).endswith(f"unknown field train.{name}; see {RENAMED[name]}")


def test_a_network_of_no_weights_to_start_from_is_refused():
    with pytest.raises(
        UserError, match=r"path\.pretrain_network is the network of path\.pretrain_model_G, which is not"
    ):
        load_options(FROM_E, ["path.pretrain_model_G="])

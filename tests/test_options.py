"""Reading option files: numbers, paths, assignments of the command line, and what is refused with which words."""

import dataclasses
import typing
from pathlib import Path

import pytest
from plidenet.config import Options, describe_changes, describe_differences, load_options
from plidenet.errors import UserError

MINIMAL = """
name: minimal
scale: 4
datasets:
  test1: {name: Set5, mode: LQ, dataroot_LQ: datasets/Set5}
network_G: {which_model_G: Bicubic, setting: {scale: 4}}
"""


@pytest.fixture
def load(tmp_path):
    """Load a YAML text, with overrides; without a text, the smallest one that is complete."""

    def load_text(text=MINIMAL, *overrides):
        file = tmp_path / "some.yml"
        file.write_text(text)
        return load_options(file, overrides)

    return load_text


def sections(kind=Options):
    """All dataclasses of the options, found through the annotations."""

    def parts(hint):
        return [hint, *(inner for argument in typing.get_args(hint) for inner in parts(argument))]

    found = [part for hint in typing.get_type_hints(kind).values() for part in parts(hint)]
    return {kind}.union(*(sections(part) for part in found if dataclasses.is_dataclass(part)))


@pytest.mark.parametrize("text", ["5e3", "!!float 5e3", "5000", "5000.0", "5.0E+3"])
def test_one_number_can_be_written_in_many_ways(load, text):
    options = load(f"{MINIMAL}train: {{val_freq: {text}, lr_G: {text}}}")
    assert (options.train.val_freq, options.train.lr_G) == (5000, 5000.0)
    assert (type(options.train.val_freq), type(options.train.lr_G)) == (int, float)


def test_a_scale_written_with_a_point_is_a_whole_number(load):
    options = load(MINIMAL, "scale=4.0", "network_G.setting.scale=4.0")
    assert (type(options.scale), type(options.network_setting["scale"])) == (int, int)


@pytest.mark.parametrize(("text", "border"), [("0", 0), ("~", 4), ("7", 7)])
def test_a_crop_border_of_0_is_0_and_none_is_the_scale(load, text, border):
    assert load(f"{MINIMAL}crop_border: {text}\n").border == border
    assert load().border == 4


def test_command_line_assignments_replace_add_and_remove(load):
    options = load(
        f"{MINIMAL}train: {{beta2: 0.99}}",
        "train.niter=2e3",
        "network_G.setting.depths=[1, 2]",
        "datasets.val={name: Set14, mode: LQ, dataroot_LQ: x}",
        "datasets.test1=",
        "test.save_images=false",
    )
    assert options.train.niter == 2000
    assert options.train.beta2 == 0.99
    assert options.network_setting == {"scale": 4, "depths": (1, 2)}
    assert list(options.datasets) == ["val"]
    assert options.test.save_images is False
    assert load(MINIMAL, "crop_border=0", "crop_border=").border == 4


def test_what_is_not_there_can_be_left_out_but_must_be_called_right(load, caplog):
    setting = "network_G.setting"
    options = load(MINIMAL, "train.niter=", "path.pretrain_model_G=", "guard=", f"{setting}.depths=", f"{setting}.a.b=")
    assert options.train == load(MINIMAL).train and options.network_setting == {"scale": 4, "a": {}}
    assert "some.yml: there is no network_G.setting.depths to leave out" in caplog.text
    assert list(load(MINIMAL, "datasets.tset1=").datasets) == ["test1"]
    assert "some.yml: there is no datasets.tset1 to leave out" in caplog.text
    for misspelt in ("nmae", "path.pretrain_modelG", "datasets.test1.dataroot"):
        with pytest.raises(UserError, match=f"unknown field {misspelt}; did you mean"):
            load(MINIMAL, f"{misspelt}=")


@pytest.mark.parametrize("empty", ["path:", "path: ~", "path: {}"])
def test_an_assignment_fills_an_empty_section(load, empty):
    options = load(f"{MINIMAL}{empty}\n", "path.strict_load=false", "network_G.setting.depths=[1]")
    assert options.path.strict_load is False
    assert load(MINIMAL.replace("{scale: 4}", ""), "network_G.setting.depths=[1]").network_setting["depths"] == (1,)


@pytest.mark.parametrize("nothing", ["", "~", "null"])
def test_a_data_set_that_is_nothing_is_dropped(load, nothing):
    text = MINIMAL.replace("datasets:\n", f"datasets:\n  val: {nothing}\n")
    assert list(load(text).datasets) == ["test1"]
    assert list(load(text, f"datasets.test1={nothing}", "datasets.test4=~").datasets) == []
    assert load(text, "network_G.setting.kernel_init_sigma=~").network_setting["kernel_init_sigma"] is None
    assert list(load(text, "datasets.val={name: a, mode: LQ, dataroot_LQ: x}").datasets) == ["val", "test1"]


@pytest.mark.parametrize(
    "text", ["2024_06_15", "0123", "1_000", "1e3", "1.50", "2024-06-15", "0x1f", "1:30", "on", "No", "+5", "007"]
)
def test_text_stays_as_it_is_written(load, text):
    content = MINIMAL.replace("minimal", text).replace("Set5, mode", f"{text}, mode")
    options = load(f"{content}suffix: {text}\ntest: {{perceptual: [{text}]}}\n")
    assert (options.name, options.suffix, options.test.perceptual) == (text, text, (text,))
    assert options.datasets["test1"].name == text
    options = load(MINIMAL, f"name={text}", f"datasets.test1={{name: {text}, mode: LQ, dataroot_LQ: x}}")
    assert options.name == options.datasets["test1"].name == text
    assert load(MINIMAL, f"name='{text}'").name == text


def test_values_within_a_networks_setting_are_what_yaml_says(load):
    setting = load(MINIMAL, "network_G.setting={a: 1e3, b: [{c: 0x10, d: true}], e: '4'}").network_setting
    assert setting["a"] == 1000 and setting["b"][0] == {"c": 16, "d": True} and setting["e"] == "4"


def test_a_section_can_be_shared_by_an_anchor(load):
    options = load(
        """
name: shared
scale: 2
datasets:
  test1: &set {name: one, mode: LQ, dataroot_LQ: a}
  test2: {<<: *set, name: two}
network_G: {which_model_G: Bicubic, setting: {}}
"""
    )
    assert options.datasets["test2"].name == "two"
    assert options.datasets["test2"].dataroot_LQ == options.datasets["test1"].dataroot_LQ


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.nitre=5", r"unknown field train\.nitre; did you mean 'niter'\? Known: .*niter, "),
        ("niter=5", r"unknown field niter; did you mean train\.niter\?$"),
        ("train.batch_size=8", r"unknown field train\.batch_size; did you mean datasets\.\*\.batch_size\?$"),
        ("path.weight=1", r"unknown field path\.weight; did you mean train\.losses\.\*\.weight\?$"),
        ("train.name=x", r"unknown field train\.name; did you mean name or datasets\.\*\.name\?$"),
        ("netwrok_G={}", r"unknown field netwrok_G; did you mean 'network_G'\?"),
        ("datasets.test1.dataroot_GTs=x", r"unknown field datasets\.test1\.dataroot_GTs; did you mean 'dataroot_GT'"),
        ("train.losses=[{type: l1, wight: 2}]", r"unknown field train\.losses\[0\]\.wight; did you mean 'weight'"),
        ("train.niter=many", r"train\.niter must be a whole number, not 'many'"),
        ("train.niter=1.5", r"train\.niter must be a whole number, not 1\.5"),
        ("train.niter=.nan", r"train\.niter must be a whole number, not nan"),
        ("train.niter=true", r"train\.niter must be a whole number, not True"),
        ("train.lr_G=[1]", r"train\.lr_G must be a number, not \[1\]"),
        ("use_tb_logger=1", r"use_tb_logger must be true or false, not 1"),
        ("train.lr_steps=[10, x]", r"train\.lr_steps\[1\] must be a whole number, not 'x'"),
        ("gpu_ids=0", r"gpu_ids must be a list, not 0$"),
        ("path=here", r"path must be a section with fields, not 'here'"),
        ("datasets.test1=[]", r"datasets\.test1 must be a section with fields"),
        ("datasets.test1.dataroot_LQ=on", r"datasets\.test1\.dataroot_LQ must be a path, not True"),
        ("datasets.test1.mode=LQTG", r"datasets\.test1\.mode must be one of GT, LQ, LQGT, .*; did you mean 'LQGT'\?"),
        ("path.pretrain_scale=5", r"path\.pretrain_scale must be one of 2, 3, 4, not 5$"),
        ("model=blnd", r"model must be one of blind, blind_asif, not 'blnd'; did you mean 'blind'\?"),
        ("name=", r"name is missing"),
        ("datasets.test1.name=", r"datasets\.test1\.name is missing"),
        ("name=a/b", r"name must be a plain folder name"),
        ("datasets.test1.name=a/b", r"datasets\.test1\.name must be a plain folder name"),
        ("datasets.test1.mode=LQGT", r"datasets\.test1\.dataroot_GT is needed with mode LQGT"),
        ("datasets.test2={name: Set5, mode: LQ, dataroot_LQ: x}", r"datasets has two sets of the same name"),
        (
            "datasets.tset2={name: x, mode: LQ, dataroot_LQ: x}",
            r"datasets\.tset2 must be named train .*, val",
        ),
        (
            "datasets.train2={name: x, mode: GT, dataroot_GT: x}",
            r"datasets\.train2 must be named train \(there is only one\)",
        ),
        ("datasets.test1.GT_size=30", r"datasets\.test1\.GT_size is 30, no multiple of the scale 4"),
        ("network_G.setting.scale=2", r"network_G\.setting\.scale is 2, but scale is 4"),
        ("path.pretrain_scale=2", r"path\.pretrain_scale is 2, but scale is 4: only 4 can be halved"),
        ("crop_border=-1", r"crop_border must not be negative"),
        ("guard.max_psnr_drop=3", r"guard\.max_psnr_drop must be a fraction of the best PSNR"),
        ("degradation.ksize=20", r"degradation\.ksize must be odd"),
        ("degradation.ksize=-3", r"degradation\.ksize must be odd and positive"),
        ("degradation.sig_max=0.1", r"degradation\.sig_min must be positive and at most sig_max"),
        ("train.losses=[]", r"train\.losses must not be empty"),
        ("logger.print_freq=0", r"logger\.print_freq must be positive"),
    ],
)
def test_a_wrong_field_is_refused_with_the_file_and_the_path_of_the_field(load, override, message):
    with pytest.raises(UserError, match=rf"some\.yml: {message}"):
        load(MINIMAL, override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.niter", "'train.niter' is not an assignment; write e.g. train.niter=2000"),
        ("=3", "'=3' is not an assignment"),
        ("scale.x=3", "scale is no section"),
        ("train.niter=[", "value of 'train.niter=\\[' is not valid YAML"),
        ("train.niter=2024-99-99", "value of 'train.niter=2024-99-99' is not valid YAML"),
    ],
)
def test_a_malformed_assignment_is_refused(load, override, message):
    with pytest.raises(UserError, match=message):
        load(MINIMAL, override)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{MINIMAL}scale: 2\n", "duplicate key 'scale'.*line 7"),
        (f"{MINIMAL}train: {{niter: 3, niter: 4}}\n", "duplicate key 'niter'"),
        (f"{MINIMAL}3: x\n", "the key 3 is no name"),
        (f"{MINIMAL}train: [\n", "is not valid YAML"),
        ("- name\n", "holds no options"),
        ("", "holds no options"),
    ],
)
def test_a_malformed_file_is_refused(load, text, message):
    with pytest.raises(UserError, match=rf"some\.yml .*{message}"):
        load(text)


def test_a_missing_or_unreadable_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="no option file at"):
        load_options(tmp_path / "none.yml")
    with pytest.raises(UserError, match="cannot be read"):
        load_options(tmp_path)


def test_options_cannot_be_changed_once_loaded(load):
    options = load(MINIMAL, "network_G.setting.prompt={heads: [1, 2]}")
    for section in (options, options.train, options.train.losses[0], options.datasets["test1"], options.path):
        for item in dataclasses.fields(section):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(section, item.name, None)
    for mapping in (options.datasets, options.network_G.setting, options.network_G.setting["prompt"]):
        with pytest.raises(TypeError):
            mapping["scale"] = None
    assert options.network_G.setting["prompt"]["heads"] == (1, 2)


def test_relative_paths_start_at_the_project_root(tmp_path, monkeypatch):
    deep = tmp_path / "project" / "options" / "mine"
    deep.mkdir(parents=True)
    (deep / "some.yml").write_text(MINIMAL)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert load_options(deep / "some.yml").path.results_root == elsewhere / "results"
    (tmp_path / "project" / "pyproject.toml").touch()
    options = load_options(deep / "some.yml", ["path.pretrain_model_G=/weights/a.pth", "path.resume_state=~/b.state"])
    assert options.datasets["test1"].dataroot_LQ == tmp_path / "project" / "datasets" / "Set5"
    assert options.path.results_root == tmp_path / "project" / "results"
    assert options.path.pretrain_model_G == Path("/weights/a.pth")
    monkeypatch.chdir(deep)
    assert load_options("some.yml").path.results_root == tmp_path / "project" / "results"


def test_every_field_has_a_description_and_every_ignored_field_a_reason():
    assert {kind.__name__ for kind in sections()} >= {"Options", "Dataset", "Network", "Train", "Loss", "Paths", "Test"}
    for kind in sections():
        names = {item.name for item in dataclasses.fields(kind)}
        for item in dataclasses.fields(kind):
            assert len(item.metadata.get("description", "")) > 5, f"{kind.__name__}.{item.name} has no description"
        for name, reason in getattr(kind, "accepted", {}).items():
            assert len(reason) > 5, f"{kind.__name__}: {name} has no reason"
            assert name not in names, f"{kind.__name__}: {name} is a field and ignored"


def test_the_described_changes_are_the_differences_from_the_defaults(load):
    changes = describe_changes(load(MINIMAL, "train.niter=2000", "path.results_root=/x/results", "crop_border=0"))
    assert changes == {
        "name": "minimal",
        "scale": "4",
        "crop_border": "0",
        "datasets.test1.name": "Set5",
        "datasets.test1.mode": "LQ",
        "datasets.test1.dataroot_LQ": str(Path.cwd() / "datasets/Set5"),
        "network_G.which_model_G": "Bicubic",
        "network_G.setting": "{'scale': 4}",
        "path.results_root": "/x/results",
        "train.niter": "2000",
    }


def test_differences_from_an_earlier_run_are_told_those_that_went_back_to_the_default_too(load):
    val = "datasets.val={name: Set14, mode: LQ, dataroot_LQ: /x}"
    earlier = describe_changes(load(MINIMAL, "train.niter=50", "train.ema_decay=0.9", "path.resume_state=a.state", val))
    later = load(MINIMAL, "train.niter=60", "train.lr_G=0.5", "path.resume_state=auto")
    assert describe_differences(later, earlier) == {
        "datasets.val.dataroot_LQ": "default (was /x)",
        "datasets.val.mode": "default (was LQ)",
        "datasets.val.name": "default (was Set14)",
        "train.ema_decay": "default (was 0.9)",
        "train.lr_G": "0.5 (was default)",
        "train.niter": "60 (was 50)",
    }
    assert describe_differences(later, describe_changes(later)) == {}

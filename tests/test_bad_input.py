"""Mistakes of the user's: one sentence on stderr, exit status 2, and nothing half-written left behind."""

import shutil
import subprocess
import sys

import pytest
import torch
import yaml
from conftest import ROOT, TINY, tree
from PIL import Image
from plidenet import build_network
from plidenet.checkpoint import save_checkpoint
from plidenet.data.images import image_size, list_images, write_image
from plidenet.data.lmdb_store import write_lmdb
from plidenet.errors import UserError
from skimage import data

OPTIONS = {
    "name": "run",
    "scale": 2,
    "device": "cpu",
    "network_G": {"which_model_G": "PL_IDENet", "setting": TINY},
    "train": {"niter": 1},
}
WEIGHTS = "path.pretrain_model_G=weights.pth"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder to work in: HR and LR hold three good pairs each, and options.yml and weights.pth a small network."""
    monkeypatch.chdir(tmp_path)
    for i in range(3):
        photograph = data.astronaut()[100 : 144 + 2 * i, 150:198]
        write_image(tmp_path / "HR" / f"{i}.png", photograph)
        write_image(tmp_path / "LR" / f"{i}.png", photograph[::2, ::2])
    train = {"name": "train", "mode": "GT", "dataroot_GT": "HR", "GT_size": 32, "batch_size": 3, "n_workers": 0}
    test = {"name": "test", "mode": "LQGT", "dataroot_GT": "HR", "dataroot_LQ": "LR", "n_workers": 0}
    for program, section in (("train", train), ("test", test)):
        (tmp_path / f"{program}.yml").write_text(yaml.safe_dump({**OPTIONS, "datasets": {program: section}}))
    torch.manual_seed(0)
    save_checkpoint(tmp_path / "weights.pth", params=build_network("PL_IDENet", **TINY, scale=2).state_dict())
    return tmp_path


@pytest.fixture
def refused(refused, here):
    """Run a program in that folder."""
    return refused


@pytest.fixture
def train(refused):
    return lambda *overrides: refused("train/train.py", "-opt", "train.yml", *overrides)


@pytest.fixture
def test(refused):
    return lambda *overrides: refused(
        "test/test.py", "-opt", "test.yml", "path.pretrain_model_G=weights.pth", *overrides
    )


@pytest.fixture
def infer(refused):
    arguments = ("test/inference.py", "-opt", "test.yml", "-output_dir", "out", "--weights")
    return lambda source, weights="weights.pth": refused(*arguments, weights, "-input_dir", source)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def bad_folders(here):
    """Folders that no program can use, each with what the message must say."""
    for name in ("empty", "broken", "zero", "twice"):
        (here / name).mkdir()
    (here / "empty" / "notes.txt").write_text("no image")
    (here / "broken" / "a.png").write_bytes((here / "HR" / "0.png").read_bytes()[:-100])
    (here / "zero" / "a.png").write_bytes(b"")
    for extension in ("png", "bmp"):
        write_image(here / "twice" / f"a.{extension}", data.astronaut()[:48, :48])
    return {
        "none": "no folder none",
        "train.yml": "train.yml is not a folder",
        "empty": "empty holds no images (png, jpg, jpeg, bmp, webp, tif, tiff)",
        "broken": "broken/a.png is not an image of 8 or 16 bits, or it is truncated",
        "zero": "zero/a.png is not an image of 8 or 16 bits, or it is truncated",
        "twice": "twice/a.bmp and a.png have the same name but for the extension",
    }


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("generate_mod_blur_LR_bic", ("--save", "out", "--scale", 2, "--sigmas", 1)),
        ("generate_mod_LR_bic", ("--save", "out", "--scale", 2)),
        ("build_benchmark", ("--save", "out", "--name", "Set", "--scale", 2)),
        ("create_lmdb", ("--lmdb", "out.lmdb")),
        ("create_lmdb", ("--lmdb", "out.lmdb", "--format", "basicsr", "--workers", 1)),
        ("extract_subimages", ("--save", "out", "--size", 32)),
    ],
)
def test_a_script_refuses_a_source_that_it_cannot_use(refused, here, script, arguments):
    for source, message in bad_folders(here).items():
        assert refused(f"scripts/{script}.py", "--source", source, *arguments) == message
    cut(here / "HR" / "2.png")
    message = refused(f"scripts/{script}.py", "--source", "HR", *arguments)
    assert message == "HR/2.png is not an image of 8 or 16 bits, or it is truncated"


def test_inference_refuses_a_source_that_it_cannot_use(infer, here):
    sources = {**bad_folders(here), "train.yml": "train.yml is not an image of 8 or 16 bits, or it is truncated"}
    del sources["twice"]  # of which it restores one
    for source, message in sources.items():
        assert infer(source) == message


def test_it_is_told_that_subfolders_are_not_searched(here, caplog):
    (here / "deep/DIV2K").mkdir(parents=True)
    with pytest.raises(UserError, match=r"deep holds no images \(.*\); subfolders are not searched"):
        list_images(here / "deep")
    shutil.copy(here / "HR/0.png", here / "deep")
    assert list_images(here / "deep") == [here / "deep/0.png"]
    assert f"{here / 'deep'}: its subfolders are not searched: DIV2K" in caplog.text


@pytest.mark.parametrize(
    ("script", "arguments"),
    [
        ("generate_mod_blur_LR_bic", ("--save", "old", "--scale", 2)),
        ("generate_mod_LR_bic", ("--save", "old", "--scale", 2)),
        ("create_lmdb", ("--lmdb", "old/HR")),
        ("extract_subimages", ("--save", "old", "--size", 32)),
        ("hold_out", ("--save", "old", "--every", 2)),
    ],
)
def test_a_script_overwrites_nothing(refused, here, script, arguments):
    write_image(here / "old/HR/x2/a.png", data.astronaut()[:8, :8])
    assert "exists already: remove it, or choose another" in refused(
        f"scripts/{script}.py", "--source", "HR", *arguments
    )


@pytest.mark.parametrize(
    ("script", "options", "message"),
    [
        ("generate_mod_blur_LR_bic", ("--save", "out", "--scale", 2, "--ksize", 4), "size must be odd, not 4"),
        ("generate_mod_blur_LR_bic", ("--save", "out", "--scale", 2, "--sigmas", 0), "positive and different"),
        ("generate_mod_blur_LR_bic", ("--save", "out", "--scale", 2, "--sigmas", "nan"), "positive and different"),
        ("generate_mod_blur_LR_bic", ("--save", "out", "--scale", 2, "--sigmas", "inf"), "positive and different"),
        ("generate_mod_blur_LR_bic", ("--save", "out", "--scale", 2, "--sigmas", 1, 1), "positive and different"),
        (
            "generate_mod_blur_LR_bic",
            ("--save", "out", "--scale", 2, "--ksize", 101),
            "0.png: 44x48 pixels are too few",
        ),
        ("extract_subimages", ("--save", "out", "--size", 45), "0.png (44x48) is smaller than a square of 45x45"),
        ("extract_subimages", ("--save", "out", "--step", 0), "--size and --step must be positive"),
        ("hold_out", ("--save", "out", "--every", 1), "--every 1: must lie between 2 and the number of photographs"),
        ("generate_mod_LR_bic", ("--save", "train.yml", "--scale", 2), "train.yml is a file, not a folder"),
    ],
)
def test_a_script_says_which_argument_or_image_does_not_fit(refused, script, options, message):
    assert message in refused(f"scripts/{script}.py", "--source", "HR", *options)


@pytest.mark.parametrize("manifest", ["{", "[1]", "\x00"])
@pytest.mark.parametrize("script", ["generate_mod_blur_LR_bic", "build_benchmark"])
def test_a_damaged_manifest_is_refused_before_work_starts(refused, here, monkeypatch, script, manifest):
    folder = {"generate_mod_blur_LR_bic": here / "out", "build_benchmark": here / "out/Set/setting1"}[script]
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(manifest)
    monkeypatch.setattr("plidenet.data.benchmark.read_image", lambda path: pytest.fail("work has started"))
    name = ("--name", "Set") if script == "build_benchmark" else ()
    options = ("--source", "HR", "--save", "out", "--scale", 4, *name)
    assert "manifest.json is damaged" in refused(f"scripts/{script}.py", *options)


@pytest.mark.parametrize("program", ["train", "test"])
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.nither=3", ".yml: unknown field train.nither; did you mean 'niter'?"),
        ("train.niter=many", ".yml: train.niter must be a whole number, not 'many'"),
        ("scale=5", ".yml: scale must be one of 2, 3, 4, not 5"),
        ("network_G.which_model_G=PL_IDENt", "unknown network 'PL_IDENt'; did you mean 'PL_IDENet'?"),
        ("network_G.setting.embed_dims=8", "no argument 'embed_dims'; did you mean 'embed_dim'?"),
        ("device=gpu", "device must be auto, cpu, cuda or cuda:N"),
        ("path.pretrain_model_G=HR/0.png", "0.png cannot be read as a checkpoint"),
        ("path.pretrain_model_G=none.pth", "no checkpoint at"),
        ("network_G.setting.embed_dim=16", "weights.pth does not fit the network"),
        ("datasets=", ".yml: datasets is missing"),
    ],
)
def test_unknown_and_mistyped_options_are_named(request, program, override, message):
    run = request.getfixturevalue(program)
    assert message in run(WEIGHTS, override)


@pytest.mark.parametrize("program", ["train/train.py", "test/test.py"])
def test_an_option_file_that_cannot_be_read_is_named(refused, here, program):
    (here / "broken.yml").write_text("name: [a\nscale: 2")
    assert refused(program, "-opt", "none.yml") == "no option file at none.yml"
    assert "broken.yml is not valid YAML" in refused(program, "-opt", "broken.yml")
    assert refused(program, "-opt", "test.yml", "niter") == "'niter' is not an assignment; write e.g. train.niter=2000"


def test_training_refuses_data_that_it_cannot_use(train, here):
    bad_folders(here)
    root = "datasets.train.dataroot_GT="
    missing = f"datasets.train.dataroot_GT: no LMDB or folder at {here}/none; name images of your own to train on"
    assert train(f"{root}none") == missing
    val = "datasets.val={name: a, mode: LQGT, dataroot_GT: none, dataroot_LQ: none}"
    assert train(val).endswith("build_benchmark.py makes benchmarks; datasets.val= leaves out what is missing")
    assert "to train on; scripts/build_benchmark.py makes benchmarks" in train(f"{root}none", val)
    assert "empty holds no images" in train(f"{root}empty")
    assert "zero/a.png is not an image of 8 or 16 bits, or it is truncated" in train(f"{root}zero")
    assert "the image 0 (44x48) is smaller than the crop of 46x46" in train("datasets.train.GT_size=46")
    assert "no multiple of the scale 2" in train("datasets.train.GT_size=33")
    pairs = ("datasets.train.mode=LQGT", "datasets.train.dataroot_LQ=LR")
    (here / "LR" / "2.png").rename(here / "LR" / "3.png")
    assert "1 of 3 LR images have no HR image of their name: 3" in train(*pairs)


@pytest.mark.parametrize("n_workers", [0, 2])
@pytest.mark.parametrize("program", ["train", "test"])
def test_an_image_that_turns_out_to_be_truncated_is_named_and_the_program_ends(here, program, n_workers):
    cut(here / "HR" / "1.png")
    options = (f"{program}.yml", WEIGHTS, f"datasets.{program}.n_workers={n_workers}", "data.cache=none")
    command = [sys.executable, ROOT / program / f"{program}.py", "-opt", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    told = f"error: {here}/HR/1.png is not an image of 8 or 16 bits, or it is truncated\n"
    assert (done.returncode, done.stderr) == (2, told)
    assert not [*here.rglob(".*.tmp"), *here.rglob("table.*"), *here.rglob("*_G.pth"), *here.rglob("*.state")]


def test_testing_refuses_pairs_that_do_not_match(test, here):
    write_image(here / "LR" / "1.png", data.astronaut()[:24, :20])
    assert test() == "HR 1 (46x48) is not 2 times as large as LR 1 (24x20)"
    (here / "LR" / "1.png").unlink()
    assert test() == "1 of 3 HR images have no LR image of their name: 1"
    assert "no LMDB or folder at" in test("datasets.test.dataroot_LQ=none")


def test_an_lmdb_without_meta_file_or_cut_short_is_refused(test, train, here):
    write_lmdb(here / "HR.lmdb", {str(i): here / "HR" / f"{i}.png" for i in range(3)})
    meta = (here / "HR.lmdb/meta_info.pkl").read_bytes()
    (here / "HR.lmdb/meta_info.pkl").unlink()
    for run, section in ((train, "train"), (test, "test")):
        message = run(f"datasets.{section}.dataroot_GT=HR.lmdb")
        assert message.endswith("HR.lmdb has no meta_info.pkl or meta_info.txt: was it written completely?")
    (here / "HR.lmdb/meta_info.pkl").write_bytes(meta[:-9])
    assert "meta_info.pkl is damaged" in test("datasets.test.dataroot_GT=HR.lmdb")


def test_a_checkpoint_of_another_scale_is_refused_with_keys_and_shapes(test, train, infer, here):
    save_checkpoint(here / "x3.pth", params=build_network("PL_IDENet", **TINY, scale=3).state_dict())
    for run in (train, test):
        message = run("path.pretrain_model_G=x3.pth")
        assert "x3.pth does not fit the network" in message
        assert "(72, 8, 3, 3), not (32, 8, 3, 3)" in message
    assert "x3.pth does not fit the network" in infer("LR", "x3.pth")


def test_inference_refuses_images_that_are_too_small(infer, here):
    write_image(here / "small" / "a.png", data.astronaut()[:15, :20])
    assert "16x16" in infer("small").removeprefix("a: ")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_the_sentence_stands_alone_in_a_process_of_its_own(here, name):
    (here / "broken").mkdir()
    Image.fromarray(data.astronaut()[:64, :64]).save(here / "broken" / name)
    cut(here / "broken" / name)
    before = tree(here)
    program = [sys.executable, ROOT / "scripts/create_lmdb.py", "--source", "broken", "--lmdb", "out.lmdb"]
    done = subprocess.run(program, capture_output=True, text=True, cwd=here)
    assert done.returncode == 2
    assert done.stderr == f"error: broken/{name} is not an image of 8 or 16 bits, or it is truncated\n"
    assert (done.stdout, tree(here)) == ("", before)


def test_links_to_missing_images_are_told(here, train):
    (here / "HR/9.png").symlink_to("/none.png")
    assert train().endswith("HR/9.png cannot be read: No such file or directory")
    assert here / "HR/9.png" in list_images(here / "HR")
    (here / "HR/9.png").unlink()
    (here / "HR/9.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="is not an image of 8 or 16 bits"):
        image_size(here / "HR/9.png")

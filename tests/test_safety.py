"""Nothing in a file is run, nothing is downloaded, and no image's name leads out of the folder of results."""

import ast
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, TINY
from lmdb_samples import PHOTOGRAPH, bgr, dan_meta, write_foreign
from plidenet.data.images import read_image, write_image
from plidenet.errors import UserError
from plidenet.evaluation.evaluator import Restored
from plidenet.evaluation.saving import ImageSaver
from testing_setup import Bench

SOURCES = sorted(path for folder in ("codes", "scripts", "train", "test") for path in (ROOT / folder).rglob("*.py"))
UNSAFE_CALLS = {
    *("eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads"),
    *("pickle.Unpickler", "marshal.load", "marshal.loads", "yaml.load", "yaml.load_all", "yaml.unsafe_load"),
    *("yaml.full_load", "torch.hub.load", "torch.hub.load_state_dict_from_url", "torch.jit.load", "dill.load"),
}
UNSAFE_NAMES = {"yaml.Loader", "yaml.FullLoader", "yaml.UnsafeLoader", "torch.hub"}
NETWORK = {"socket", "urllib", "http", "ftplib", "requests", "httpx", "aiohttp", "wget", "gdown", "huggingface_hub"}


def dotted(node: ast.AST) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


def complaints(tree: ast.AST) -> list[str]:
    """What in a program could run what a file says, or reach for the network."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name, given = dotted(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
            if name in UNSAFE_CALLS or "shell" in given:
                found.append(name)
            if name == "torch.load" and given.get("weights_only") != "True":
                found.append(name)
            if name in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
                found.append(name)
        elif isinstance(node, ast.Attribute) and dotted(node) in UNSAFE_NAMES:
            found.append(dotted(node))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            found += [name for name in names if name.split(".")[0] in NETWORK]
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_runs_what_a_file_says_or_reaches_for_the_network(path):
    assert complaints(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        *("torch.load(path)", "torch.load(path, weights_only=False)", "np.load(path)", "np.load(p, allow_pickle=True)"),
        *("pickle.loads(data)", "yaml.load(text, yaml.Loader)", "eval('1')", "subprocess.run('ls', shell=True)"),
        *(
            "import urllib.request",
            "from requests import get",
            "torch.hub.load('a', 'b')",
            "class A(yaml.Loader): pass",
        ),
    ],
)
def test_the_search_finds_what_it_searches(line):
    assert complaints(ast.parse(line))


OFFLINE = """
import runpy, sys
REACHING = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request")
def refuse(event, arguments):
    if event in REACHING:
        print(f"reached for the network: {event}{arguments}", file=sys.stderr, flush=True)
        raise RuntimeError(event)
sys.addaudithook(refuse)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def offline(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a program in a process that may not reach for the network."""
    command = [sys.executable, "-c", OFFLINE, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def write_options(folder: Path, datasets: dict, **changes: object) -> Path:
    return Bench(folder, folder).options("run", datasets=datasets, **changes)


def test_training_and_testing_reach_for_no_network(tmp_path):
    write_image(tmp_path / "HR/a.png", PHOTOGRAPH[:48, :48])
    write_image(tmp_path / "LR/a.png", PHOTOGRAPH[:48:2, :48:2])
    pair = {"mode": "LQGT", "dataroot_GT": "HR", "dataroot_LQ": "LR", "n_workers": 0}
    train = {"name": "train", "mode": "GT", "dataroot_GT": "HR", "GT_size": 32, "batch_size": 1, "n_workers": 0}
    learned = {"which_model_G": "PL_IDENet", "setting": TINY}
    datasets = {"train": train, "val": {"name": "val", **pair}}
    options = write_options(tmp_path, datasets, network_G=learned, train={"niter": 1, "val_freq": 1})
    weights = "path.pretrain_model_G=experiments/run/models/latest_G.pth"
    for arguments in (("train/train.py", "-opt", options), ("test/test.py", "-opt", options, weights)):
        done = offline(tmp_path, ROOT / arguments[0], *arguments[1:])
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/run/val/a.png").is_file()
    reaching = tmp_path / "reaching.py"
    reaching.write_text("import urllib.request\nurllib.request.urlopen('http://127.0.0.1:9')\n")
    assert "reached for the network" in offline(tmp_path, reaching).stderr, "the watch works"


def lmdb_of(folder: Path, keys: list[str]) -> Path:
    """An LMDB with a small image under each of the keys that can be keys."""
    values = {key: bgr(PHOTOGRAPH[:20, :24]) for key in keys if key and key.isprintable()}
    return write_foreign(folder, values, dan_meta(keys, ["3_20_24"]))


@pytest.mark.parametrize(
    "key",
    [
        *("../../outside", "/tmp/outside", "a/b", "..", ".", "a\\b", "../results/run/table", "", "kernels/a"),
        *("a\0b", "a\nb", "\x1b[31m", "\ud800", "x" * 201, "\u00e4" * 101),
    ],
)
@pytest.mark.parametrize("save_images", [True, False])
def test_testing_refuses_names_that_are_no_file_names_before_it_starts(
    run_script, tmp_path, monkeypatch, key, save_images
):
    work = tmp_path / "deep/er/work"
    work.mkdir(parents=True)
    monkeypatch.chdir(work)
    lmdb_of(work, ["good", key])
    section = {"name": "Set", "mode": "LQ", "dataroot_LQ": "foreign.lmdb", "n_workers": 0}
    options = write_options(work, {"test1": section}, test={"save_images": save_images})
    before = sorted(tmp_path.rglob("*"))
    done = run_script("test/test.py", "-opt", options)
    assert done.status == 2
    assert [line[:7] for line in done.err.splitlines()] == ["error: "]
    assert done.err.rstrip("\n").isprintable()
    assert sorted(tmp_path.rglob("*")) == before


def test_names_of_any_script_and_case_are_saved_side_by_side(run_script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keys = ["b\u00e4r", "ba\u0308r", "cat", "Cat", "a b", "name.with.dots", "\u732b", "-rf", "%s", "x" * 200]
    lmdb_of(tmp_path, keys)
    section = {"name": "Set", "mode": "LQ", "dataroot_LQ": "foreign.lmdb", "n_workers": 0}
    assert run_script("test/test.py", "-opt", write_options(tmp_path, {"test1": section})).status == 0
    assert {path.name for path in (tmp_path / "results/run/Set").iterdir()} == {f"{key}.png" for key in keys}


def restored(key: str) -> Restored:
    return Restored(key, torch.zeros(3, 8, 8, dtype=torch.uint8), torch.full((5, 5), 0.04), 0.1)


@pytest.mark.parametrize("key", ["../a", "/a", "a/b", "..", "", "a\0b"])
def test_nothing_is_saved_under_a_name_that_is_a_path(tmp_path, key):
    with pytest.raises(UserError, match="cannot be the name of an image in"):
        ImageSaver(tmp_path / "results", None)(restored(key))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("names", [("cat", "Cat"), ("b\u00e4r", "ba\u0308r")])
def test_two_names_that_the_file_system_takes_for_one_are_refused(tmp_path, names):
    one, other = names
    save = ImageSaver(tmp_path, "x2")
    save(restored(one))
    save(restored(one))
    (tmp_path / f"{other}_x2.png").symlink_to(f"{one}_x2.png")  # as if names were compared without case and accents
    before = (tmp_path / f"{one}_x2.png").read_bytes()
    with pytest.raises(UserError, match=f"{one} and {other} would be saved to the same file"):
        save(restored(other))
    assert (tmp_path / f"{one}_x2.png").read_bytes() == before
    assert read_image(tmp_path / f"{one}_x2.png").shape == (8, 8, 3)


@pytest.mark.parametrize("suffix", ["../x", "/x", "a\0", "\u0007", "x" * 300])
def test_a_suffix_leads_nowhere_either(run_script, tmp_path, suffix):
    section = {"name": "Set", "mode": "LQ", "dataroot_LQ": "LR"}
    done = run_script("test/test.py", "-opt", write_options(tmp_path, {"test1": section}, suffix=suffix))
    assert done.status == 2
    assert "suffix must be a plain part of a file name" in done.err


def test_a_large_image_is_read_without_a_warning(tmp_path, monkeypatch):
    write_image(tmp_path / "a.png", np.full((4, 4, 3), 9, np.uint8))
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 10)  # of up to twice as many, Pillow warns
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_image(tmp_path / "a.png").shape == (4, 4, 3)

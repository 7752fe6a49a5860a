"""The pages: links lead somewhere, commands name files and options that exist, and Python runs."""

import re
import shlex

import pytest
from conftest import ROOT
from plidenet.archs import NETWORKS
from plidenet.checkpoint import load_checkpoint
from plidenet.config import load_options
from plidenet.data.images import read_image, write_image
from plidenet.losses import LOSSES
from skimage import data
from training_setup import Run

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
WEIGHTS = sorted((ROOT / "experiments/pretrained").glob("*.md"))
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
FIELD = re.compile(r"[a-zA-Z_]\w*(?:\.\w+)*=")
PROGRAM = re.compile(r"(?:train|test|scripts|tests)/\w+\.py")


def commands():
    """The lines behind "$", continuations joined, without comments; each once."""
    text = "\n".join(block for language, block in BLOCKS if language == "console").replace("\\\n", " ")
    lines = dict.fromkeys(line[2:] for line in text.splitlines() if line.startswith("$ "))
    return [shlex.split(line, comments=True) for line in lines]


def python(word):
    """The block of Python that a word is in."""
    return next(block for language, block in BLOCKS if language == "python" and word in block)


def anchors(page):
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *WEIGHTS], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings_that_exist(page):
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if path.startswith("https://"):
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_names_files_and_fields_that_exist(words):
    for word in words:
        if PROGRAM.fullmatch(word) or word.startswith("options/"):
            assert (ROOT / word).is_file(), word
    fields = [word for word in words if FIELD.match(word)]
    for file in (word for word in words if word.startswith("options/")):
        load_options(ROOT / file, fields)


def test_a_file_with_a_network_and_a_loss_of_ones_own_is_trained(tmp_path, monkeypatch):
    for registry in (NETWORKS, LOSSES):
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    (tmp_path / "my_parts.py").write_text(python("MyNet"))
    run = Run(tmp_path)
    losses = "train.losses=[{type: l1}, {type: kernel_l1, weight: 0.1}]"
    run.train(f"parts=[{tmp_path}/my_parts.py]", "network_G.which_model_G=MyNet", losses, "train.niter=1")
    names = {name for _, name, _ in run.curves("run")}
    assert "loss/kernel_l1" in names and "wiener_strength_0" not in names


def test_the_examples_of_the_library_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    write_image("photo.png", data.astronaut()[100:117, 200:223])
    page = (ROOT / "docs/library.md").read_text(encoding="utf-8")
    names = {}
    exec("".join(block for block in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)), names)
    assert read_image("restored.png").shape == (68, 92, 3)
    load_checkpoint(names["net"], "mine.pth")


def test_the_weights_that_ship_restore_an_image(monkeypatch):
    monkeypatch.chdir(ROOT)
    names = {}
    exec(python("load_checkpoint"), names)
    assert (names["sr"].shape, names["kernel"].shape) == ((1, 3, 256, 192), (1, 1, 21, 21))

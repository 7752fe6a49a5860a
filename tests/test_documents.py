"""The pages: links lead somewhere, commands name files and options that exist, and Python runs."""

import re
import shlex

import pytest
from conftest import ROOT
from plidenet.archs import NETWORKS
from plidenet.checkpoint import load_checkpoint
from plidenet.config import load_options
from plidenet.data.images import read_image, write_image
from plidenet.evaluation.published import published_methods
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
def test_a_command_names_files_fields_and_arguments_that_exist(run_script, words):
    for word in words:
        if PROGRAM.fullmatch(word) or word.startswith("options/"):
            assert (ROOT / word).is_file(), word
    fields = [word for word in words if FIELD.match(word)]
    for file in (word for word in words if word.startswith("options/")):
        load_options(ROOT / file, fields)
    for place, program in enumerate(words):
        given = {word.partition("=")[0] for word in words[place + 1 :] if re.match("--?[a-z]", word)}
        if PROGRAM.fullmatch(program) and given:
            assert given <= set(re.findall(r"(?<![\w-])--?[a-z]\w*", run_script(program, "--help").out))


README = PAGES[0].read_text(encoding="utf-8")
SETS = ("Set5", "Set14", "BSD100", "Urban100", "Manga109")


@pytest.mark.parametrize("scale", [2, 4])
def test_the_published_rows_of_the_readme_are_those_of_comparisons(scale):
    methods = {one.name: one for one in published_methods(scale, dict.fromkeys(SETS, 1))}
    table = README.partition(f"Gaussian8 x{scale}:\n\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert rows[0][2:] == list(SETS)
    published = [(methods.get(name.removesuffix(", as published")), cells) for name, *cells in rows]
    assert sum(one is not None for one, _ in published) >= 4
    for one, cells in published:
        if one is not None:
            scores = [f"{psnr:.2f} / {ssim:.4f}" for psnr, ssim in map(one.scores.get, SETS)]
            assert cells == [f"{one.parameters:.2f} M", *scores], one.name


def test_the_scores_of_our_weights_are_also_on_their_pages():
    pages = "".join(page.read_text(encoding="utf-8") for page in WEIGHTS)
    ours = "".join(line for line in README.splitlines() if line.startswith("| PL_IDENet"))
    scores = re.findall(r"\d\d\.\d{3} / 0\.\d{4}", ours)
    assert scores and [score for score in scores if score not in pages] == []


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

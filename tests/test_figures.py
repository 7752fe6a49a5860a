"""The README's figures: made of synthetic results through the command line, and their parts alone."""

import base64
import re
import sys
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from conftest import ROOT
from figures_setup import texts, write_table
from plidenet.data.images import write_image
from plidenet.degradation import imresize, isotropic_gaussian
from plidenet.errors import UserError
from plidenet.evaluation.published import published_methods
from plidenet.figures.cost_chart import draw_cost_chart
from plidenet.figures.crops import SIDE, ZOOM, draw_comparison, most_detailed
from plidenet.figures.diagram import draw_pipeline
from plidenet.figures.methods import Method
from plidenet.figures.page import draw_page
from plidenet.figures.results import Folders, read_scene, spread
from plidenet.figures.theme import DARK, LIGHT, THEMES
from plidenet.figures.width_curves import draw_width_curves
from skimage import data

NAMES = ("sig1.8_face", "sig2.6_face", "plain")
SCORES = {"ours": (25.244, 0.7933), "bicubic": (24.343, 0.7640)}
WIDTHS = {"ours": {1.8: 28.71, 2.6: 27.64}, "bicubic": {1.8: 27.92, 2.6: 26.33}}
CHARTS = ("pipeline", "psnr_by_width", "psnr_by_cost", "training_run", "training_longer_run")
LOG = ROOT / "experiments/pretrained/PL_IDENet_x4_setting1.csv"
LOGS = ("run/curves.csv", "longer_run.csv")
FILES = {f"{name}-{theme.name}.svg" for name in CHARTS for theme in THEMES}
FILES |= {f"comparison-{theme.name}.webp" for theme in THEMES} | {"compare.html"}


@pytest.fixture
def folder(tmp_path):
    """Results and a benchmark as test.py and build_benchmark.py leave them."""
    hr = data.astronaut()[:192, 120:320]
    lr = imresize(hr, 1 / 4)
    for name in NAMES:
        write_image(tmp_path / f"benchmark/HR/x4/{name}.png", hr)
        write_image(tmp_path / f"benchmark/LRblur/x4/{name}.png", lr)
        for method, image in (("bicubic", imresize(lr, 4)), ("ours", hr // 2)):
            write_image(tmp_path / f"results/{method}/Set5/{name}.png", image)
    for path, width in (("benchmark/kernel/x4", 1.8), ("results/ours/Set5/kernels", 1.2)):
        (tmp_path / path).mkdir(parents=True)
        np.save(tmp_path / path / "sig1.8_face.npy", isotropic_gaussian(21, width).numpy())
    for method, (psnr, ssim) in SCORES.items():
        rows = [[name, psnr + number, ssim, 0, 0, 0.1] for number, name in enumerate(NAMES)]
        write_table(
            tmp_path / f"results/{method}/Set5.csv", ["image", "psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "s"], rows
        )
        rows = [["Set5", width, 1, value] for width, value in WIDTHS[method].items()] + [["Other", 3, 1, 99]]
        write_table(tmp_path / f"results/{method}/widths.csv", ["dataset", "width", "images", "psnr_y"], rows)
    others = [[one.name, one.source, f"{one.scores['Set14'][0]:.2f}"] for one in published_methods(4, {"Set14": 1})]
    header = ["method", "source", "Set14_psnr_y", "parameters", "multiply_adds"]
    rows = [*([*other, "", ""] for other in others), ["PL_IDENet_E", "measured", "27.06", 4385659, 19_200_000_000]]
    write_table(tmp_path / "results/comparison/table.csv", header, rows)
    curve = [[50, "loss/l1", 0.05], [100, "loss/l1", 0.04], [100, "val/Set5/psnr_y", 27.5]]
    for log in LOGS:
        write_table(tmp_path / log, ["iteration", "name", "value"], curve)
    return tmp_path


@pytest.fixture
def folders(folder):
    return Folders(folder / "results/ours", folder / "results/bicubic", folder / "benchmark", "Set5", 4)


@pytest.fixture
def make_figures(run_script, folder):
    def run(*more, logs=LOGS):
        paths = {"ours": "results/ours", "bicubic": "results/bicubic", "benchmark": "benchmark", "save": "assets"}
        arguments = [word for name, path in paths.items() for word in (f"--{name}", folder / path)]
        curves = ["--curves", *(folder / log for log in logs)] if logs else []
        return run_script("scripts/make_figures.py", *arguments, *curves, "--set", "Set5", *more)

    return run


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.text += text

    def all(self, kind, /, **attributes):
        return [found for tag, found in self.tags if tag == kind and attributes.items() <= found.items()]


def test_one_command_makes_every_figure_and_again_the_same_bytes(make_figures, folder):
    done = make_figures("--images", "sig1.8_face:16,24", "plain")
    assert done.status == 0, done.err
    first = {path.name: path.read_bytes() for path in (folder / "assets").iterdir()}
    assert first.keys() == FILES
    assert all(name in done.out for name in FILES)
    assert make_figures("--images", "sig1.8_face:16,24", "plain").status == 0
    assert {path.name: path.read_bytes() for path in (folder / "assets").iterdir()} == first


def test_what_cannot_be_drawn_is_left_out_and_said(make_figures, folder):
    (folder / "results/ours/widths.csv").unlink()
    done = make_figures("--published", "DIV2KRK", logs=())
    assert done.status == 0, done.err
    names = {path.name for path in (folder / "assets").iterdir()}
    assert names == {name for name in FILES if not name.startswith(("psnr_", "training"))}
    assert "no training curves: give a run's curves.csv with --curves" in done.out
    assert "no PSNR against blur width: at least one of the results has no widths.csv with Set5" in done.out
    assert f"no PSNR against cost: {folder / 'results'} holds no comparison on DIV2KRK x4" in done.out


def test_curves_need_no_results(run_script, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run_script("scripts/make_figures.py", "--curves", LOG, "--save", tmp_path / "out")
    assert done.status == 0, done.err
    assert "no figures of results: no folder results/demo_pretrained_x4" in done.out
    written = {path.name.partition("-")[0] for path in (tmp_path / "out").iterdir()}
    assert written == {"pipeline", f"training_{LOG.stem}"}


@pytest.mark.parametrize(
    ("spoil", "more", "message"),
    [
        ("results/ours", (), "make demo"),
        ("results/bicubic", (), "results/bicubic"),
        ("benchmark", (), "no folder"),
        ("results/ours/Set5.csv", (), "Set5.csv"),
        (None, ("--curves", ROOT / "README.md"), "cannot be read as the curves.csv of a training run"),
        (None, ("--curves", *2 * [LOG]), "two of the logs are of runs called PL_IDENet_x4_setting1"),
        ("benchmark/HR/x4/plain.png", ("--images", "plain"), "plain.png cannot be read"),
        (None, ("--images", "plain:12"), "must be TOP,LEFT"),
        (None, ("--images", "plain:100,100"), "is not inside its 192x200"),
        (None, ("--images", "other"), "other.png"),
        (None, ("--scale", "2"), "x2"),
    ],
)
def test_missing_and_wrong_things_end_in_one_sentence_and_nothing_written(make_figures, folder, spoil, more, message):
    if spoil:
        (folder / spoil).rename(folder / "away")
    done = make_figures(*more)
    assert (done.status, done.err.count("\n")) == (2, 1), done.err
    assert message in done.err
    assert not (folder / "assets").exists()


def test_without_matplotlib_the_extra_is_named(make_figures, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = make_figures()
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "pip install -e '.[figures]'" in done.err
    assert not (folder / "assets").exists()


def test_the_numbers_of_a_scene_are_those_of_the_csv(folders):
    scene = read_scene(folders, "sig2.6_face")
    assert (scene.title, scene.blur) == ("face", "blur width 2.6")
    assert {name: (one.psnr, one.ssim) for name, one in scene.scores.items()} == {
        name: (psnr + 1, ssim) for name, (psnr, ssim) in SCORES.items()
    }
    assert (scene.true_kernel, scene.estimated_kernel) == (None, None)
    assert read_scene(folders, "sig1.8_face").estimated_kernel.shape == (21, 21)
    assert (read_scene(folders, "plain").title, read_scene(folders, "plain").blur) == ("plain", "")


def test_images_without_scores_and_of_other_sizes_are_refused(folders, folder):
    write_image(folder / "results/ours/Set5/plain.png", np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(UserError, match="differs in size from its HR image"):
        read_scene(folders, "plain")
    write_table(folders.ours / "Set5.csv", ["image", "psnr_y", "ssim_y"], [["sig1.8_face", "", 1]])
    with pytest.raises(UserError, match="no number in the column psnr_y"):
        read_scene(folders, "sig1.8_face")
    with pytest.raises(UserError, match=r"has no scores of sig2\.6_face"):
        read_scene(folders, "sig2.6_face")


def test_the_comparison_shows_one_part_of_lr_bicubic_ours_and_hr(folders):
    scene = read_scene(folders, "plain")
    picture = draw_comparison([(scene, (16, 24))], LIGHT)
    assert picture.shape[2] == 4
    opaque = np.flatnonzero(picture[200, :, 3] == 255)
    starts = [opaque[0], *opaque[1:][np.diff(opaque) > 1]]
    assert len(starts) == 4
    top = int(np.flatnonzero(picture[:, 2, 3] == 255)[0])
    lr = cv2.resize(scene.lr, scene.hr.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    for start, image in zip(starts, (lr, scene.bicubic, scene.ours, scene.hr), strict=True):
        panel = picture[top : top + SIDE * ZOOM, start : start + SIDE * ZOOM, :3]
        small = cv2.resize(panel, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(int)
        assert np.abs(small - image[16 : 16 + SIDE, 24 : 24 + SIDE]).mean() < 3


def test_kernels_are_set_in_where_they_are_known(folders):
    with_kernels = draw_comparison([(read_scene(folders, "sig1.8_face"), (0, 0))], LIGHT)
    without = draw_comparison([(read_scene(folders, "sig2.6_face"), (0, 0))], LIGHT)
    differs = (with_kernels != without).any(axis=2)[60 : 40 + SIDE * ZOOM]  # the pictures, without text
    panel = SIDE * ZOOM + 16
    assert [bool(differs[:, i * panel : i * panel + SIDE * ZOOM].any()) for i in range(4)] == [True, False, True, False]


def test_a_part_is_chosen_by_the_hr_image_alone():
    hr = np.full((300, 400, 3), 90, np.uint8)
    hr[130:150, 250:270] = np.random.default_rng(0).integers(0, 255, (20, 20, 3))
    top, left = most_detailed(hr)
    assert top <= 130 <= top + SIDE - 20
    assert left <= 250 <= left + SIDE - 20
    assert most_detailed(hr[:50]) == (0, 0)


def test_names_are_spread_over_a_set():
    assert spread(list("abcdefgh"), 2) == ["c", "g"]
    assert spread(["a"], 2) == ["a"]


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_the_diagram_names_every_part_in_the_themes_colors(theme):
    svg = draw_pipeline(theme)
    words = " ".join(texts(svg))
    parts = "Upsampler|Wiener deconvolution|Kernel estimator|stop-gradient|Kernel embedding|Linear 441 → 128|Refinement"
    for part in (
        *parts.split("|"),
        "LR consistency",
        "generation",
        "interaction",
        "4 Swin blocks",
        "gradient difference",
    ):
        assert part in words
    assert words.count("group") >= 4
    other = DARK if theme is LIGHT else LIGHT
    assert not {other.ink, other.kernel, other.training} & set(re.findall(r"#[0-9a-f]{6}", svg))


def test_no_svg_reads_another_file():
    methods = [Method("A", 28.0, 4.0, 30.0, "a paper")]
    drawn = [draw_width_curves({1: 2.0, 2: 1.0}, {1: 3.0, 2: 2.0}, DARK), draw_cost_chart(methods, 9, "Set5 x4", DARK)]
    for svg in (*drawn, draw_pipeline(DARK)):
        links = re.findall(r'(?:href|src)="([^"]*)"', svg)
        assert all(link.startswith("#") for link in links)
        assert "@import" not in svg
        assert "Date" not in svg and "dc:date" not in svg


def test_the_page_is_one_file_with_a_labelled_slider_for_every_scene(folders):
    scenes = [read_scene(folders, name) for name in ("sig1.8_face", "plain")]
    curves = {theme.name: draw_width_curves(WIDTHS["bicubic"], WIDTHS["ours"], theme) for theme in THEMES}
    page = draw_page(scenes, 4, "a <note>", curves)
    tags = Tags(page)
    assert not re.search(r"https?://(?!www\.w3\.org/)", page)
    for _, attributes in tags.tags:
        for name in ("src", "href", "srcset"):
            assert attributes.get(name, "data:").startswith("data:")
    assert not tags.all("link")
    assert "@import" not in page and "url(" not in page and "fetch(" not in page
    sliders = tags.all("input", type="range")
    assert len(sliders) == 2
    assert all("Line between the two pictures of" in slider["aria-label"] for slider in sliders)
    assert [choice["value"] for choice in tags.all("input", type="radio")] == ["LR", "bicubic", "HR"]
    assert tags.all("html", lang="en")
    assert tags.all("meta", name="viewport")
    assert all("alt" in image for image in tags.all("img"))
    for words in ("bicubic24.340.7640", "ours25.240.7933", "a <note>", "true kernel", "estimated"):
        assert words in tags.text


def test_the_page_shows_the_pictures_themselves(folders):
    scene = read_scene(folders, "plain")
    images = Tags(draw_page([scene], 4, "", {})).all("img")
    shown = {image.get("data-name", "ours"): decode(image["src"]) for image in images}
    np.testing.assert_array_equal(shown["LR"], scene.lr)
    for name, image in (("bicubic", scene.bicubic), ("ours", scene.ours), ("HR", scene.hr)):
        assert np.abs(shown[name].astype(int) - image).mean() < 4, name


def decode(source):
    content = np.frombuffer(base64.b64decode(source.partition("base64,")[2]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(content, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_the_pages_show_every_picture_that_is_there_and_they_are_small():
    named = set()
    for page in (ROOT / "README.md", *(ROOT / "experiments/pretrained").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        targets = re.findall(r'(?:src|srcset)="([^"]+)"|\]\(((?:\.\./)*assets/[^)]+)\)', text)
        named |= {(page.parent / (first or second)).resolve() for first, second in targets}
    there = set((ROOT / "assets").iterdir())
    assert named == there
    assert sum(path.stat().st_size for path in there) < 3e6

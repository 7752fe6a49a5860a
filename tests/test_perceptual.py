"""Perceptual metrics through a stand-in for pyiqa, which need not be installed here: alone, and by test/test.py."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from plidenet.config import load_options
from plidenet.data.images import read_image
from plidenet.errors import UserError
from plidenet.metrics.perceptual import load_perceptual, measure

CPU = torch.device("cpu")
MODES = {"lpips": ("FR", True), "niqe": ("NR", True), "musiq": ("NR", False), "fid": ("NR", True)}


class Model:
    """Mean difference to a reference, or mean, and whatever else pyiqa's models tell."""

    def __init__(self, name, device):
        self.metric_mode, self.lower_better = MODES[name]
        self.device = device
        self.seen = []

    def __call__(self, image, reference=None):
        assert not torch.is_grad_enabled()
        assert (reference is not None) == (self.metric_mode == "FR")
        assert image.dtype == torch.float32
        assert image.min() >= 0
        assert image.max() <= 1
        assert min(image.shape[-2:]) >= 8, "the image is too small"
        self.seen.append(image.shape)
        return (image - (0 if reference is None else reference)).abs().mean().view(1, 1)


@pytest.fixture
def pyiqa(monkeypatch):
    module = SimpleNamespace(list_models=lambda: sorted(MODES), create_metric=Model)
    monkeypatch.setitem(sys.modules, "pyiqa", module)
    return module


def pair(size=20):
    """An image of 200 with a border of 0, two pixels wide, and a reference of 149 with the same border."""
    image, reference = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    image[:, 2:-2, 2:-2], reference[:, 2:-2, 2:-2] = 200, 149
    return image, reference


def test_each_metric_gets_cropped_images_and_a_reference_where_it_needs_one(pyiqa):
    metrics = load_perceptual(["niqe", "lpips", "niqe"], CPU)
    assert [(metric.name, metric.needs_reference, metric.lower_is_better) for metric in metrics] == [
        ("niqe", False, True),
        ("lpips", True, True),
    ]
    values = measure(metrics, *pair(), crop_border=2)
    assert list(values) == ["niqe", "lpips"]
    assert values == pytest.approx({"niqe": 200 / 255, "lpips": 51 / 255})
    assert all(metric.model.seen == [(1, 3, 16, 16)] for metric in metrics)
    assert all(metric.model.device == CPU for metric in metrics)


def test_without_a_border_the_whole_image_is_measured(pyiqa):
    (metric,) = load_perceptual(["musiq"], CPU)
    assert not metric.lower_is_better
    assert measure([metric], *pair(), crop_border=0) == pytest.approx({"musiq": 200 / 255 * (16 / 20) ** 2})


def test_without_a_reference_only_metrics_that_need_none_are_measured(pyiqa):
    metrics = load_perceptual(["lpips", "niqe"], CPU)
    assert list(measure(metrics, pair()[0], None, crop_border=2)) == ["niqe"]


def test_images_made_in_inference_mode_can_be_measured(pyiqa):
    with torch.inference_mode():
        image, reference = pair()
    assert measure(load_perceptual(["lpips"], CPU), image, reference, crop_border=2)


def test_an_image_that_a_metric_cannot_take_is_the_users_to_mend(pyiqa):
    with pytest.raises(UserError, match="niqe cannot measure an image of 6x6: the image is too small"):
        measure(load_perceptual(["niqe"], CPU), *pair(10), crop_border=2)


def test_without_pyiqa_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(UserError, match=r"lpips needs the package pyiqa, .* pip install -e '\.\[perceptual\]'"):
        load_perceptual(["lpips"], CPU)
    assert load_perceptual([], CPU) == [], "and nothing is missed where no metric is asked for"


def test_a_package_that_pyiqa_lacks_is_named_as_python_does(monkeypatch, tmp_path):
    (tmp_path / "pyiqa.py").write_text("import a_package_that_is_missing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "pyiqa", raising=False)
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_missing"):
        load_perceptual(["lpips"], CPU)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("lpip", r"test\.perceptual: unknown metric 'lpip'; did you mean 'lpips'\? Known: lpips, musiq, niqe$"),
        ("fid", "fid compares whole sets, not images"),
    ],
)
def test_a_metric_that_cannot_be_had_is_refused(pyiqa, name, message):
    with pytest.raises(UserError, match=message):
        load_perceptual([name], CPU)


def test_weights_that_cannot_be_fetched_are_reported(pyiqa):
    def offline(name, device):
        raise ConnectionError("no route to host")

    pyiqa.create_metric = offline
    with pytest.raises(UserError, match="the weights of lpips cannot be loaded: no route to host"):
        load_perceptual(["lpips"], CPU)


def test_the_option_file_names_the_metrics(tmp_path):
    file = tmp_path / "options.yml"
    start = "name: a\nscale: 4\ndatasets: {}\nnetwork_G: {which_model_G: Bicubic, setting: {}}\n"
    file.write_text(start + "test: {perceptual: [lpips, niqe]}\n")
    assert load_options(file).test.perceptual == ("lpips", "niqe")
    assert load_options(file, ["test.perceptual="]).test.perceptual == ()


def lr_alone(bench):
    return {"name": "Alone", "mode": "LQ", "dataroot_LQ": str(bench.benchmark / "LRblur/x2"), "n_workers": 0}


def inner(path, border):
    return read_image(path)[border:-border, border:-border].astype(float) / 255


def test_testing_tabulates_the_metrics_beside_psnr_and_ssim(pyiqa, bench, run_script):
    file = bench.options("ours", sets=("Set5", "Plain"), test={"perceptual": ["lpips", "musiq"]}, crop_border=3)
    ended = run_script("test/test.py", "-opt", file)
    assert ended.status == 0, ended.err
    means = {(line["dataset"], line["metric"]): line for line in bench.table("ours/perceptual.csv")}
    assert list(means) == [(name, metric) for name in ("Set5", "Plain") for metric in ("lpips", "musiq")]
    assert [line["better"] for line in means.values()] == ["lower", "higher"] * 2
    for name in ("Set5", "Plain"):
        images = bench.table(f"ours/{name}.csv")
        assert list(images[0])[-3:] == ["seconds", "lpips", "musiq"]
        for line in images:
            restored = inner(bench.folder / f"results/ours/{name}/{line['image']}.png", 3)
            hr = inner(bench.benchmark / f"HR/x2/{line['image']}.png", 3)
            assert float(line["lpips"]) == pytest.approx(np.abs(restored - hr).mean(), abs=6e-5)
            assert float(line["musiq"]) == pytest.approx(restored.mean(), abs=6e-5)
        for metric in ("lpips", "musiq"):
            expected = np.mean([float(line[metric]) for line in images])
            assert float(means[name, metric]["mean"]) == pytest.approx(expected, abs=1e-4)
            assert means[name, metric]["images"] == "4"


def test_the_table_of_the_metrics_is_printed_and_says_what_is_better_and_what_is_cropped(pyiqa, bench, run_script):
    file = bench.options("ours", test={"perceptual": ["musiq", "lpips"]}, crop_border=3)
    ended = run_script("test/test.py", "-opt", file)
    table = bench.text("ours/perceptual.md")
    assert table in ended.out
    header = [cell.strip() for cell in table.splitlines()[0].strip("|").split("|")]
    assert header == ["dataset", "images", "musiq ↑", "lpips ↓"]
    assert "↓ lower is better, ↑ higher is better" in table
    assert "3 pixels cropped from each side" in table


def test_lr_images_alone_are_measured_by_the_metrics_that_need_no_reference(pyiqa, bench, run_script):
    datasets = {"test1": bench.section("Set5"), "test2": lr_alone(bench)}
    ended = run_script(
        "test/test.py", "-opt", bench.options("ours", datasets=datasets, test={"perceptual": ["lpips", "niqe"]})
    )
    assert ended.status == 0, ended.err
    images = bench.table("ours/Alone.csv")
    assert [list(line) for line in images] == [["image", "niqe"]] * 4
    assert [line["niqe"] for line in images] == [line["niqe"] for line in bench.table("ours/Set5.csv")]
    (alone,) = [line for line in bench.text("ours/perceptual.md").splitlines() if "Alone" in line]
    assert [cell.strip() for cell in alone.strip("|").split("|")][:3] == ["Alone", "4", "\u2013"]
    assert [line["dataset"] for line in bench.table("ours/table.csv")] == ["Set5"]
    assert "Alone" not in bench.text("ours/table.md")


@pytest.mark.parametrize(("metric", "measured"), [("niqe", True), ("lpips", False)])
def test_without_any_hr_image_there_is_a_table_where_a_metric_needs_none(pyiqa, bench, run_script, metric, measured):
    file = bench.options("ours", datasets={"test1": lr_alone(bench)}, test={"perceptual": [metric]})
    ended = run_script("test/test.py", "-opt", file)
    assert ended.status == 0, ended.err
    written = {path.name for path in (bench.folder / "results/ours").iterdir()}
    assert written == {".lock", "Alone", *(("Alone.csv", "perceptual.csv", "perceptual.md") if measured else ())}
    assert ("Nothing was measured" in ended.out) == (not measured)
    compared = run_script("test/test.py", "--compare", file)
    assert compared.status == 0 and "Nothing was measured" in compared.out, "what is compared are PSNR and SSIM"


def test_metrics_are_loaded_once_and_before_any_image_is_restored(pyiqa, bench, run_script):
    made = []

    def create(name, device):
        assert not (bench.folder / "results").exists()
        made.append(name)
        return Model(name, device)

    pyiqa.create_metric = create
    file = bench.options("ours", sets=("Set5", "Plain"), test={"perceptual": ["lpips", "niqe"]})
    assert run_script("test/test.py", "-opt", file).status == 0
    assert made == ["lpips", "niqe"]


@pytest.mark.parametrize("first", ["-opt", "--compare"])
def test_without_pyiqa_testing_ends_at_once_with_one_line_and_status_2(bench, run_script, monkeypatch, first):
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    ended = run_script("test/test.py", first, bench.options("ours", test={"perceptual": ["lpips"]}))
    assert ended.status == 2
    assert ended.err.startswith("error: test.perceptual: lpips needs the package pyiqa") and ended.err.count("\n") == 1
    assert not (bench.folder / "results").exists()

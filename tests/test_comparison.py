"""test/test.py --compare: several networks and published ones in one table; notes and kernel widths beneath it."""

import csv
import hashlib
import json
import re
from statistics import fmean, median

import pytest
from conftest import ROOT
from plidenet.config import DatasetOptions
from plidenet.degradation import gaussian8_sigmas
from plidenet.errors import UserError
from plidenet.evaluation.comparison import published_row
from plidenet.evaluation.conditions import find_conditions
from plidenet.evaluation.markup import NONE, latex
from plidenet.evaluation.published import published_methods
from testing_setup import BICUBIC, LEARNED, Bench, make_benchmark

COSTS = ["parameters", "multiply_adds", "seconds", "peak_memory"]
METRICS = ["psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb"]


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    return make_benchmark(tmp_path_factory.mktemp("benchmark"), gaussian8_sigmas(2))


@pytest.fixture
def options(bench, weights):
    """The option file of a small PL_IDENet."""
    return bench.options("ours", LEARNED, path={"pretrain_model_G": str(weights)})


def compare(run_script, *arguments):
    ended = run_script("test/test.py", "--compare", *arguments, "test.save_images=false")
    assert ended.status == 0, ended.err
    return ended


def markdown_rows(text):
    """The first table of a page as lists of cells."""
    lines = text.split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_measured_and_published_methods_stand_in_one_table(bench, options, run_script):
    ended = compare(run_script, bench.options("bicubic", BICUBIC, ("Set5", "Plain")), options)
    text = bench.text("comparison/table.md")
    assert text in ended.out
    header, _, *rows = markdown_rows(text)
    assert header[:4] == ["method", "source", "Set5", "Plain"]
    assert ["PL-IDENet", "TIP 2024 Table I", "37.22/0.9524", "\u2013", "4.30"] in [row[:5] for row in rows]
    assert ["KDSR-M"] not in [row[:1] for row in rows], "which has no x2 scores"
    assert [row[:2] for row in rows[-2:]] == [["Bicubic", "measured"], ["PL_IDENet", "measured"]]
    assert "interpolation" not in {row[0] for row in rows}
    lines = bench.table("comparison/table.csv")
    sets = [f"{name}_{metric}" for name in ("Set5", "Plain") for metric in METRICS]
    assert list(lines[0]) == ["method", "source", *sets, *COSTS]
    assert [line["method"] for line in lines] == [row[0] for row in rows]
    (theirs,) = (line for line in lines if line["method"] == "PL-IDENet")
    assert [theirs[f"Set5_{metric}"] for metric in METRICS] == ["37.22", "0.9524", "", ""]
    assert [theirs[cost] for cost in COSTS] == ["4300000", "", "", ""]


def test_published_costs_are_told_in_millions_and_billions_and_written_in_full():
    (method,) = (one for one in published_methods(4, {"Set5": 1}) if one.name == "PL-IDENet")
    row = published_row(method, ["Set5"])
    assert row.cells == ["PL-IDENet", "TIP 2024 Table I", "31.92/0.8860", "4.30", "29.46", NONE, NONE]
    assert row.csv[-4:] == ["4300000", "29460000000", "", ""]


def test_each_measured_row_agrees_with_the_networks_own_tables(bench, options, run_script, weights):
    compare(run_script, bench.options("bicubic"), options)
    for line, name in zip(bench.table("comparison/table.csv")[-2:], ("bicubic", "ours"), strict=True):
        (own,) = bench.table(f"{name}/table.csv")
        assert {metric: line[f"Set5_{metric}"] for metric in METRICS} == {metric: own[metric] for metric in METRICS}
        seconds = [float(image["seconds"]) for image in bench.table(f"{name}/Set5.csv")]
        assert float(line["seconds"]) == pytest.approx(median(seconds), abs=6e-4)
    place, digest = "/".join(weights.parts[-3:]), hashlib.sha256(weights.read_bytes()).hexdigest()
    line = f"- PL_IDENet: weights {place}, sha256 {digest}."
    assert line in bench.text("ours/table.md") and line in bench.text("comparison/table.md")
    assert "sha256" not in bench.text("bicubic/table.md")


def test_size_and_arithmetic_are_those_of_the_network(bench, options, run_script, tiny_network):
    from plidenet import complexity

    compare(run_script, bench.options("bicubic"), options)
    bicubic, ours = bench.table("comparison/table.csv")[-2:]
    expected = complexity.count(tiny_network(scale=2), (64, 64))
    assert bicubic["parameters"] == "0"
    assert int(ours["parameters"]) == expected.parameters
    assert int(ours["multiply_adds"]) == expected.multiply_adds
    assert int(ours["peak_memory"]) > int(bicubic["peak_memory"])


def test_the_notes_tell_degradation_crop_colour_and_widths(bench, run_script):
    compare(run_script, bench.options("bicubic", BICUBIC, ("Set5", "Plain")))
    text = bench.text("comparison/table.md")
    assert "at scale 2, on the luma of BT.601" in text
    assert "2 pixels cropped from each side" in text
    assert "Set5: 16 images; Gaussian8: isotropic Gaussian kernels 21x21, widths 0.8, 0.9143, 1.0286" in text
    assert "Set5: NOT THE WHOLE SET, 16 images; theirs are 40." in text and "Plain: NOT" not in text
    assert "Plain: 16 images; MATLAB's bicubic downsampling without blur: not a blind benchmark" in text
    assert "bicubic interpolation is left out: that is on full-range luma without crop" in text
    assert "Set5: 16 images; Gaussian8" in bench.text("bicubic/table.md")


def test_the_latex_table_has_the_rows_of_the_markdown(bench, options, run_script):
    compare(run_script, bench.options("bicubic"), options)
    tex = bench.text("comparison/table.tex")
    rows = [re.sub(r" *\\\\$", "", line).split(" & ") for line in tex.splitlines() if " & " in line]
    plain = [[cell.replace("\\_", "_").replace("--", NONE) for cell in row] for row in rows]
    header, _, *expected = markdown_rows(bench.text("comparison/table.md"))
    assert plain == [header, *expected] and NONE not in tex
    assert tex.startswith("\\begin{tabular}{ll" + "r" * (len(header) - 2) + "}")
    assert all(line.startswith("%") for line in tex.split("\\end{tabular}\n")[1].splitlines())


def test_latex_escapes_what_it_would_take_for_commands():
    assert r"50\%\_\& & \textbackslash{}x \\" in latex(["50%_&", "\\x"], [], [])
    assert r"\textasciitilde{}\textasciicircum{} & \#\$\{\} & -- \\" in latex(["~^", "#${}", NONE], [], [])


def test_scores_by_kernel_width_average_to_those_of_the_set(bench, options, run_script):
    ended = compare(run_script, bench.options("bicubic", BICUBIC, ("Set5", "Plain")), options)
    lines = bench.table("comparison/widths.csv")
    assert {(line["method"], line["dataset"]) for line in lines} == {("Bicubic", "Set5"), ("PL_IDENet", "Set5")}
    assert [line["width"] for line in lines[:8]] == [f"{width:g}" for width in map(rounded, gaussian8_sigmas(2))]
    assert {line["images"] for line in lines} == {"2"}
    (own, _) = bench.table("bicubic/table.csv")
    assert fmean(float(line["psnr_y"]) for line in lines[:8]) == pytest.approx(float(own["psnr_y"]), abs=1e-3)
    assert bench.text("comparison/widths.md") in ended.out
    header, _, row = markdown_rows(bench.text("bicubic/widths.md"))
    assert header == ["dataset", *(line["width"] for line in lines[:8])]
    assert row[1] == f"{float(lines[0]['psnr_y']):.2f}/{lines[0]['ssim_y']}"


def rounded(width):
    return round(width, 4)


def test_other_widths_than_the_benchmarks_get_no_published_rows_beside(tmp_path, run_script):
    bench = Bench(tmp_path, make_benchmark(tmp_path, [0.8, 1.2]))
    compare(run_script, bench.options("bicubic"))
    assert [line["method"] for line in bench.table("comparison/table.csv")] == ["Bicubic"]
    assert "There are no published scores on these sets with these degradations" in bench.text("comparison/table.md")


def test_the_comparison_goes_where_output_says_and_overrides_hold_for_all(bench, options, run_script):
    file = bench.options("bicubic")
    compare(run_script, file, options, "crop_border=5", "--output", bench.folder / "there")
    assert not (bench.folder / "results/comparison").exists()
    names = {"table.csv", "table.md", "table.tex", "widths.csv", "widths.md"}
    assert {path.name for path in (bench.folder / "there").iterdir()} == names
    assert {bench.table(f"{name}/table.csv")[0]["crop_border"] for name in ("bicubic", "ours")} == {"5"}
    sources = {line["source"] for line in bench.table("../there/table.csv")}
    assert sources == {"measured"}, "published scores are of another crop"


def test_one_network_twice_is_told_apart_by_the_option_files_names(bench, run_script):
    compare(run_script, bench.options("one"), bench.options("two", sets=("Plain",)))
    assert [line["method"] for line in bench.table("comparison/table.csv")][-2:] == ["Bicubic (one)", "Bicubic (two)"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"scale": 4}, "a and b cannot be compared: scale 2 and 4"), ({"crop_border": 0}, "crop 2 and 0")],
)
def test_what_cannot_be_compared_ends_with_one_line_before_any_work(bench, run_script, changes, message):
    lr = {"name": "Set5", "mode": "LQ", "dataroot_LQ": str(bench.benchmark / "LRblur/x2"), "n_workers": 0}
    network = {"which_model_G": "Bicubic", "setting": {}}
    files = [bench.options(name, network, datasets={"test1": lr}, **more) for name, more in (("a", {}), ("b", changes))]
    ended = run_script("test/test.py", "--compare", *files)
    assert ended.status == 2
    assert message in ended.err and ended.err.startswith("error: ") and ended.err.count("\n") == 1
    assert not (bench.folder / "results").exists()


def test_two_option_files_of_one_name_are_refused(bench, run_script):
    ended = run_script("test/test.py", "--compare", bench.options("a"), bench.options("a", crop_border=2))
    assert ended.status == 2
    assert "2 option files call their results a: give each a name of its own" in ended.err


def test_sets_of_one_name_must_be_the_same_data(bench, run_script):
    file = bench.options("b", datasets={"test1": bench.section("Plain") | {"name": "Set5"}})
    ended = run_script("test/test.py", "--compare", bench.options("a"), file)
    assert ended.status == 2
    assert "the set Set5 is not the same in a and b: its folders differ" in ended.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one option file after -opt, or several after --compare"),
        (["-opt", "a.yml", "--compare", "b.yml"], "give one option file after -opt, or several after --compare"),
        (["-opt", "a.yml", "--output", "there"], "--output is for --compare"),
    ],
)
def test_arguments_that_do_not_go_together_are_refused(run_script, arguments, message):
    ended = run_script("test/test.py", *arguments)
    assert ended.status == 2
    assert message in ended.err


def lq(root, name="any"):
    return DatasetOptions(name=name, mode="LQ", dataroot_LQ=root)


@pytest.mark.parametrize(
    ("keys", "setting", "widths", "text"),
    [
        ([f"sig{w}_a" for w in (1.8, 2.0, 2.2, 2.4000000000000004, 2.6, 2.8, 3.0, 3.2)], 1, 8, "by the images' names"),
        (["sig1.8_a", "sig2.0_a"], None, 2, "widths 1.8, 2 HR pixels"),
        (["a", "sig2.0_a"], None, 0, "degradation not known"),
    ],
)
def test_without_a_manifest_the_names_tell_the_widths(tmp_path, keys, setting, widths, text):
    found = find_conditions(lq(tmp_path / "LR_x4.lmdb"), keys, 4)
    assert (found.setting, len(found.widths)) == (setting, widths)
    assert text in found.text


@pytest.mark.parametrize(("ksize", "setting"), [(21, 1), (11, None)])
def test_kernels_of_another_size_are_not_gaussian8(tmp_path, ksize, setting):
    made = {"setting": 1, "ksize": ksize, "sigmas": gaussian8_sigmas(2)}
    (tmp_path / "manifest.json").write_text(json.dumps({"x2": made}))
    found = find_conditions(lq(tmp_path / "LRblur/x2"), ["a"], 2)
    assert found.setting == setting
    assert found.text.startswith("Gaussian8: ") == (setting == 1)
    assert f"kernels {ksize}x{ksize}, widths 0.8" in found.text


@pytest.mark.parametrize(
    ("made", "text"),
    [
        ({}, "MATLAB's bicubic downsampling"),
        ({"downsample": "bicubic"}, "MATLAB's bicubic downsampling"),
        ({"downsample": "direct", "seed": 3}, "direct downsampling that keeps one pixel of every 2x2"),
    ],
)
def test_own_random_kernels_come_with_their_downsampling_and_without_published_scores(tmp_path, made, text):
    (tmp_path / "manifest.json").write_text(json.dumps({"x2": {"setting": 2, "ksize": 21, **made}}))
    found = find_conditions(lq(tmp_path / "LRblur/x2", "DIV2KRK"), ["a"], 2)
    assert found.setting is None
    assert found.text == (
        f"random anisotropic Gaussian kernels{' of seed 3,' * ('seed' in made)} 21x21 (says manifest.json); "
        f"blur with reflect padding, {text}, rounded to 8 bits"
    )


def test_the_published_set_of_random_kernels_is_known_by_its_name(tmp_path):
    found = find_conditions(lq(tmp_path / "lr_x4", "DIV2KRK"), ["im_1"], 4)
    assert (found.setting, found.bicubic) == (2, False)


def test_a_damaged_manifest_is_named(tmp_path):
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(UserError, match=r"manifest\.json is damaged"):
        find_conditions(lq(tmp_path / "LRblur_x4.lmdb"), ["a"], 4)


@pytest.mark.parametrize("key", ["a", "sig1.8_a"])
def test_a_manifest_says_nothing_of_other_images_beside_those_it_is_of(tmp_path, key):
    (tmp_path / "manifest.json").write_text("of another program's")
    found = find_conditions(lq(tmp_path / "LRblur_noise_x4"), [key], 4)
    assert (found.setting, found.widths) == (None, ())
    assert found.text == "degradation not known: manifest.json is of the images in LRblur, not LRblur_noise"


def test_published_scores_are_those_of_scale_setting_and_set():
    methods = {method.name: method for method in published_methods(4, {"Set5": 1, "Set14": None})}
    assert methods["KDSR-M"].scores == {"Set5": (32.02, 0.8892)}
    assert (methods["KDSR-M"].parameters, methods["KDSR-M"].multiply_adds) == (5.80, 16.13)
    assert methods["KDSR-L"].source == "KDSR ICLR 2023"
    assert methods["DCLS"].source == "TIP 2024 Table I"
    assert "Bicubic" not in methods
    assert published_methods(4, {"Set5": None, "mine": 1}) == []
    assert {method.source for method in published_methods(2, {"DIV2KRK": 2})} == {"TIP 2024 Table II"}


def test_every_published_score_has_its_source_and_is_listed_once():
    with (ROOT / "codes/plidenet/evaluation/published_results.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert all(line["source"] and float(line["psnr_y"]) > 20 and 0 < float(line["ssim_y"]) < 1 for line in lines)
    keys = [tuple(line[name] for name in ("method", "setting", "scale", "dataset", "source")) for line in lines]
    assert len(set(keys)) == len(keys)

"""PSNR against blur width and against cost: where the numbers come from, and where their names stand."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
from figures_setup import texts, write_table
from plidenet.errors import UserError
from plidenet.evaluation.comparison import MEASURED
from plidenet.figures.cost_chart import draw_cost_chart
from plidenet.figures.labels import place_labels
from plidenet.figures.methods import Method, read_measured, read_published
from plidenet.figures.results import psnr_by_width, read_csv
from plidenet.figures.theme import LIGHT
from plidenet.figures.training_curves import draw_training_curves, read_curves, run_name, stretch_means
from plidenet.figures.width_curves import draw_width_curves


def test_the_curves_run_through_the_csvs_numbers(tmp_path):
    write_table(
        tmp_path / "widths.csv", ["dataset", "width", "psnr_y"], [["A", 2.6, 27.64], ["A", 1.8, 28.71], ["B", 3, 9]]
    )
    ours = psnr_by_width(tmp_path, "A")
    assert list(ours.items()) == [(1.8, 28.71), (2.6, 27.64)]
    assert psnr_by_width(tmp_path / "missing", "A") == {}
    svg = draw_width_curves({1.8: 27.92, 2.6: 26.33}, ours, LIGHT)
    labels = [re.sub(r"\s+", " ", text) for text in texts(svg)]
    assert {"1.8", "2.6", "27.9", "bicubic 26.3", "28.7", "ours 27.6"} <= set(labels)


def test_the_curves_of_training_end_at_the_last_validation(tmp_path):
    losses = [[iteration, "loss/l1", 1 / iteration] for iteration in range(50, 5000, 50)]
    psnr = [[2000, "val/Set5/psnr_y", 27.04], [4000, "val/Set5/psnr_y", 28.15]]
    write_table(tmp_path / "curves.csv", ["iteration", "name", "value"], losses + psnr)
    curves = read_curves(tmp_path / "curves.csv")
    assert curves["val/Set5/psnr_y"] == {2000: 27.04, 4000: 28.15}
    assert "Set5 28.15" in [re.sub(r"\s+", " ", text) for text in texts(draw_training_curves(curves, LIGHT))]
    with pytest.raises(UserError, match="no loss/l1"):
        draw_training_curves({"lr": {1: 1e-4}}, LIGHT)


def test_a_table_that_cannot_be_decoded_is_refused(tmp_path):
    (tmp_path / "table.csv").write_bytes(b"image,psnr_y\n\xff\xfe,1\n")
    with pytest.raises(UserError, match=r"table\.csv is damaged"):
        read_csv(tmp_path / "table.csv")


def test_without_validation_the_losses_stand_alone_and_break_where_there_were_none():
    total = dict.fromkeys(range(10, 100, 10), 1.0)
    losses = {iteration: 0.04 for iteration in total if not 40 <= iteration <= 60}
    svg = draw_training_curves({"loss/l1": losses, "loss/total": total}, LIGHT)
    assert ("iteration" in texts(svg), "PSNR on Y (dB)" in texts(svg)) == (True, False)
    line = re.search(r'id="curve-loss">\s*<path d="([^"]*)"', svg)[1]
    assert (line.count("M"), line.count("L")) == (2, len(losses) - 2)


def test_a_curve_is_drawn_as_the_means_of_its_stretches():
    curve = {10: 1.0, 20: 3.0, 30: 5.0, 40: 9.0}
    assert stretch_means(curve, stretch=2) == {15: 2.0, 35: 7.0}
    assert stretch_means(curve, stretch=1, most=2) == {15: 2.0, 35: 7.0}
    assert stretch_means(curve, stretch=1) == curve
    assert stretch_means(curve, stretch=6) == {25: 4.5}
    gap = stretch_means(curve | {20: math.nan, 50: math.nan, 60: math.nan}, stretch=3)
    assert (gap[20], math.isnan(gap[50])) == (3.0, True)


@pytest.mark.parametrize("path", ["experiments/PL_IDENet_x4/curves.csv", "pretrained/PL_IDENet_x4.csv"])
def test_a_log_is_called_by_its_run(path):
    assert run_name(Path(path)) == "PL_IDENet_x4"


def test_published_methods_come_with_their_sources_numbers():
    by_name = {method.name: method for method in read_published(4, "Set14")}
    paper = by_name["PL-IDENet"]
    assert (paper.psnr, paper.parameters, paper.multiply_adds) == (28.34, 4.30, 29.46)
    assert by_name["KDSR-L"].multiply_adds is None
    assert "CARN" not in by_name, "it has a score but no cost"
    assert read_published(3, "Set14") == []


def test_measured_methods_appear_once_a_table_of_that_benchmark_exists(tmp_path):
    published = read_published(4, "Set14")
    header = ["method", "source", "Set14_psnr_y", "parameters", "multiply_adds"]
    rows = {(one.name, one.source): [one.name, one.source, f"{one.psnr:.2f}", "", ""] for one in published}
    for name, psnr in (("CARN", "24.62"), ("Bicubic+ZSSR", "24.78")):
        rows[name, ""] = [name, "TIP 2024 Table I", psnr, "", ""]
    ours = ["PL_IDENet_E", "measured", "28.511", 4385659, 19_200_000_000]
    bicubic = ["Bicubic", "measured", "24.298", 0, 15_728_640]
    write_table(tmp_path / "demo/table.csv", header, [ours])  # no published rows: other LR images
    write_table(tmp_path / "single/table.csv", ["dataset", "images", "psnr_y"], [["Set14", 8, 28]])
    assert read_measured(tmp_path, 4, "Set14") == []
    write_table(tmp_path / "setting1/table.csv", header, [*rows.values(), bicubic, ours])
    assert read_measured(tmp_path, 2, "Set14") == [], "the published rows are those of x4"
    (measured,) = read_measured(tmp_path, 4, "Set14")
    assert (measured.name, measured.psnr, measured.measured) == ("PL_IDENet_E", 28.511, True)
    assert measured.parameters == pytest.approx(4.385659)
    assert measured.multiply_adds == pytest.approx(19.2)
    svg = draw_cost_chart([*published, measured], 244.4, "Set14 x4", LIGHT)
    assert texts(svg).count("PL_IDENet_E") == 2
    assert any("Filled: measured by this project" in text for text in texts(svg))


def test_the_cost_chart_says_what_it_does_not_show():
    words = texts(draw_cost_chart(read_published(4, "Set14"), 244.4, "Set14 x4", LIGHT))
    note = " ".join(words)
    assert "Circles: as published (" in note
    assert "Filled" not in note
    assert "Below the axis: IPT 24.84 dB, SwinIR 24.88 dB." in note
    assert "PL-IDENet, counted: 244 G" in words
    assert words.count("DCLS") == 2
    assert words.count("KDSR-L") == 1, "no multiply-adds are published"
    no_arithmetic = " ".join(texts(draw_cost_chart(read_published(2, "Set14"), 1, "Set14 x2", LIGHT)))
    assert "multiply-adds" not in no_arithmetic
    ours = Method("PL_IDENet_E", 27.06, 4.39, 19.2, MEASURED)
    assert "as published" not in " ".join(texts(draw_cost_chart([ours], 244.4, "Set14 x4", LIGHT)))


def test_labels_keep_clear_of_points_and_of_each_other():
    generator = np.random.default_rng(0)
    points = [tuple(point) for point in generator.uniform(40, 360, (9, 2))]
    boxes = place_labels(points, [(40, 12)] * len(points), (0, 0, 400, 400))
    for number, (left, bottom, right, top) in enumerate(boxes):
        assert min(left, bottom) >= 0 and max(right, top) <= 400
        assert not any(left < x < right and bottom < y < top for x, y in points)
        for other in boxes[:number]:
            assert right <= other[0] or other[2] <= left or top <= other[1] or other[3] <= bottom
    (box,) = place_labels([(20, 20)], [(40, 12)], (0, 0, 400, 400), [(20, 18, 90, 22)])
    assert box[1] >= 22 or box[3] <= 18

"""PSNR, SSIM and luma against scikit-image and stored values; evaluation and its tables."""

import csv
import math

import numpy as np
import pytest
import torch
from plidenet.errors import UserError
from plidenet.evaluation.evaluator import evaluate, restore, score_restored
from plidenet.evaluation.measurement import ImageResult
from plidenet.evaluation.tables import mean_score, write_image_scores, write_score_table
from plidenet.metrics import Score, psnr, rgb_to_y, score, ssim
from skimage import color, data
from torch import nn

PHOTOGRAPHS = {"astronaut": data.astronaut, "chelsea": data.chelsea, "coffee": data.coffee}
CPU = torch.device("cpu")


def pair(name="chelsea", size=(60, 71)):
    """A photograph and the same one, moved by a pixel and a little brighter in green."""
    photograph = PHOTOGRAPHS[name]()[100 : 101 + size[0], 100 : 101 + size[1]]
    reference, image = photograph[1:, 1:], photograph[1:, :-1].copy()
    image[..., 1] = np.minimum(image[..., 1].astype(int) + 3, 255)
    return image, reference.copy()


def channels_first(image):
    return torch.from_numpy(image).permute(2, 0, 1)


# Stored from scikit-image 0.26, on luma and colors in float64; to be met to 0.001 dB and 0.00001.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("astronaut", Score(psnr_y=24.8084, ssim_y=0.827514, psnr_rgb=23.2774, ssim_rgb=0.793836)),
        ("chelsea", Score(psnr_y=29.2426, ssim_y=0.793630, psnr_rgb=27.8696, ssim_rgb=0.772822)),
        ("coffee", Score(psnr_y=25.9982, ssim_y=0.803481, psnr_rgb=24.4984, ssim_rgb=0.774647)),
    ],
)
def test_scores_of_photographs_are_the_stored_ones(name, expected):
    photograph = PHOTOGRAPHS[name]()[:, :320]
    measured = score(np.roll(photograph, 1, axis=1), photograph, crop_border=4)
    assert measured.psnr_y == pytest.approx(expected.psnr_y, abs=1e-3)
    assert measured.psnr_rgb == pytest.approx(expected.psnr_rgb, abs=1e-3)
    assert measured.ssim_y == pytest.approx(expected.ssim_y, abs=1e-5)
    assert measured.ssim_rgb == pytest.approx(expected.ssim_rgb, abs=1e-5)


def test_a_constant_error_gives_the_psnr_of_the_formula():
    reference = np.full((20, 20, 3), 100, np.uint8)
    assert psnr(reference + 5, reference, color="rgb") == pytest.approx(20 * math.log10(255 / 5))
    assert psnr(reference + 5, reference) == pytest.approx(20 * math.log10(255 / (5 * 219 / 255)))
    assert psnr(reference - 5, reference, color="rgb") == pytest.approx(20 * math.log10(255 / 5)), "uint8 wraps around"


def test_ssim_of_constant_images_is_the_luminance_term():
    image, reference = np.full((11, 11, 3), 50.0), np.full((11, 11, 3), 100.0)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 50 * 100 + c1) / (50**2 + 100**2 + c1)
    assert ssim(image, reference, color="rgb") == pytest.approx(expected, abs=1e-9)


def test_errors_within_the_border_are_not_seen():
    image, reference = pair()
    expected = score(image, reference, 3)
    for region in (np.s_[:3], np.s_[-3:], np.s_[:, :3], np.s_[:, -3:]):
        image[region] = 255 - image[region]
    assert score(image, reference, 3) == expected
    assert psnr(image, reference, 2) < expected.psnr_y - 1
    assert psnr(image, reference) == psnr(image, reference, 0) != psnr(image, reference, 1)


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_score_agrees_with_the_single_measures(name):
    image, reference = pair(name)
    expected = [measure(image, reference, 2, space) for space in ("y", "rgb") for measure in (psnr, ssim)]
    measured = score(image, reference, 2)
    assert [measured.psnr_y, measured.ssim_y, measured.psnr_rgb, measured.ssim_rgb] == pytest.approx(
        expected, abs=1e-12
    )


def test_arrays_and_tensors_of_any_dtype_score_alike():
    image, reference = pair()
    expected = score(image, reference, 4)
    for dtype in (torch.uint8, torch.int32, torch.float32, torch.float64):
        tensors = [channels_first(picture).to(dtype) for picture in (image, reference)]
        assert score(*tensors, 4) == expected
    assert score(image.astype(np.float32), reference.astype(np.float32), 4) == expected
    assert score(image[::-1, ::-1], reference[::-1, ::-1], 4).psnr_y == pytest.approx(expected.psnr_y)


def test_identical_images_score_infinity_and_one():
    image, _ = pair()
    measured = score(image, image.copy(), 4)
    assert measured.psnr_y == measured.psnr_rgb == math.inf
    assert measured.ssim_y == pytest.approx(1, abs=1e-12)
    assert measured.ssim_rgb == pytest.approx(1, abs=1e-12)


def test_gray_images_count_as_three_equal_channels():
    image, reference = (picture[..., 0] for picture in pair())
    colored = [np.repeat(picture[..., None], 3, axis=2) for picture in (image, reference)]
    expected = score(*colored, 2)
    assert score(image, reference, 2) == expected
    assert score(torch.from_numpy(image.copy()), torch.from_numpy(reference.copy()), 2) == expected
    assert expected.psnr_rgb == pytest.approx(psnr(*colored, 2, "rgb"))
    assert expected.psnr_y - expected.psnr_rgb == pytest.approx(20 * math.log10(255 / 219))


def test_luma_is_that_of_the_standard_and_is_not_rounded():
    corners = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    expected = [16, 235, 81.481, 144.553, 40.966]
    np.testing.assert_allclose(rgb_to_y(corners)[0], expected, atol=1e-12)
    np.testing.assert_allclose(rgb_to_y(channels_first(corners))[0], expected, atol=1e-12)
    image, _ = pair()
    np.testing.assert_allclose(rgb_to_y(image), color.rgb2ycbcr(image)[..., 0], atol=1e-10)
    assert rgb_to_y(image).dtype == np.float64
    assert rgb_to_y(channels_first(image)).dtype == torch.float64


@pytest.mark.parametrize("measure", [psnr, ssim, score])
def test_images_that_cannot_be_compared_are_refused(measure):
    image = np.zeros((20, 24, 3), np.uint8)
    with pytest.raises(ValueError, match=r"different shapes: \(20, 24, 3\) and \(20, 23, 3\)"):
        measure(image, image[:, 1:], crop_border=0)
    with pytest.raises(ValueError, match="cropping 5 pixels from 20x24 leaves less than 11x11"):
        measure(image, image, crop_border=5)
    with pytest.raises(ValueError, match="cropping -1 pixels"):
        measure(image, image, crop_border=-1)
    for other in (np.zeros((20, 24, 4)), np.zeros((20, 24, 1)), torch.zeros(20, 24, 3), torch.zeros(1, 3, 20, 24)):
        with pytest.raises(ValueError, match="three channels or no channel axis"):
            measure(other, other, crop_border=0)
    assert measure(image, image, crop_border=4)


@pytest.mark.parametrize("measure", [psnr, ssim])
def test_an_unknown_color_is_refused(measure):
    image, reference = pair()
    with pytest.raises(ValueError, match="'y' or 'rgb', not 'Y'"):
        measure(image, reference, color="Y")


SCORES = [
    Score(psnr_y=30.0, ssim_y=0.9, psnr_rgb=28.5, ssim_rgb=0.8),
    Score(psnr_y=33.0006, ssim_y=0.8, psnr_rgb=29.0, ssim_rgb=0.70064),
]


def test_a_set_is_summarized_by_the_mean_of_its_images():
    mean = mean_score(SCORES)
    assert mean.psnr_y == pytest.approx(31.5003)
    assert mean.ssim_y == pytest.approx(0.85)
    assert mean.psnr_rgb == pytest.approx(28.75)
    assert mean.ssim_rgb == pytest.approx(0.75032)


def read_csv(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def assert_holds(line, **expected):
    assert {name: line[name] for name in expected} == expected


SET2 = {"dataset": "Set2", "images": "2", "crop_border": "4"}
SET2_SCORES = {"psnr_y": "31.500", "ssim_y": "0.8500", "psnr_rgb": "28.750", "ssim_rgb": "0.7503"}


def test_the_markdown_table_is_aligned_and_names_its_columns(tmp_path):
    perfect = Score(math.inf, 1.0, math.inf, 1.0)
    text = write_score_table(tmp_path, {"Set2": SCORES, "B": [perfect]}, 4, "Measured so.")
    assert (tmp_path / "table.md").read_text() == text
    table, caption = text.split("\n\n")
    assert caption == "Measured so.\n"
    lines = table.splitlines()
    assert len({len(line) for line in lines}) == 1
    header, rule, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in lines)
    assert all(set(cell) == {"-", ":"} and cell.endswith("-:") for cell in rule)
    assert_holds(dict(zip(header, rows[0], strict=True)), **SET2, **SET2_SCORES)
    assert_holds(dict(zip(header, rows[1], strict=True)), dataset="B", images="1", psnr_y="inf", ssim_rgb="1.0000")


def test_the_table_is_written_as_csv_too_without_sets_that_have_no_scores(tmp_path):
    write_score_table(tmp_path, {"Set2": SCORES, "LR alone": [], "B": SCORES[:1]}, 4, "Measured so.")
    first, second = read_csv(tmp_path / "table.csv")
    assert_holds(first, **SET2, **SET2_SCORES)
    assert_holds(second, dataset="B", images="1", crop_border="4", psnr_y="30.000")


def test_scores_of_images_are_written_as_csv(tmp_path):
    images = zip(("bird", "a,b"), (0.25, 1.0), SCORES, strict=True)
    write_image_scores(tmp_path / "set.csv", [ImageResult(*image, None, {}) for image in images])
    first, second = read_csv(tmp_path / "set.csv")
    assert_holds(first, image="bird", psnr_y="30.000", ssim_y="0.9000", psnr_rgb="28.500", ssim_rgb="0.8000")
    assert_holds(second, image="a,b", psnr_y="33.001", ssim_y="0.8000", psnr_rgb="29.000", ssim_rgb="0.7006")
    assert_holds(second, seconds="1.000")


class Doubler(nn.Module):
    """Repeats each pixel, adds `shift`, and in training mode answers with black."""

    def __init__(self, shift=0.0, kernel=None):
        super().__init__()
        self.shift, self.kernel = shift, kernel

    def forward(self, lr):
        if lr.shape[-1] < 16:
            raise ValueError("too small")
        sr = lr.repeat_interleave(2, 2).repeat_interleave(2, 3) + self.shift
        return (sr * 0 if self.training else sr), self.kernel


def sample(key="cat", **pictures):
    return {"key": key, **{name: channels_first(picture) for name, picture in pictures.items()}}


def test_restoring_clamps_rounds_and_keeps_the_kernel():
    lr = channels_first(pair(size=(16, 18))[0])
    kernel = torch.rand(1, 1, 21, 21, dtype=torch.float64)
    restored = restore(Doubler(60.6 / 255, kernel).eval(), lr, CPU, "cat")
    expected = (lr.int() + 61).clamp(max=255).repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert restored.key == "cat"
    assert restored.image.dtype == torch.uint8
    assert torch.equal(restored.image.int(), expected)
    assert restored.kernel.dtype == torch.float32
    torch.testing.assert_close(restored.kernel, kernel[0, 0].float())
    assert restored.seconds > 0
    assert restore(Doubler(-2.0).eval(), lr, CPU, "cat").image.max() == 0
    assert restore(Doubler().eval(), lr, CPU, "cat").kernel is None


def test_evaluation_measures_each_restored_image_with_its_sample_in_order():
    pictures = {name: pair(name, (32, 36))[1] for name in PHOTOGRAPHS}
    samples = [sample(name, lq=gt[::2, ::2], gt=gt) for name, gt in pictures.items()]
    for (restored, shown), name, given in zip(
        evaluate(Doubler(), samples, CPU, lambda *image: image), PHOTOGRAPHS, samples, strict=True
    ):
        assert restored.key == name
        assert shown is given
        gt = pictures[name]
        repeated = gt[::2, ::2].repeat(2, axis=0).repeat(2, axis=1)
        assert np.array_equal(restored.image.permute(1, 2, 0), repeated)
        assert score_restored(restored, given["gt"], 2) == score(repeated, gt, 2)


@pytest.mark.parametrize("training", [True, False])
def test_evaluation_gives_the_network_back_in_the_mode_it_came_in(training):
    net = Doubler().train(training)
    image = pair(size=(16, 16))[0]
    (restored,) = evaluate(net, [sample(lq=image)], CPU, lambda restored, _: restored)
    assert restored.image.max() > 0
    assert net.training == training
    with pytest.raises(UserError):
        evaluate(net, [sample(lq=image[:, :15])], CPU, lambda *_: None)
    assert net.training == training


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_output_that_is_not_finite_is_refused(value):
    with pytest.raises(UserError, match="cat: the network's output is not finite"):
        evaluate(Doubler(value), [sample(lq=pair(size=(16, 16))[0])], CPU, lambda *_: None)


def test_an_image_that_the_network_refuses_is_named():
    with pytest.raises(UserError, match="cat: too small"):
        restore(Doubler(), channels_first(pair(size=(16, 15))[0]), CPU, "cat")


def test_an_image_that_the_border_eats_up_is_named():
    restored = restore(Doubler().eval(), channels_first(pair(size=(16, 16))[0]), CPU, "cat")
    with pytest.raises(UserError, match="cat: cropping 12 pixels from 32x32 leaves less than 11x11"):
        score_restored(restored, restored.image, 12)

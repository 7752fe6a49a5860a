"""Multiply-adds against counts by hand, and the program that prints them."""

import math

import pytest
import torch
from plidenet import build_network
from plidenet.complexity import FORMULAS, FORWARD, count
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

HR_PIXELS = 256 * 256


@pytest.fixture(scope="module")
def paper():
    return build_network("PL_IDENet", scale=4)


class Functional(nn.Module):
    """A forward of its own beside a child's."""

    def __init__(self, forward):
        super().__init__()
        self.child = nn.Conv2d(3, 5, 3, bias=False)
        self.own = forward

    def forward(self, x):
        return self.own(x), self.child(x)


def conv(inputs, outputs, pixels, side=3):
    return side**2 * inputs * outputs * pixels


def estimator_by_hand(height, width):
    """The U-shape of the estimator on an LR image whose sides divide by four."""
    full, half, quarter = height * width, height * width // 4, height * width // 16
    down = conv(3, 64, full) + conv(64, 32, full) + conv(32, 64, half) + conv(64, 32, half) + conv(32, 64, quarter)
    up = (64 * 64 * 4) * quarter + conv(64, 64, half) + conv(64, 32, half)
    up += (64 * 64 * 4) * half + conv(64, 64, full) + conv(64, 32, full)
    return down + up + conv(64, 128, (height - 2) * (width - 2)) + 128 * 441


def group_by_hand(prompt, heads, pixels):
    """A residual group of the refinement on so many pixels."""
    c = 96 + prompt
    generation = 96 * 128 + 9 * prompt * pixels
    attention = (c * 3 * c + 9 * 3 * c + c * c) * pixels + 2 * c * (c // heads) * pixels
    feed_forward = (c * 2 * c + 9 * 2 * c + c * c) * pixels
    block = (96 * 3 * 96 + 96 * 96) * pixels + 2 * 64 * 96 * pixels + 2 * 96 * 384 * pixels
    return generation + attention + feed_forward + 4 * block + conv(2 * 96 + prompt, 96, pixels)


def refinement_by_hand(pixels, channels=3):
    groups = sum(group_by_hand(prompt, heads, pixels) for prompt, heads in [(32, 1), (64, 2), (64, 4), (64, 8)])
    return conv(channels, 96, pixels) + groups + conv(96, 96, pixels) + conv(96, channels, pixels)


def test_the_network_of_the_paper_takes_244_g_of_which_nearly_all_in_the_refinement(paper):
    counted = count(paper)
    assert counted.parameters == 4_307_854
    assert counted.multiply_adds == pytest.approx(244e9, rel=0.005)
    assert list(counted.by_module) == ["estimator", "upsampler", "wiener", "embedding", "refinement"]
    assert sum(counted.by_module.values()) == counted.multiply_adds
    assert counted.by_module["refinement"] / HR_PIXELS == pytest.approx(3.67e6, rel=0.001)
    assert counted.by_module["refinement"] == refinement_by_hand(HR_PIXELS)
    assert counted.by_module["estimator"] == estimator_by_hand(64, 64)
    assert counted.by_module["upsampler"] == (
        conv(3, 64, 64**2) + conv(64, 256, 64**2) + conv(64, 256, 128**2) + conv(64, 3, 256**2)
    )
    assert counted.by_module["embedding"] == 441 * 128


def test_the_deconvolution_is_counted_by_its_fourier_transforms(paper):
    points = (256 + 20) ** 2
    # The image of three channels four times (there and back for the taper, there and back for the deconvolution),
    # the kernel and the regularizers once; next to that, the taper's profiles and an autocorrelation are nothing.
    by_hand = (4 * 3 + 2) * 1.25 * points * math.log2(points)
    assert count(paper).by_module["wiener"] == pytest.approx(by_hand, rel=0.005)


def test_refinement_on_the_lr_grid_takes_19_g():
    counted = count(build_network("PL_IDENet_E", scale=4))
    assert counted.multiply_adds == pytest.approx(19.2e9, rel=0.005)
    assert counted.by_module["refinement"] == refinement_by_hand(64**2, channels=48) == pytest.approx(15.4e9, rel=0.005)


def test_the_published_figure_is_near_64x64_hr_pixels_with_a_multiply_add_counted_as_two(paper):
    refinement = count(paper, (16, 16)).by_module["refinement"]
    assert refinement == refinement_by_hand(64**2)
    assert 2 * refinement == pytest.approx(29.46e9, rel=0.03)


def test_sizes_that_do_not_divide_by_the_window_count_as_padded(paper):
    assert count(paper, (17, 30)).by_module["refinement"] == refinement_by_hand(72 * 120)


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda x: x @ torch.zeros(16, 7, device=x.device), 3 * 16 * 16 * 7),
        (lambda x: torch.fft.fft2(x), 3 * 256 * 2.5 * 8),
        (lambda x: torch.fft.rfft(x, n=32), 3 * 16 * 32 * 1.25 * 5),
        (lambda x: torch.fft.irfft2(torch.fft.rfft2(x), s=(16, 16)), 2 * (3 * 256 * 1.25 * 8)),
        (lambda x: F.scaled_dot_product_attention(x, x[..., :8, :], x[..., :8, :4]), 3 * 16 * 8 * (16 + 4)),
        (lambda x: torch.einsum("bchw,bcwk->bchk", x, x), 3 * 16 * 16 * 16),
        (lambda x: F.gelu(x) * x + x.softmax(1), 0),
    ],
    ids=["matmul", "fft2", "rfft", "rfft2-irfft2", "attention", "einsum", "elementwise"],
)
def test_what_a_forward_does_outside_modules_is_counted(forward, expected):
    counted = count(Functional(forward), (16, 16))
    child = conv(3, 5, 14 * 14)
    assert counted.by_module == {"child": child} | ({FORWARD: expected} if expected else {})
    assert counted.multiply_adds == child + expected


def test_attention_counts_the_same_in_the_fused_form_of_a_cpu():
    query, key, value = torch.zeros(2, 4, 16, 8), torch.zeros(2, 4, 12, 8), torch.zeros(2, 4, 12, 8)
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value)
    assert counter.get_total_flops() == 2 * (2 * 4 * 16 * 12 * (8 + 8))


def test_counting_leaves_the_network_as_it_was(tiny_network):
    net = tiny_network().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    count(net, (16, 16))
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with torch.no_grad():
        assert net(torch.rand(1, 3, 16, 16))[0].isfinite().all(), "what the networks cache is still numbers"


def test_the_program_prints_modules_sizes_and_the_published_figure_explained(run_script):
    done = run_script("scripts/count_flops.py", "--size", 64, 64, "--size", 32, 32)
    assert done.status == 0, done.err
    rows = {cells[0]: cells[1:] for cells in map(str.split, done.out.splitlines()) if cells}
    assert rows["module"] == ["parameters", "64x64", "32x32"]
    assert rows["refinement"] == ["3,601,586", "240.5518", "60.1380"]
    assert rows["total"][:2] == ["4,307,854", "244.4263"]
    assert "64x64: per HR pixel 3.73 M in all, 3.671 M in the refinement" in done.out
    assert "The paper prints 29.46 G" in done.out
    assert "15.03 G multiply-adds" in done.out
    assert "30.07 G operations" in done.out


def test_the_program_takes_network_and_scale_from_an_option_file(run_script, tmp_path):
    file = tmp_path / "options.yml"
    file.write_text(
        "name: a\nscale: 2\ndatasets: {}\nnetwork_G: {which_model_G: PL_IDENet_E, setting: {depths: [1, 1, 1, 1]}}\n"
    )
    done = run_script("scripts/count_flops.py", "-opt", file)
    assert done.status == 0, done.err
    assert "PL_IDENet_E x2" in done.out
    assert "The paper prints" not in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", 8, 8), "the LR image is 8x8; at least 16x16 is needed"),
        (("--network", "Bicubic", "--size", 0, 8), "--size must be positive"),
        (("--network", "PL_IDENt"), "did you mean 'PL_IDENet'?"),
        (("-opt", "a.yml", "--scale", 2), "--scale does not go with -opt"),
    ],
)
def test_the_program_refuses_what_cannot_be_counted(run_script, arguments, message):
    done = run_script("scripts/count_flops.py", *arguments)
    assert done.status == 2
    assert message in done.err

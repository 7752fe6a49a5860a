"""The x8 self-ensemble: which turns go together, what is averaged, and how testing reports it."""

import numpy as np
import pytest
import torch
from conftest import tree
from plidenet import complexity
from plidenet.degradation import anisotropic_gaussian, degrade, isotropic_gaussian
from plidenet.evaluation.ensemble import ORIENTATIONS, SelfEnsemble
from skimage import data
from testing_setup import LEARNED
from torch import nn


@pytest.fixture
def image():
    return torch.rand(2, 3, 20, 26, generator=torch.Generator().manual_seed(0))


def test_there_are_eight_different_orientations_and_each_is_undone(image):
    square = image[..., :20]
    turned = [orientation.turn(square) for orientation in ORIENTATIONS]
    assert len({tuple(picture.flatten().tolist()) for picture in turned}) == 8
    assert torch.equal(ORIENTATIONS[0].turn(image), image)
    for orientation in ORIENTATIONS:
        assert torch.equal(orientation.turn_back(orientation.turn(image)), image)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_turned_image_is_degraded_by_the_kernel_turned_likewise(orientation, scale):
    hr = torch.from_numpy(data.chelsea()[:96, :120].copy()).permute(2, 0, 1)[None].double() / 255
    kernel = anisotropic_gaussian(21, 1.0, 3.0, 0.4).double().roll((2, 1), dims=(0, 1))[None]
    expected = orientation.turn(degrade(hr, kernel, scale))
    torch.testing.assert_close(degrade(orientation.turn(hr), orientation.turn(kernel), scale), expected)


class Marks(nn.Module):
    """Counts its calls; adds 1 to the image's first pixel, and its kernel is a delta above the center."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, lr):
        sr = lr.clone()
        sr[..., 0, 0] += 1
        kernel = torch.zeros(len(lr), 1, 5, 5)
        kernel[..., 1, 2] = 1
        self.calls += 1
        return sr, kernel


def test_the_eight_outputs_and_kernels_are_turned_back_and_averaged(image):
    net = Marks()
    sr, kernel = SelfEnsemble(net)(image)
    assert net.calls == 8
    expected = image.clone()
    for row in (0, -1):
        for column in (0, -1):
            expected[..., row, column] += 0.25
    torch.testing.assert_close(sr, expected)
    for row, column in ((1, 2), (3, 2), (2, 1), (2, 3)):
        assert (kernel[..., row, column] == 0.25).all()
    assert kernel.sum() == len(image)


@pytest.mark.parametrize("name", ["PL_IDENet", "PL_IDENet_E", "Bicubic"])
def test_turning_the_image_turns_the_ensembles_output_and_kernel(tiny_network, image, name):
    net = SelfEnsemble(tiny_network(name, scale=2).eval())
    with torch.no_grad():
        sr, kernel = net(image)
        for orientation in ORIENTATIONS:
            turned_sr, turned_kernel = net(orientation.turn(image))
            torch.testing.assert_close(turned_sr, orientation.turn(sr), atol=2e-5, rtol=1e-4)
            if name != "Bicubic":
                torch.testing.assert_close(turned_kernel, orientation.turn(kernel), atol=1e-6, rtol=1e-4)
    assert (kernel is None) == (name == "Bicubic")


def test_an_estimate_in_each_orientation_averages_to_the_kernel_that_was_there():
    """A network that knows the turned kernel each time: only the right turn back gives the kernel again."""
    kernel = anisotropic_gaussian(21, 1.0, 3.0, 0.4).roll((2, 1), dims=(0, 1))
    hr = torch.from_numpy(data.chelsea()[:96, :120].copy()).permute(2, 0, 1)[None].float() / 255
    candidates = [orientation.turn(kernel) for orientation in ORIENTATIONS]
    turned = [orientation.turn(hr) for orientation in ORIENTATIONS]

    class Knowing(nn.Module):
        def forward(self, lr):
            def error(number):
                rebuilt = degrade(turned[number], candidates[number][None], 4)
                return (rebuilt - lr).abs().mean() if rebuilt.shape == lr.shape else torch.tensor(9.0)

            best = min(range(8), key=lambda number: error(number).item())
            return turned[best], candidates[best][None, None]

    _, estimated = SelfEnsemble(Knowing())(degrade(hr, kernel[None], 4))
    torch.testing.assert_close(estimated[0, 0], kernel)
    assert (kernel - isotropic_gaussian(21, 2.0)).abs().sum() > 0.5


def test_the_average_is_what_testing_measures_and_saves(bench, learned, weights, run_script):
    path = {"pretrain_model_G": str(weights)}
    ended = run_script("test/test.py", "-opt", bench.options("ours", LEARNED, path=path, test={"ensemble": True}))
    assert ended.status == 0, ended.err
    lr = read(bench.benchmark / "LRblur/x2/sig0.8_cat.png")
    with torch.no_grad():
        sr, kernel = SelfEnsemble(learned)(lr[None] / 255)
    saved = read(bench.folder / "results/ours+/Set5/sig0.8_cat.png")
    assert ((255 * sr[0].clamp(0, 1)).round() - saved).abs().max() <= 1
    array = np.load(bench.folder / "results/ours+/Set5/kernels/sig0.8_cat.npy")
    np.testing.assert_allclose(array, kernel[0, 0], atol=1e-6)
    assert "PL_IDENet+, scale 2" in ended.out
    assert "eight orientations of each image averaged" in bench.text("ours+/table.md")


def test_the_ensemble_leaves_the_results_of_the_plain_network_alone(bench, run_script):
    file, ensemble = bench.options("run"), ("test.ensemble=true", "test.save_images=false")
    assert run_script("test/test.py", "-opt", file).status == 0
    before = tree(bench.folder / "results/run")
    assert run_script("test/test.py", "-opt", file, *ensemble).status == 0
    assert tree(bench.folder / "results/run") == before
    into = ("--output", bench.folder / "results/run+")
    refused = run_script("test/test.py", "--compare", file, *into, *ensemble)
    assert (refused.status, "where the results of run go" in refused.err) == (2, True)
    refused = run_script("test/test.py", "--compare", file, *into)
    assert (refused.status, "where the results of a test lie" in refused.err) == (2, True)


def test_an_ensemble_may_not_be_called_like_a_network_of_another_name(bench, run_script):
    files = bench.options("a+"), bench.options("a", test={"ensemble": True})
    ended = run_script("test/test.py", "--compare", *files)
    assert ended.err == "error: 2 option files call their results a+: give each a name of its own\n"


def read(path):
    from plidenet.data.images import read_image

    return torch.from_numpy(read_image(path)).permute(2, 0, 1).float()


def test_the_ensemble_has_its_own_row_with_a_plus_and_eight_times_the_arithmetic(bench, learned, weights, run_script):
    path = {"pretrain_model_G": str(weights)}
    plain = bench.options("plain", LEARNED, path=path)
    plus = bench.options("plus", LEARNED, path=path, test={"ensemble": True})
    ended = run_script("test/test.py", "--compare", plain, plus)
    assert ended.status == 0, ended.err
    one, other = bench.table("comparison/table.csv")
    assert (one["method"], other["method"]) == ("PL_IDENet", "PL_IDENet+")
    assert one["Set5_psnr_y"] != other["Set5_psnr_y"]
    assert int(other["multiply_adds"]) == 8 * int(one["multiply_adds"]) == 8 * complexity.count(learned).multiply_adds
    assert one["parameters"] == other["parameters"]

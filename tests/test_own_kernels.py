"""Blur kernels of one's own: in training, in benchmarks, and in losses, which also see the random ones."""

import json

import numpy as np
import pytest
import torch
from plidenet.config.schema import Degradation
from plidenet.data.images import read_image, write_image
from plidenet.degradation import degrade, quantize
from plidenet.errors import UserError
from plidenet.losses import LOSSES
from plidenet.training.degrader import RandomDegrader
from plidenet.training.sets import micro_batches
from skimage import data
from training_setup import Run

PHOTOGRAPHS = {"bird": data.astronaut()[20:92, 180:268], "cat": data.chelsea()[60:140, 100:164]}


def motion(size, *taps):
    """A kernel with equal weights at some taps (row, column)."""
    kernel = np.zeros((size, size))
    for tap in taps:
        kernel[tap] = 1 / len(taps)
    return kernel


KERNELS = {"across": motion(7, (3, 3), (3, 4), (3, 5)), "down": motion(11, (5, 5), (6, 5)), "still": motion(3, (1, 1))}


@pytest.fixture
def kernels(tmp_path):
    (tmp_path / "kernels").mkdir()
    for name, kernel in KERNELS.items():
        np.save(tmp_path / f"kernels/{name}.npy", kernel)
    return tmp_path / "kernels"


def photographs():
    images = [torch.from_numpy(image[:64, :64].copy()) for image in PHOTOGRAPHS.values()]
    return torch.stack(images).permute(0, 3, 1, 2) / 255


def test_training_draws_from_the_kernels_of_a_folder(kernels):
    hr = photographs().repeat(8, 1, 1, 1)
    degrader = RandomDegrader(Degradation(kernels=kernels), 2, seed=0)
    lr, drawn = degrader(hr, 0)
    assert drawn.shape == (16, 1, 21, 21)
    torch.testing.assert_close(lr, quantize(degrade(hr, drawn, 2)))
    padded = {name: np.pad(kernel, (21 - len(kernel)) // 2) for name, kernel in KERNELS.items()}
    names = [next(name for name in padded if np.allclose(padded[name], kernel)) for kernel in drawn[:, 0]]
    assert set(names) == set(KERNELS)
    assert torch.equal(drawn, degrader(hr, 0)[1])
    assert not torch.equal(drawn, degrader(hr, 1)[1])


def test_files_of_many_kernels_count_as_their_kernels(tmp_path):
    stack = np.random.default_rng(0).random((5, 5, 5)) + 0.1
    np.save(tmp_path / "many.npy", stack)
    (tmp_path / "._many.npy").write_bytes(b"what macOS leaves beside it")
    _, drawn = RandomDegrader(Degradation(kernels=tmp_path, ksize=3), 2, seed=0)(photographs().repeat(20, 1, 1, 1), 0)
    assert (drawn.shape, len(drawn.unique(dim=0))) == ((40, 1, 5, 5), 5)


def test_folders_without_kernels_and_kernels_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(UserError, match="none is not a folder"):
        RandomDegrader(Degradation(kernels=tmp_path / "none"), 2, seed=0)
    with pytest.raises(UserError, match=r"holds no kernels \(\.npy\)"):
        RandomDegrader(Degradation(kernels=tmp_path), 2, seed=0)
    np.save(tmp_path / "large.npy", motion(129, (64, 64)))
    with pytest.raises(UserError, match=r"a kernel of 129x129 is too large for crops of 64 \(GT_size\)"):
        RandomDegrader(Degradation(kernels=tmp_path), 2, seed=0, crop=64)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_loss_sees_the_kernels_that_lr_was_blurred_with(tmp_path, kernels, monkeypatch, accumulate):
    seen = []

    def supervision(restoration):
        blurred = quantize(degrade(restoration.hr, restoration.true_kernel, restoration.scale))
        torch.testing.assert_close(blurred, restoration.lr)
        seen.append(len(restoration.true_kernel))
        return (restoration.kernel - restoration.true_kernel).square().sum()

    (kernels / "down.npy").unlink()  # smaller ones than those that the network estimates
    monkeypatch.setitem(LOSSES._entries, "kernel", supervision)
    run = Run(tmp_path)
    losses = "train.losses=[{type: l1}, {type: kernel, weight: 0.1}]"
    for own in ("", str(kernels)):
        run.train(f"degradation.kernels={own}", losses, f"train.accumulate={accumulate}", "train.niter=1")
    assert seen == [4 // accumulate] * accumulate * 2


def test_parts_of_what_is_not_known_are_not_known():
    parts = list(micro_batches(2, torch.arange(4), None))
    assert [(part.tolist(), unknown) for part, unknown in parts] == [([0, 1], None), ([2, 3], None)]


@pytest.fixture
def build(run_script, tmp_path):
    for name, image in PHOTOGRAPHS.items():
        write_image(tmp_path / f"source/{name}.png", image)
    folders = ("--source", tmp_path / "source", "--name", "Set", "--save", tmp_path / "sets", "--scale", 4)
    return lambda *options: run_script("scripts/build_benchmark.py", *folders, *options)


@pytest.mark.parametrize(
    ("options", "folder", "downsample"), [((), "own_kernels", "bicubic"), (("direct",), "own_kernels_direct", "direct")]
)
def test_a_benchmark_has_every_image_with_every_kernel(build, tmp_path, kernels, options, folder, downsample):
    done = build("--kernels", kernels, *(("--downsample", *options) if options else ()))
    assert done.status == 0, done.err
    made = tmp_path / "sets/Set" / folder
    names = {f"{kernel}_{name}" for kernel in KERNELS for name in PHOTOGRAPHS}
    assert {path.stem for path in (made / "LRblur/x4").iterdir()} == names
    assert json.loads((made / "manifest.json").read_text())["x4"]["ksize"] == 11
    for kernel, taps in KERNELS.items():
        for name, image in PHOTOGRAPHS.items():
            hr = torch.from_numpy(image.copy()).permute(2, 0, 1)[None] / 255
            lr = quantize(degrade(hr, torch.from_numpy(taps), 4, downsample))[0]
            written = read_image(made / f"LRblur/x4/{kernel}_{name}.png").transpose(2, 0, 1)
            assert (255 * lr - torch.from_numpy(written)).abs().max() <= 1
            np.testing.assert_allclose(np.load(made / f"kernel/x4/{kernel}_{name}.npy"), taps, atol=1e-7)


def test_a_table_says_that_the_kernels_were_given(build, tmp_path, kernels, run_script):
    section = build("--kernels", kernels).out
    head = "name: own\nscale: 4\ndevice: cpu\nnetwork_G: {which_model_G: Bicubic, setting: {}}\n"
    path = f"path: {{results_root: {tmp_path / 'results'}}}\ndatasets:\n"
    (tmp_path / "own.yml").write_text(head + path + section)
    done = run_script("test/test.py", "-opt", tmp_path / "own.yml")
    assert done.status == 0, done.err
    assert "6 images; given kernels, the largest 11x11 (says manifest.json); blur with reflect padding" in done.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--ksize", 21), "--ksize is of no use with --kernels"),
        (("--seed", 1), "--seed needs --setting2"),
        (("--name", "table"), "--name cannot be table: a table of the results has that name"),
        (("--section", "mine"), "--section must be train, val* or test*, not mine"),
    ],
)
def test_what_does_not_go_with_kernels_of_ones_own_is_refused(build, kernels, options, message):
    done = build("--kernels", kernels, *options)
    assert (done.status, message in done.err) == (2, True)


def test_pairs_of_one_name_are_refused(build, tmp_path, kernels):
    write_image(tmp_path / "source/a_bird.png", PHOTOGRAPHS["bird"])
    np.save(kernels / "still_a.npy", KERNELS["still"])
    done = build("--kernels", kernels)
    assert (done.status, "two pairs would be called still_a_bird" in done.err) == (2, True)
    assert not (tmp_path / "sets").exists()

"""Benchmarks of setting 2: random anisotropic kernels, and direct downsampling beside bicubic."""

import json

import numpy as np
import pytest
import torch
from plidenet.data.images import write_image
from plidenet.data.stores import open_store
from plidenet.degradation import anisotropic_gaussian, blur, degrade, direct_center
from scipy import ndimage
from skimage import data

PHOTOGRAPHS = {"bird": data.astronaut()[20:90, 180:266], "cat": data.chelsea()[60:141, 100:165]}
SETS = {"bicubic": "setting2", "direct": "setting2_direct"}  # downsampling and folder


@pytest.fixture
def build(run_script, tmp_path):
    """Run build_benchmark.py --setting2 on two photographs and return the set's folder."""
    for name, image in PHOTOGRAPHS.items():
        write_image(tmp_path / "source" / f"{name}.png", image)

    def build(save, *options, scale=4):
        folders = ("--source", tmp_path / "source", "--name", "Set", "--save", tmp_path / save)
        done = run_script("scripts/build_benchmark.py", *folders, "--scale", scale, "--setting2", *options)
        assert done.status == 0, done.err
        return tmp_path / save / "Set"

    return build


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def center_of_mass(kernel):
    """(x, y) in pixels from the central tap."""
    axis = np.arange(kernel.shape[-1]) - kernel.shape[-1] // 2
    return (kernel.sum(0) * axis).sum(), (kernel.sum(1) * axis).sum()


@pytest.mark.parametrize(("scale", "first", "center"), [(2, 0, 0.5), (3, 1, 0.0), (4, 1, 0.5)])
def test_direct_downsampling_keeps_the_pixels_next_to_the_middle_of_their_block(scale, first, center):
    image = torch.rand(2, 3, 24, 36, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    kernel = torch.rand(2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    lr = degrade(image, kernel, scale, downsample="direct")
    assert lr.shape == (2, 3, 24 // scale, 36 // scale)
    assert torch.equal(lr, blur(image, kernel)[..., first::scale, first::scale])
    assert first + center == (scale - 1) / 2, "the middle of a block"
    assert direct_center(scale) == center


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_both_downsamplings_put_the_lr_image_at_the_same_place(scale):
    row, column = torch.meshgrid(torch.arange(96.0), torch.arange(72.0), indexing="ij")
    ramp = (0.003 * row + 0.002 * column)[None, None].double()
    inside = (..., slice(8, -8), slice(8, -8))
    kernels = [anisotropic_gaussian(21, 1.0, 2.0, 0.4, center=c) for c in (0.0, direct_center(scale))]
    centered, shifted = (kernel.double() for kernel in kernels)
    expected = degrade(ramp, centered, scale)[inside]
    torch.testing.assert_close(degrade(ramp, shifted, scale, "direct")[inside], expected, atol=1e-5, rtol=0)
    misplaced = degrade(ramp, centered, scale, "direct")[inside]
    difference = torch.full_like(expected, -direct_center(scale) * 0.005)
    torch.testing.assert_close(misplaced - expected, difference, atol=1e-5, rtol=0)


def test_direct_downsampling_is_differentiable_in_image_and_kernel():
    image = torch.rand(1, 1, 8, 12, dtype=torch.float64, requires_grad=True)
    kernel = torch.rand(1, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, k: degrade(x, k, 4, "direct"), (image, kernel), fast_mode=True)


def test_another_downsampling_is_refused():
    with pytest.raises(ValueError, match="downsample must be 'bicubic' or 'direct', not 'nearest'"):
        degrade(torch.zeros(1, 1, 8, 8), torch.ones(3, 3), 2, "nearest")


def test_a_kernel_can_be_centered_between_its_taps():
    kernel = anisotropic_gaussian(21, 1.5, 1.5, 0.0, center=0.5).double()
    torch.testing.assert_close(kernel, kernel.T)
    torch.testing.assert_close(kernel[:, 1:], kernel[:, 1:].flip(1), msg="symmetric about half a pixel to the right")
    assert center_of_mass(kernel.numpy()) == pytest.approx((0.5, 0.5), abs=1e-6)


@pytest.mark.parametrize("scale", [2, 4])
def test_a_set_downsampled_directly_is_the_blurred_image_at_every_scale_th_pixel(build, scale):
    folder = build("a", "--downsample", "direct", scale=scale) / "setting2_direct"
    first = (scale - 1) // 2
    manifest = json.loads((folder / "manifest.json").read_text())[f"x{scale}"]
    assert (manifest["downsample"], manifest["center"]) == ("direct", 0.5)
    stored = open_store(folder / f"LRblur_x{scale}.lmdb")
    for name, image in PHOTOGRAPHS.items():
        hr = image[: image.shape[0] // scale * scale, : image.shape[1] // scale * scale]
        kernel = np.load(folder / f"kernel/x{scale}/{name}.npy").astype(np.float64)
        blurred = ndimage.correlate(hr / 255, kernel[..., None], mode="mirror")
        expected = np.round(255 * blurred)[first::scale, first::scale]
        assert np.abs(stored.read(name) - expected).max() <= 1
        np.testing.assert_array_equal(open_store(folder / f"HR_x{scale}.lmdb").read(name), hr)


def test_the_sets_of_both_downsamplings_live_beside_each_other_with_kernels_half_a_pixel_apart(build):
    folders = [build("a", "--seed", 3, "--downsample", kind) / name for kind, name in SETS.items()]
    for name in PHOTOGRAPHS:
        bicubic, direct = (np.load(folder / f"kernel/x4/{name}.npy").astype(np.float64) for folder in folders)
        shift = np.subtract(center_of_mass(direct), center_of_mass(bicubic))
        assert shift == pytest.approx([0.5, 0.5], abs=0.15), "but for the cut at 10 pixels and the disturbance"


@pytest.mark.parametrize(("kind", "name"), SETS.items())
def test_a_seed_gives_the_same_files_to_the_bit(build, kind, name):
    first, again, other = (
        files(build(save, "--seed", seed, "--downsample", kind) / name) for save, seed in (("a", 7), ("b", 7), ("c", 8))
    )
    assert first == again
    assert {path for path in first if first[path] != other[path]} == {
        *(f"LRblur/x4/{photograph}.png" for photograph in PHOTOGRAPHS),
        *(f"kernel/x4/{photograph}.npy" for photograph in PHOTOGRAPHS),
        *("LRblur_x4.lmdb/data.mdb", "manifest.json"),
    }


@pytest.mark.parametrize("arguments", [("--downsample", "direct"), ("--downsample", "bicubic"), ("--seed", 0)])
@pytest.mark.parametrize("program", [("build_benchmark", "--name", "Set"), ("generate_mod_blur_LR_bic",)])
def test_gaussian8_has_neither_seed_nor_choice_of_downsampling(run_script, tmp_path, program, arguments):
    name, *more = program
    folders = ("--source", tmp_path, "--save", tmp_path, "--scale", 4)
    done = run_script(f"scripts/{name}.py", *more, *folders, *arguments)
    assert done.status == 2
    assert f"{arguments[0]} needs --setting2" in done.err


def test_the_kernels_of_setting_2_are_as_large_as_asked(build):
    folder = build("a", "--downsample", "direct", "--ksize", 11, scale=2) / "setting2_direct"
    assert {np.load(file).shape for file in (folder / "kernel/x2").iterdir()} == {(11, 11)}
    assert json.loads((folder / "manifest.json").read_text())["x2"]["ksize"] == 11

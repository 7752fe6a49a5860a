"""Each script through its command line: the files it makes, their names and what is in them."""

import ast
import json
import subprocess
import sys
from itertools import product

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image
from plidenet.config import load_options
from plidenet.data.build import build_dataset
from plidenet.data.images import write_image
from plidenet.data.stores import open_store
from plidenet.degradation import imresize
from scipy import ndimage
from skimage import data

PROGRAMS = sorted(str(path.relative_to(ROOT)) for f in ("scripts", "train", "test") for path in (ROOT / f).glob("*.py"))
PHOTOGRAPHS = {"bird": data.astronaut()[20:90, 180:266], "cat.v2": data.chelsea()[60:141, 100:165]}
WIDTHS = {
    2: ["0.8", "0.9143", "1.0286", "1.1429", "1.2571", "1.3714", "1.4857", "1.6"],
    3: ["1.35", "1.5", "1.65", "1.8", "1.95", "2.1", "2.25", "2.4"],
    4: ["1.8", "2.0", "2.2", "2.4", "2.6", "2.8", "3.0", "3.2"],
}


@pytest.fixture
def source(tmp_path):
    for name, image in PHOTOGRAPHS.items():
        write_image(tmp_path / "source" / f"{name}.png", image)
    return tmp_path / "source"


def read(path):
    with Image.open(path) as file:
        return np.asarray(file)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def cropped(image, scale):
    return image[: image.shape[0] // scale * scale, : image.shape[1] // scale * scale]


def blurred_lr(hr, kernel, scale):
    """LR by scipy's correlation, with the border mirrored about the edge pixel."""
    blur = ndimage.correlate(hr / 255, kernel[..., None], mode="mirror")
    return np.round(255 * imresize(blur, 1 / scale).clip(0, 1))


def anisotropic(width_1, width_2, angle, size=21):
    """exp(-r C^-1 r / 2) with C = R diag(w1^2, w2^2) R^T, normalized."""
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inverse = np.linalg.inv(rotation @ np.diag([width_1**2, width_2**2]) @ rotation.T)
    y, x = np.mgrid[:size, :size] - size // 2
    kernel = np.exp(-0.5 * (inverse[0, 0] * x**2 + 2 * inverse[0, 1] * x * y + inverse[1, 1] * y**2))
    return kernel / kernel.sum()


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_blind_benchmark_has_matched_files_that_scipy_agrees_with(run_script, source, tmp_path, scale):
    save = tmp_path / "save"
    done = run_script("scripts/generate_mod_blur_LR_bic.py", "--source", source, "--save", save, "--scale", scale)
    assert done.status == 0, done.err
    names = [f"sig{width}_{name}" for width, name in product(WIDTHS[scale], PHOTOGRAPHS)]
    expected = {f"{kind}/x{scale}/{name}.png" for kind in ("HR", "LRblur", "Bic") for name in names}
    expected |= {f"kernel/x{scale}/{name}.npy" for name in names} | {"manifest.json"}
    assert files(save).keys() == expected
    for name in names:
        width, key = name.removeprefix("sig").split("_")
        hr = cropped(PHOTOGRAPHS[key], scale)
        exact = np.linspace(float(WIDTHS[scale][0]), float(WIDTHS[scale][-1]), 8)[WIDTHS[scale].index(width)]
        kernel = anisotropic(exact, exact, 0)
        np.testing.assert_array_equal(read(save / f"HR/x{scale}/{name}.png"), hr)
        np.testing.assert_array_equal(read(save / f"Bic/x{scale}/{name}.png"), imresize(hr, 1 / scale))
        np.testing.assert_allclose(np.load(save / f"kernel/x{scale}/{name}.npy"), kernel, atol=1e-7)
        assert np.abs(read(save / f"LRblur/x{scale}/{name}.png") - blurred_lr(hr, kernel, scale)).max() <= 1


def test_the_manifest_says_how_each_pair_was_made_and_keeps_other_scales(run_script, source, tmp_path):
    arguments = ("scripts/generate_mod_blur_LR_bic.py", "--source", source, "--save", tmp_path / "save")
    assert run_script(*arguments, "--scale", 4, "--sigmas", 2.4000000000000004, 1.8).status == 0
    first = json.loads((tmp_path / "save/manifest.json").read_text())
    assert first.keys() == {"x4"}
    assert {key: first["x4"][key] for key in ("scale", "setting", "ksize")} == {"scale": 4, "setting": 1, "ksize": 21}
    assert len(first["x4"]["images"]) == 4
    assert first["x4"]["images"][0] == {
        "name": "sig2.4_bird",
        "source": "bird.png",
        "kernel": {"sigma": 2.4000000000000004},
        "hr_size": [68, 84],
        "lr_size": [17, 21],
    }
    assert run_script(*arguments, "--scale", 2, "--sigmas", 1).status == 0
    both = json.loads((tmp_path / "save/manifest.json").read_text())
    assert list(both) == ["x2", "x4"]
    assert both["x4"] == first["x4"]
    assert [entry["name"] for entry in both["x2"]["images"]] == ["sig1.0_bird", "sig1.0_cat.v2"]


def test_setting2_draws_a_disturbed_gaussian_by_seed_and_name(run_script, source, tmp_path):
    def generate(save, *options):
        arguments = ("--source", source, "--save", tmp_path / save, "--scale", 4, "--setting2", *options)
        assert run_script("scripts/generate_mod_blur_LR_bic.py", *arguments).status == 0
        return files(tmp_path / save)

    first, again, other = generate("a", "--seed", 7), generate("b", "--seed", 7), generate("c", "--seed", 8)
    assert first == again
    (source / "bird.png").rename(tmp_path / "bird.png")
    alone = generate("d", "--seed", 7)
    for name in ("bird", "cat.v2"):
        kernel = f"kernel/x4/{name}.npy"
        assert first[kernel] != other[kernel]
        assert first[f"LRblur/x4/{name}.png"] != other[f"LRblur/x4/{name}.png"]
        assert alone.get(kernel, first[kernel]) == first[kernel], "a kernel depends on no other image"
    assert first["kernel/x4/bird.npy"] != first["kernel/x4/cat.v2.npy"]
    for entry in json.loads(first["manifest.json"])["x4"]["images"]:
        drawn, name = entry["kernel"], entry["name"]
        assert 0.6 <= min(drawn["width_1"], drawn["width_2"]) <= max(drawn["width_1"], drawn["width_2"]) <= 5
        kernel = np.load(tmp_path / f"a/kernel/x4/{name}.npy").astype(np.float64)
        gaussian = anisotropic(drawn["width_1"], drawn["width_2"], drawn["angle"])
        ratio = (kernel / gaussian)[gaussian > 1e-30]  # below that float32 has fewer digits
        assert 1.15 < ratio.max() / ratio.min() <= 1.25 + 1e-4
        assert kernel.sum() == pytest.approx(1)
        lr = blurred_lr(cropped(PHOTOGRAPHS[name], 4), kernel, 4)
        assert np.abs(read(tmp_path / f"a/LRblur/x4/{name}.png") - lr).max() <= 1


def test_the_kernel_size_is_had_as_asked(run_script, source, tmp_path):
    options = ("--scale", 2, "--sigmas", 1.2, "--ksize", 11)
    run_script("scripts/generate_mod_blur_LR_bic.py", "--source", source, "--save", tmp_path / "save", *options)
    kernel = np.load(tmp_path / "save/kernel/x2/sig1.2_bird.npy")
    np.testing.assert_allclose(kernel, anisotropic(1.2, 1.2, 0, size=11), atol=1e-7)


def test_widths_that_a_kernel_cannot_hold_are_told(run_script, source, tmp_path, caplog):
    command = ["scripts/generate_mod_blur_LR_bic.py", "--source", source, "--scale", 2, "--sigmas", 2, 6]
    assert run_script(*command, "--save", tmp_path / "a", "--ksize", 37).status == 0
    assert "truncate" not in caplog.text
    for name, size in (("b", 21), ("c", 35)):
        assert run_script(*command, "--save", tmp_path / name, "--ksize", size).status == 0
        assert f"kernels of {size}x{size} truncate a Gaussian of width 6; use --ksize 37" in caplog.text


def test_a_benchmark_may_be_made_in_the_current_folder(run_script, source, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    done = run_script("scripts/generate_mod_LR_bic.py", "--source", source, "--save", ".", "--scale", 4)
    assert done.status == 0, done.err
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"HR", "Bic"}


@pytest.mark.parametrize(("image", "name"), [("vögel", "Set"), ("bird", "a/b")])
def test_names_that_cannot_be_are_refused_before_the_work(run_script, tmp_path, image, name):
    write_image(tmp_path / f"source/{image}.png", data.chelsea()[:64, :64])
    arguments = ("--source", tmp_path / "source", "--name", name, "--save", tmp_path / "save", "--scale", 4)
    done = run_script("scripts/build_benchmark.py", *arguments)
    assert (done.status, (tmp_path / "save").exists()) == (2, False)
    assert "cannot be" in done.err
    assert "blur and downsample" not in done.err


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_bicubic_benchmark_has_hr_and_bic_alone(run_script, source, tmp_path, scale):
    save = tmp_path / "save"
    done = run_script("scripts/generate_mod_LR_bic.py", "--source", source, "--save", save, "--scale", scale)
    assert done.status == 0, done.err
    assert files(save).keys() == {f"{kind}/x{scale}/{name}.png" for kind in ("HR", "Bic") for name in PHOTOGRAPHS}
    for name, image in PHOTOGRAPHS.items():
        hr = cropped(image, scale)
        np.testing.assert_array_equal(read(save / f"HR/x{scale}/{name}.png"), hr)
        np.testing.assert_array_equal(read(save / f"Bic/x{scale}/{name}.png"), imresize(hr, 1 / scale))


@pytest.mark.parametrize(("setting", "format", "count"), [("setting1", "dan", 8), ("setting2", "basicsr", 1)])
def test_a_whole_benchmark_has_lmdbs_and_a_section_to_paste(run_script, source, tmp_path, setting, format, count):
    (source / "bird.png").unlink()
    save = tmp_path / "data sets: #1"
    options = ("--name", "Set 2", "--scale", 4, "--save", save, "--format", format)
    more = ("--setting2", "--seed", 3, "--section", "test2") if setting == "setting2" else ()
    done = run_script("scripts/build_benchmark.py", "--source", source, *options, *more)
    assert done.status == 0, done.err
    network = "name: a\nscale: 4\nnetwork_G: {which_model_G: Bicubic, setting: {}}\ndatasets:\n"
    (tmp_path / "options.yml").write_text(network + done.out)
    ((key, section),) = load_options(tmp_path / "options.yml").datasets.items()
    assert key == ("test2" if setting == "setting2" else "test1")
    folder = save / "Set 2" / setting
    assert (section.name, section.mode) == ("Set 2", "LQGT")
    assert (section.dataroot_GT, section.dataroot_LQ) == (folder / "HR_x4.lmdb", folder / "LRblur_x4.lmdb")
    assert section.dataroot_kernel == folder / "kernel/x4"
    meta = {"dan": "meta_info.pkl", "basicsr": "meta_info.txt"}[format]
    assert (section.dataroot_GT / meta).is_file()
    pairs = build_dataset(section, 4, training=False)
    assert len(pairs) == count
    for pair in (pairs[i] for i in range(count)):
        for kind, root in (("gt", "HR"), ("lq", "LRblur")):
            np.testing.assert_array_equal(
                pair[kind].permute(1, 2, 0), read(folder / root / "x4" / f"{pair['key']}.png")
            )
        np.testing.assert_array_equal(pair["kernel"], np.load(section.dataroot_kernel / f"{pair['key']}.npy"))


def test_several_scales_of_a_benchmark_live_beside_each_other(run_script, source, tmp_path, monkeypatch):
    (source / "bird.png").unlink()
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "Set2/setting1"
    for scale in (2, 4):
        options = ("--name", "Set2", "--scale", scale, "--save", ".")
        done = run_script("scripts/build_benchmark.py", "--source", source, *options)
        assert f"dataroot_GT: {folder}/HR_x{scale}.lmdb" in done.out, "whole paths where no project is"
    assert json.loads((folder / "manifest.json").read_text()).keys() == {"x2", "x4"}
    lmdbs = {path.name for path in folder.glob("*.lmdb")}
    assert lmdbs == {f"{kind}_x{scale}.lmdb" for kind in ("HR", "LRblur") for scale in (2, 4)}


@pytest.mark.parametrize(("format", "meta"), [("dan", "meta_info.pkl"), ("basicsr", "meta_info.txt")])
def test_create_lmdb_writes_either_format(run_script, source, tmp_path, format, meta):
    target = tmp_path / "out.lmdb"
    options = ("--source", source, "--lmdb", target, "--format", format, "--workers", 2)
    done = run_script("scripts/create_lmdb.py", *options)
    assert done.status == 0, done.err
    assert f"wrote {target}: 2 images, format {format}" in done.out
    assert sorted(path.name for path in target.iterdir()) == ["data.mdb", meta]
    store = open_store(target)
    assert store.keys == list(PHOTOGRAPHS)
    for key, image in PHOTOGRAPHS.items():
        np.testing.assert_array_equal(store.read(key), image)


def test_extract_subimages_covers_photographs_to_their_borders(run_script, source, tmp_path):
    options = ("--source", source, "--save", tmp_path / "sub", "--size", 32, "--step", 20)
    done = run_script("scripts/extract_subimages.py", *options)
    starts = {"bird": ((0, 20, 38), (0, 20, 40, 54)), "cat.v2": ((0, 20, 40, 49), (0, 20, 33))}
    assert f"wrote {tmp_path / 'sub'}: 24 squares of 2 photographs" in done.out
    expected = set()
    for name, image in PHOTOGRAPHS.items():
        for number, (top, left) in enumerate(product(*starts[name]), 1):
            expected.add(f"{name}_s{number:03d}.png")
            square = read(tmp_path / "sub" / f"{name}_s{number:03d}.png")
            np.testing.assert_array_equal(square, image[top : top + 32, left : left + 32])
    assert files(tmp_path / "sub").keys() == expected


def test_extract_subimages_of_a_size_that_fits_has_no_extra_square(run_script, tmp_path):
    write_image(tmp_path / "source/a.png", data.astronaut()[:64, :96])
    options = ("--source", tmp_path / "source", "--save", tmp_path / "sub", "--size", 32, "--step", 32)
    run_script("scripts/extract_subimages.py", *options)
    assert len(files(tmp_path / "sub")) == 6


def test_hold_out_sets_every_third_photograph_apart(run_script, tmp_path):
    for number in range(8):
        write_image(tmp_path / f"all/{number}.{'jpg' if number % 2 else 'png'}", data.chelsea()[number:30, :30])
    done = run_script("scripts/hold_out.py", "--source", tmp_path / "all", "--save", tmp_path / "parts", "--every", 3)
    assert done.out == f"wrote {tmp_path / 'parts'}: 6 photographs in train, 2 in heldout\n"
    parts = {part: files(tmp_path / "parts" / part) for part in ("train", "heldout")}
    assert sorted(parts["heldout"]) == ["2.png", "5.jpg"]
    assert parts["heldout"] | parts["train"] == files(tmp_path / "all")
    assert not parts["heldout"].keys() & parts["train"].keys()
    assert (tmp_path / "parts/heldout.txt").read_text() == "2.png\n5.jpg\n"


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_shows_an_example_and_every_option(run_script, program):
    done = run_script(program, "--help")
    assert (done.status, done.err) == (0, "")
    assert f"  python {program}" in done.out.split("example:\n")[1]
    assert ast.get_docstring(ast.parse((ROOT / program).read_text())) in done.out


def test_help_of_no_program_waits_for_torch():
    code = (
        "import runpy, sys\n"
        "for program in sys.argv[1:]:\n"
        "    sys.argv = [program, '--help']\n"
        "    try:\n"
        "        runpy.run_path(program, run_name='__main__')\n"
        "    except SystemExit as end:\n"
        "        assert end.code == 0\n"
        "    assert 'torch' not in sys.modules, program\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *PROGRAMS], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

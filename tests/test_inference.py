"""test/inference.py: one's own images, of any format."""

import re
import shutil

import numpy as np
import pytest
from PIL import Image
from plidenet import build_network
from plidenet.config import load_options
from plidenet.evaluation import inference
from plidenet.evaluation.inference import infer
from skimage import data
from testing_setup import BICUBIC, LEARNED, Bench, read_png, restored_by


@pytest.fixture
def write_options(tmp_path):
    """Write an option file that tests Bicubic x2; keyword arguments replace whole sections."""
    return lambda **changes: Bench(tmp_path, tmp_path).options("options", datasets={}, **changes)


@pytest.fixture
def photographs(tmp_path):
    """One's own images, in every format: the folder, and what each holds as RGB."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    crop = Image.fromarray(data.chelsea()[100:133, 100:140])
    alpha = Image.linear_gradient("L").resize(crop.size)
    images = {
        "rgb.png": crop,
        "photo.JPG": crop,
        "bitmap.bmp": crop,
        "web.webp": crop,
        "scan.tif": crop,
        "gray.png": crop.convert("L"),
        "gray16.png": Image.fromarray(np.array(crop.convert("L")).astype(np.uint16) * 257),
        "alpha.png": Image.merge("RGBA", (*crop.split(), alpha)),
        "palette.png": crop.quantize(16),
        "name.with.dots.png": crop,
    }
    for name, image in images.items():
        image.save(folder / name, **({"lossless": True} if name.endswith("webp") else {}))
    with Image.open(folder / "photo.JPG") as image:
        images["photo.JPG"] = image.copy()
    images["gray16.png"] = images["gray.png"]
    return folder, {name.rpartition(".")[0]: np.array(image.convert("RGB")) for name, image in images.items()}


def test_images_of_every_format_are_restored(write_options, run_script, tmp_path, photographs):
    folder, images = photographs
    file = write_options(suffix="x2")
    ended = run_script("test/inference.py", "-opt", file, "-input_dir", folder, "-output_dir", tmp_path / "out")
    assert ended.status == 0, ended.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"{name}_x2.png" for name in images}
    for name, image in images.items():
        expected, _ = restored_by(build_network("Bicubic", scale=2), image)
        difference = np.abs(read_png(tmp_path / f"out/{name}_x2.png").astype(int) - expected)
        assert difference.max() <= (8 if name == "photo" else 1), name  # JPEG decoders differ


def test_a_single_image_is_restored(write_options, run_script, tmp_path, photographs):
    arguments = ["-input_dir", photographs[0] / "photo.JPG", "-output_dir", tmp_path / "out"]
    for _ in range(2):  # and again, in place of the earlier result
        ended = run_script("test/inference.py", "-opt", write_options(), *arguments)
        assert ended.status == 0, ended.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["photo.png"]


def test_ones_own_image_in_the_output_folder_is_not_replaced(write_options, run_script, tmp_path, photographs, weights):
    file = write_options(network_G=LEARNED, path={"pretrain_model_G": str(weights)})
    (tmp_path / "out").mkdir()
    shutil.copy(photographs[0] / "rgb.png", tmp_path / "out/gray.png")
    before = (tmp_path / "out/gray.png").read_bytes()
    command = ["test/inference.py", "-opt", file, "-output_dir", tmp_path / "out", "-input_dir"]
    ended = run_script(*command, photographs[0])
    assert (ended.status, [path.name for path in (tmp_path / "out").iterdir()]) == (2, ["gray.png"])
    assert "out/gray.png exists, and is no earlier result of this program" in ended.err
    for _ in range(2):  # what an earlier call restored is replaced
        assert run_script(*command, photographs[0] / "rgb.png").status == 0
    assert (tmp_path / "out/gray.png").read_bytes() == before


@pytest.mark.parametrize("name", ["rgb.npy", "rgb.png"])
def test_ones_own_kernels_are_not_replaced_but_those_of_a_stopped_call_are(
    write_options, run_script, tmp_path, photographs, weights, name
):
    command = ["test/inference.py", "-opt", write_options(network_G=LEARNED), "--weights", weights]
    command += ["-input_dir", photographs[0] / "rgb.png", "-output_dir", tmp_path / "out"]
    (tmp_path / "out/kernels").mkdir(parents=True)
    own = tmp_path / "out/kernels" / name
    own.write_bytes(b"of one's own")
    ended = run_script(*command)
    assert (ended.status, own.read_bytes()) == (2, b"of one's own")
    assert f"out/kernels/{name} exists, and is no earlier result" in ended.err
    own.unlink()
    assert run_script(*command).status == 0
    (tmp_path / "out/rgb.png").unlink()  # as if it had been stopped before it wrote the image
    assert run_script(*command).status == 0
    (tmp_path / "out/kernels/rgb.png").unlink()  # as if the kernel had come beside an earlier image
    assert run_script(*command).status == 2


def test_inference_saves_the_kernels_and_takes_weights_from_the_command_line(
    write_options, run_script, tmp_path, photographs, learned, weights
):
    folder, images = photographs
    file = write_options(network_G=LEARNED, path={"pretrain_model_G": "/none/x2.pth"})
    arguments = ["test/inference.py", "-opt", file, "-input_dir", folder, "-output_dir", tmp_path / "out"]
    ended = run_script(*arguments)
    assert ended.status == 2
    assert "no checkpoint at /none/x2.pth" in ended.err
    assert not (tmp_path / "out").exists()
    ended = run_script(*arguments, "--weights", weights)
    assert ended.status == 0, ended.err
    assert {path.name for path in (tmp_path / "out/kernels").glob("*.npy")} == {f"{name}.npy" for name in images}
    for name in ("rgb", "gray", "alpha", "name.with.dots"):
        image, kernel = restored_by(learned, images[name])
        assert np.abs(read_png(tmp_path / f"out/{name}.png").astype(int) - image).max() <= 1, name
        np.testing.assert_allclose(np.load(tmp_path / f"out/kernels/{name}.npy"), kernel[0, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("setting", "network", "tile"), [([], LEARNED, "auto"), (["test.tile=64"], LEARNED, 64), ([], BICUBIC, None)]
)
def test_inference_works_in_tiles_where_memory_is_short(
    write_options, tmp_path, photographs, weights, monkeypatch, setting, network, tile
):
    tiles = []
    monkeypatch.setattr(inference, "as_tested", lambda net, options: tiles.append(options.test.tile) or net)
    options = load_options(write_options(network_G=network), setting)
    infer(options, photographs[0] / "rgb.png", tmp_path / "out", weights if network == LEARNED else None)
    assert tiles == [tile]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: [path.unlink() for path in folder.iterdir()], "holds no images"),
        (lambda folder: shutil.rmtree(folder), "no folder"),
        (
            lambda folder: (folder / "rgb.png").write_bytes(b"no image"),
            "rgb.png is not an image of 8 or 16 bits, or it is truncated",
        ),
        (lambda folder: Image.new("RGB", (15, 40)).save(folder / "rgb.png"), "rgb: .*16x16"),
        (
            lambda folder: Image.new("RGB", (20, 20)).save(folder / "rgb.bmp"),
            "rgb.png: rgb.bmp would be restored under the same name",
        ),
    ],
)
def test_images_that_cannot_be_restored_are_named(
    write_options, run_script, tmp_path, photographs, weights, prepare, message
):
    prepare(photographs[0])
    arguments = ["-input_dir", photographs[0], "-output_dir", tmp_path / "out", "--weights", weights]
    ended = run_script("test/inference.py", "-opt", write_options(network_G=LEARNED), *arguments)
    assert ended.status == 2
    assert re.search(rf"^error: .*{message}", ended.err, re.MULTILINE)


def test_inference_never_overwrites_the_images_it_reads(write_options, run_script, photographs):
    folder, _ = photographs
    before = (folder / "rgb.png").read_bytes()
    for source in (folder, folder / "rgb.png"):
        ended = run_script("test/inference.py", "-opt", write_options(), "-input_dir", source, "-output_dir", folder)
        assert ended.status == 2
        assert "choose another output folder" in ended.err
    assert (folder / "rgb.png").read_bytes() == before


def test_folders_of_the_command_line_are_those_of_the_shell_and_the_weights_those_of_the_project(
    write_options, run_script, tmp_path, photographs, weights, monkeypatch
):
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "test").mkdir()
    write_options(network_G=LEARNED, path={"pretrain_model_G": weights.name})
    monkeypatch.chdir(tmp_path / "test")
    ended = run_script(
        "test/inference.py", "-opt", "../options.yml", "-input_dir", "../photographs", "-output_dir", "out"
    )
    assert ended.status == 0, ended.err
    assert len(list((tmp_path / "test/out").glob("*.png"))) == len(photographs[1])


def test_images_that_cannot_be_restored_are_passed_over_and_told_at_the_end(
    write_options, run_script, tmp_path, photographs, weights
):
    folder, images = photographs
    (folder / "alpha.png").write_bytes(b"no image")
    Image.new("RGB", (15, 40)).save(folder / "palette.png")
    arguments = ["-output_dir", tmp_path / "out", "--weights", weights, "-input_dir"]
    ended = run_script("test/inference.py", "-opt", write_options(network_G=LEARNED), *arguments, folder)
    assert ended.status == 2
    assert "2 of 10 images were not restored; the first: " in ended.err
    assert len(re.findall("not restored: .*(?:alpha.png is not an image|palette: .*16x16)", ended.out)) == 2
    assert {path.stem for path in (tmp_path / "out").glob("*.png")} == images.keys() - {"alpha", "palette"}
    ended = run_script("test/inference.py", "-opt", write_options(network_G=LEARNED), *arguments, folder / "alpha.png")
    assert re.search(r"^error: \S*alpha.png is not an image", ended.err, re.MULTILINE)


def test_true_kernels_are_not_for_images_without_them(write_options, run_script, photographs):
    arguments = ["-input_dir", photographs[0], "-output_dir", "out"]
    ended = run_script("test/inference.py", "-opt", write_options(), *arguments, "test.true_kernels=true")
    assert ended.err == "error: test.true_kernels needs a set with dataroot_kernel, which test.py measures\n"

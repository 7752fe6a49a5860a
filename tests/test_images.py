"""Image files: every format and kind is read alike, damage is noticed, and what is written appears whole."""

import io
import re
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps, PngImagePlugin
from plidenet.data import images
from plidenet.data.images import (
    decode_image,
    encode_image,
    image_size,
    list_images,
    named_images,
    read_image,
    write_image,
)
from plidenet.errors import UserError
from skimage import data

PHOTOGRAPH = data.astronaut()[100:164, 100:180]
GRAY = PHOTOGRAPH[..., 1]
LOSSLESS = {
    "png": {},
    "bmp": {},
    "webp": {"lossless": True},
    "tif": {},
    "tiff": {"compression": "tiff_lzw"},
}


def encoded(image, extension, **options):
    """A file's content, as Pillow writes it: independent of the reader under test."""
    buffer = io.BytesIO()
    name = {"jpg": "JPEG", "tif": "TIFF"}.get(extension, extension)
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, name, **options)
    return buffer.getvalue()


@pytest.fixture
def saved(tmp_path):
    """Write a file's content under a name and return the path."""

    def save(name, content):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return save


def refused(path):
    with pytest.raises(UserError, match=re.escape(str(path))) as caught:
        read_image(path)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("extension", LOSSLESS)
def test_a_lossless_format_gives_the_exact_rgb_pixels(saved, extension):
    path = saved(f"a.{extension}", encoded(PHOTOGRAPH, extension, **LOSSLESS[extension]))
    image = read_image(path)
    assert image.dtype == np.uint8
    assert image.flags.c_contiguous
    np.testing.assert_array_equal(image, PHOTOGRAPH)
    assert image_size(path) == (64, 80)


@pytest.mark.parametrize("extension", ["jpg", "jpeg", "webp"])
def test_a_lossy_format_gives_nearly_the_rgb_pixels(saved, extension):
    path = saved(f"a.{extension}", encoded(PHOTOGRAPH, extension, quality=95))
    image = read_image(path)
    assert image.shape == (64, 80, 3)
    assert np.abs(image.astype(float) - PHOTOGRAPH).mean() < 4
    assert image_size(path) == (64, 80)


@pytest.mark.parametrize("extension", ["png", "bmp", "tif"])
def test_gray_is_repeated_in_three_channels(saved, extension):
    path = saved(f"a.{extension}", encoded(GRAY, extension))
    np.testing.assert_array_equal(read_image(path), np.dstack([GRAY] * 3))
    assert image_size(path) == (64, 80)


@pytest.mark.parametrize("extension", ["png", "webp", "tif"])
def test_alpha_is_dropped(saved, extension):
    alpha = np.full_like(GRAY, 255)
    alpha[:, :40] = 255 if extension == "tif" else 1
    image = Image.fromarray(np.dstack([PHOTOGRAPH, alpha]))
    options = {"lossless": True, "exact": True} if extension == "webp" else {}
    np.testing.assert_array_equal(read_image(saved(f"a.{extension}", encoded(image, extension, **options))), PHOTOGRAPH)


def test_gray_with_alpha_is_read_too(saved):
    image = Image.fromarray(np.dstack([GRAY, GRAY // 2]), mode="LA")
    np.testing.assert_array_equal(read_image(saved("a.png", encoded(image, "png"))), np.dstack([GRAY] * 3))


@pytest.mark.parametrize("extension", ["png", "bmp", "tif"])
def test_a_palette_is_looked_up(saved, extension):
    image = Image.fromarray(PHOTOGRAPH).quantize(64)
    path = saved(f"a.{extension}", encoded(image, extension))
    np.testing.assert_array_equal(read_image(path), np.asarray(image.convert("RGB")))
    assert image_size(path) == (64, 80)


def test_black_and_white_of_one_bit_becomes_0_and_255(saved):
    image = Image.fromarray(GRAY > 128)
    assert image.mode == "1"
    np.testing.assert_array_equal(read_image(saved("a.png", encoded(image, "png")))[..., 0], 255 * (GRAY > 128))


@pytest.mark.parametrize("extension", ["png", "tif"])
@pytest.mark.parametrize("pixels", [PHOTOGRAPH, GRAY], ids=["rgb", "gray"])
def test_16_bits_become_8(tmp_path, extension, pixels):
    path = tmp_path / f"a.{extension}"
    bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    assert cv2.imwrite(str(path), bgr.astype(np.uint16) * 257)
    image = read_image(path)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, pixels if pixels.ndim == 3 else np.dstack([GRAY] * 3))
    assert image_size(path) == (64, 80)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("extension", ["jpg", "png", "tif", "webp"])  # webp: since OpenCV 4.13
def test_the_exif_orientation_is_applied_to_the_pixels_and_to_the_size(saved, extension, orientation):
    exif = Image.Exif()
    exif[images.EXIF_ORIENTATION] = orientation
    options = {"tiffinfo": {images.EXIF_ORIENTATION: orientation}} if extension == "tif" else {"exif": exif}
    path = saved(f"a.{extension}", encoded(PHOTOGRAPH, extension, **options))
    image = read_image(path)
    with Image.open(path) as file:
        expected = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
    assert np.abs(image.astype(float) - expected).mean() < 1
    assert image_size(path) == image.shape[:2] == ((80, 64) if orientation > 4 else (64, 80))


@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
def test_an_orientation_outside_exif_is_passed_over(saved, extension):
    xmp = b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/>'
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", xmp.decode())
    path = saved(f"a.{extension}", encoded(PHOTOGRAPH, extension, xmp=xmp, pnginfo=text))
    assert image_size(path) == read_image(path).shape[:2] == (64, 80)


FILES = {
    "png": encoded(PHOTOGRAPH, "png"),
    "jpg": encoded(PHOTOGRAPH, "jpg"),
    "progressive.jpg": encoded(PHOTOGRAPH, "jpg", progressive=True),
    "webp": encoded(PHOTOGRAPH, "webp"),
    "lossless.webp": encoded(PHOTOGRAPH, "webp", lossless=True),
    "tif": encoded(PHOTOGRAPH, "tif"),
    "lzw.tif": encoded(PHOTOGRAPH, "tif", compression="tiff_lzw"),
    "bmp": encoded(PHOTOGRAPH, "bmp"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_size_comes_from_the_header_without_decoding(saved, monkeypatch, name):
    path = saved(f"a.{name}", FILES[name])
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("the image was decoded"))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the image was decoded"))
    assert image_size(path) == (64, 80)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_refused_in_silence(saved, capfd, name, part):
    refused(saved(f"a.{name}", FILES[name][: int(part * len(FILES[name]))]))
    assert capfd.readouterr() == ("", ""), "the message is the program's alone, not OpenCV's"


@pytest.mark.parametrize("name", FILES)
def test_a_file_without_its_last_byte_is_refused_in_silence(saved, capfd, name):
    refused(saved(f"a.{name}", FILES[name][:-1]))
    assert capfd.readouterr() == ("", "")


def test_the_end_of_a_jpeg_thumbnail_does_not_pass_for_the_end_of_the_image(saved):
    content = FILES["jpg"]
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + len(content)) + content
    whole = content[:2] + thumbnail + content[2:]
    assert read_image(saved("whole.jpg", whole)).shape == (64, 80, 3)
    refused(saved("cut.jpg", whole[:-100]))


@pytest.mark.parametrize("name", ["jpg", "progressive.jpg"])
def test_bytes_behind_a_jpeg_or_between_its_segments_do_not_matter(saved, name):
    jpeg, plain = FILES[name], read_image(saved("plain.jpg", FILES[name]))
    filled = jpeg.replace(b"\xff\xdb", b"\xff\xff\xff\xdb")
    for changed in (jpeg + b"trailing" * 20, jpeg + b"\xff\xd9 a video \xff\xda" * 20, filled):
        np.testing.assert_array_equal(read_image(saved("changed.jpg", changed)), plain)


@pytest.mark.parametrize("content", [b"", b"no image at all", bytes(1000)], ids=["empty", "text", "zeros"])
@pytest.mark.parametrize("extension", ["png", "jpg", "tif"])
def test_what_is_no_image_is_refused_by_both_readers(saved, extension, content):
    path = saved(f"a.{extension}", content)
    refused(path)
    with pytest.raises(UserError, match=re.escape(str(path))):
        image_size(path)


def test_a_header_that_claims_absurd_sizes_is_refused(saved):
    content = bytearray(FILES["png"])
    content[16:24] = struct.pack(">II", 500_000, 500_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    refused(saved("a.png", content))


def test_a_missing_file_is_refused_by_both_readers(tmp_path):
    refused(tmp_path / "none.png")
    with pytest.raises(UserError, match="none"):
        image_size(tmp_path / "none.png")


@pytest.mark.parametrize("name", ["jpg", "webp", "bmp"])
def test_the_content_decides_and_not_the_extension(saved, name):
    path = saved("a.png", FILES[name])
    np.testing.assert_array_equal(read_image(path), read_image(saved(f"b.{name}", FILES[name])))
    assert image_size(path) == (64, 80)


def test_decoding_in_memory_gives_none_where_it_fails():
    assert decode_image(b"") is None
    assert decode_image(FILES["png"][:-50]) is None
    np.testing.assert_array_equal(decode_image(FILES["png"]), PHOTOGRAPH)


@pytest.mark.parametrize("image", [PHOTOGRAPH, GRAY], ids=["rgb", "gray"])
@pytest.mark.parametrize("extension", ["png", "bmp", "tif"])
def test_what_is_written_reads_back_and_folders_are_made(tmp_path, extension, image):
    path = tmp_path / "a" / "b" / f"c.{extension}"
    write_image(path, image)
    with Image.open(path) as file:
        np.testing.assert_array_equal(np.asarray(file), image)
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_image(path, PHOTOGRAPH)
    before = path.read_bytes()

    def broken(temporary, target):
        assert temporary.read_bytes() != before, "the new content should be there, in another file"
        raise OSError("no space left")

    monkeypatch.setattr(type(path), "replace", broken)
    with pytest.raises(OSError, match="no space"):
        write_image(path, 255 - PHOTOGRAPH)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["kernels", "kernels.npy", "kernels.xyz"])
def test_writing_under_a_name_that_is_no_image_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=f"{name} is no name for an image"):
        write_image(tmp_path / name, PHOTOGRAPH)
    assert not list(tmp_path.iterdir())


def test_a_folder_lists_its_images_sorted_and_nothing_else(tmp_path):
    for name in ("b.PNG", "a.jpg", "c.tiff", "notes.txt", "d.png.part", "._a.jpg"):
        (tmp_path / name).write_bytes(FILES["png"])
    (tmp_path / "folder.png").mkdir()
    assert [path.name for path in list_images(tmp_path)] == ["a.jpg", "b.PNG", "c.tiff"]
    assert list(named_images(tmp_path)) == ["a", "b", "c"]


def test_only_the_last_extension_is_cut_from_a_name(saved, tmp_path):
    saved("sig1.8_baby.png", FILES["png"])
    assert list(named_images(tmp_path)) == ["sig1.8_baby"]


def test_two_files_of_one_stem_are_refused(saved, tmp_path):
    saved("baby.png", FILES["png"])
    saved("baby.jpg", FILES["jpg"])
    with pytest.raises(UserError, match=r"baby\.jpg and baby\.png have the same name"):
        named_images(tmp_path)


def test_a_folder_that_is_missing_empty_or_a_file_is_refused(saved, tmp_path):
    with pytest.raises(UserError, match=f"no folder {tmp_path}/none"):
        list_images(tmp_path / "none")
    with pytest.raises(UserError, match=f"{tmp_path} holds no images"):
        list_images(tmp_path)
    with pytest.raises(UserError, match=r"a\.png is not a folder"):
        list_images(saved("a.png", FILES["png"]))


def test_encoding_gives_a_file_that_pillow_reads():
    with Image.open(io.BytesIO(encode_image(PHOTOGRAPH))) as file:
        assert file.format == "PNG"
        np.testing.assert_array_equal(np.asarray(file), PHOTOGRAPH)

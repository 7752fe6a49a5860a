"""Image files: uint8 RGB, whatever they are on disk."""

import io
import logging
import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from plidenet.errors import UserError
from plidenet.files import write_file
from plidenet.names import some

log = logging.getLogger(__name__)
IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
EXIF_ORIENTATION, EXIF_TRANSPOSED = 274, (5, 6, 7, 8)
TIFF_WIDTH, TIFF_HEIGHT = 256, 257
MAX_PIXELS = 2 * (2**30 // 12)  # 179 million, as for Pillow: a small file can claim any size
MAX_BYTES = 2**31 - 1  # of a file
PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
NO_IMAGE = "is not an image of 8 or 16 bits, or it is truncated"

silence = cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel
silence(0)  # of damaged files our own messages say enough


def list_images(folder: str | Path) -> list[Path]:
    """The image files of a folder (not of its subfolders, nor hidden ones), sorted by name.

    Raises:
        UserError: the folder is missing or holds no images.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder" if folder.exists() else f"no folder {folder}")
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))  # macOS: ._a.png
    files = [path for path in paths if path.is_file() or (path.is_symlink() and not path.exists())]  # broken links, too
    images = [path for path in files if path.suffix.lower() in IMAGE_EXTENSIONS]
    inner = [path.name for path in paths if path.is_dir()]
    if not images:
        kinds = ", ".join(extension[1:] for extension in IMAGE_EXTENSIONS)
        raise UserError(f"{folder} holds no images ({kinds}){'; subfolders are not searched' if inner else ''}")
    if inner:
        _tell_of_subfolders(folder, some(inner))
    return images


def named_images(folder: Path) -> Mapping[str, Path]:
    """The images of a folder by their names without extension; UserError also where two share one."""
    named: dict[str, Path] = {}
    for path in list_images(folder):
        if path.stem in named:
            raise UserError(f"{named[path.stem]} and {path.name} have the same name but for the extension")
        named[path.stem] = path
    return named


def read_image(path: str | Path) -> np.ndarray:
    """Read an image as uint8 (H,W,3) RGB: gray repeated, alpha dropped, EXIF rotation applied, of 16 bits the upper 8.

    A TIFF's alpha is multiplied in before it is dropped, which is libtiff's way.

    Raises:
        UserError: the file is missing, not an image, or truncated.
    """
    path = Path(path)
    try:
        data = path.read_bytes() if path.stat().st_size <= MAX_BYTES else b""
    except OSError as error:
        raise UserError(f"{path} {_unreadable(error)}") from error
    image = decode_image(data)
    if image is None:
        image_size(path)  # says more where the size is what is wrong
        raise UserError(f"{path} {NO_IMAGE}")
    return image


def decode_image(data: bytes) -> np.ndarray | None:
    """Decode a file's content to uint8 (H,W,3) RGB; None where that fails."""
    if not data or (data.startswith(PNG_START[:4]) and not _is_whole_png(memoryview(data))):
        return None
    try:
        size = _header(io.BytesIO(data))
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except Exception:  # the two libraries raise anything over damaged files
        return None
    if bgr is None or bgr.shape[:2] != size:  # of a damaged EXIF orientation they think differently
        return None
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width as `read_image` will return them, from the file's header alone; UserError as there."""
    try:
        with path.open("rb") as file:
            return _header(file)
    except Image.DecompressionBombError as error:
        raise UserError(f"{path} claims to be an image of more than {MAX_PIXELS} pixels") from error
    except OSError as error:
        raise UserError(f"{path} {_unreadable(error)}") from error
    except Exception as error:  # Pillow raises anything over damaged files
        raise UserError(f"{path} {NO_IMAGE}") from error


def write_image(path: str | Path, image: np.ndarray) -> None:
    """Write uint8 (H,W,3) RGB or (H,W) gray in the format of the path's extension; folders are made.

    Raises:
        UserError: an extension that is no image format's.
        ValueError: an array of another type or shape.
    """
    path = Path(path)
    if path.suffix.lower() not in IMAGE_EXTENSIONS:
        raise UserError(f"{path} is no name for an image: it must end in one of {' '.join(IMAGE_EXTENSIONS)}")
    write_file(path, encode_image(image, path.suffix))


def encode_image(image: np.ndarray, extension: str = ".png") -> bytes:
    """Encode uint8 (H,W,3) RGB or (H,W) gray as a file's content; ValueError for anything else."""
    if image.dtype != np.uint8 or (image.ndim != 2 and image.shape[2:] != (3,)):
        raise ValueError(f"an image to write is uint8 (H,W,3) or (H,W), not {image.dtype} {image.shape}")
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    _, data = cv2.imencode(extension, bgr)
    return data.tobytes()


@cache
def _tell_of_subfolders(folder: Path, names: str) -> None:
    """Once for each folder, however often its images are listed."""
    log.warning("%s: its subfolders are not searched: %s", folder, names)


def _unreadable(error: OSError) -> str:
    """What is wrong with a file that the system, or Pillow (without an error number), fails to read."""
    return NO_IMAGE if error.errno is None else f"cannot be read: {error.strerror}"


def _header(file: BinaryIO) -> tuple[int, int]:
    """Height and width of an image; what Pillow raises where it finds none, or one that is too large."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(file) as image:
            width, height = image.size
            if isinstance(image, TiffImageFile):  # whose size some versions of Pillow have turned already
                width, height = image.tag_v2[TIFF_WIDTH], image.tag_v2[TIFF_HEIGHT]
            for xmp in ("xmp", "XML:com.adobe.xmp"):  # where Pillow looks for an orientation, and OpenCV does not
                image.info.pop(xmp, None)
            exif = Image.Image.getexif(image)  # the method that PNG overrides decodes the whole image first
            transposed = exif.get(EXIF_ORIENTATION) in EXIF_TRANSPOSED
    if width * height > MAX_PIXELS:
        raise Image.DecompressionBombError
    return (width, height) if transposed else (height, width)


def _is_whole_png(data: memoryview) -> bool:
    """Whether a PNG has its end, and the right checksum in all critical chunks, whose names start with a capital.

    OpenCV only prints a message about wrong checksums, and Pillow refuses those of a text, too.
    """
    at = len(PNG_START)
    while at + 12 <= len(data):
        end = at + 8 + int.from_bytes(data[at : at + 4], "big")
        kind = bytes(data[at + 4 : at + 8])
        if kind[:1].isupper() and crc32(data[at + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            return False
        if kind == PNG_END:
            return True
        at = end + 4
    return False

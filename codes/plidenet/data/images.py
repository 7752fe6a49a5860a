"""Image files: uint8 RGB, whatever they are on disk."""

import warnings
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from plidenet.errors import UserError
from plidenet.files import replacing

IMAGE_EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
EXIF_ORIENTATION, EXIF_TRANSPOSED = 274, (5, 6, 7, 8)
TIFF_WIDTH, TIFF_HEIGHT = 256, 257

silence = cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel
silence(0)  # of damaged files our own messages say enough


def list_images(folder: Path) -> list[Path]:
    """The image files of a folder (not of its subfolders), sorted by name.

    Raises:
        UserError: the folder is missing or holds no images.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder" if folder.exists() else f"no folder {folder}")
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_EXTENSIONS and path.is_file())
    if not images:
        raise UserError(f"{folder} holds no images ({', '.join(extension[1:] for extension in IMAGE_EXTENSIONS)})")
    return images


def named_images(folder: Path) -> Mapping[str, Path]:
    """The images of a folder by their names without extension; UserError also where two share one."""
    named: dict[str, Path] = {}
    for path in list_images(folder):
        if path.stem in named:
            raise UserError(f"{named[path.stem]} and {path.name} have the same name but for the extension")
        named[path.stem] = path
    return named


def read_image(path: Path) -> np.ndarray:
    """Read an image as uint8 (H,W,3) RGB: gray is repeated, alpha dropped, 16 bits become 8, EXIF rotation applied.

    A TIFF's alpha is multiplied in before it is dropped, which is libtiff's way.

    Raises:
        UserError: the file is missing, not an image, or truncated.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    image = decode_image(data)
    if image is None:
        raise UserError(f"{path} is not an image, or it is truncated")
    return image


def decode_image(data: bytes) -> np.ndarray | None:
    """Decode a file's content to uint8 (H,W,3) RGB; None where that fails."""
    if not data or _is_cut_short(data):
        return None
    try:
        bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # a header with absurd sizes
        return None
    return None if bgr is None else cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def image_size(path: Path) -> tuple[int, int]:
    """Height and width as `read_image` will return them, from the file's header alone; UserError as there."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as image:
                width, height = image.size
                if isinstance(image, TiffImageFile):  # whose size some versions of Pillow have turned already
                    width, height = image.tag_v2[TIFF_WIDTH], image.tag_v2[TIFF_HEIGHT]
                exif = Image.Image.getexif(image)  # the method that PNG overrides decodes the whole image first
                transposed = exif.get(EXIF_ORIENTATION) in EXIF_TRANSPOSED
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} is not an image, or it is truncated") from error
    return (width, height) if transposed else (height, width)


def write_image(path: Path, image: np.ndarray) -> None:
    """Write uint8 (H,W,3) RGB or (H,W) gray in the format of the path's extension; folders are made.

    Raises:
        UserError: an extension that is no image format's.
    """
    if path.suffix.lower() not in IMAGE_EXTENSIONS:
        raise UserError(f"{path} is no name for an image: it must end in one of {' '.join(IMAGE_EXTENSIONS)}")
    with replacing(path) as temporary:
        temporary.write_bytes(encode_image(image, path.suffix))


def encode_image(image: np.ndarray, extension: str = ".png") -> bytes:
    """Encode uint8 (H,W,3) RGB or (H,W) gray as a file's content."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    _, data = cv2.imencode(extension, bgr)
    return data.tobytes()


def _is_cut_short(data: bytes) -> bool:
    """Whether a PNG or JPEG lacks its end: older OpenCVs fill up what is missing, with only a warning."""
    if data.startswith(b"\x89PNG"):
        return b"IEND\xaeB`\x82" not in data[-64:]
    if data.startswith(b"\xff\xd8"):
        return data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")  # a thumbnail's end comes before the scan
    return False

"""Cases for the reader of images: every format and kind, damaged in its bytes or chunk by chunk."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random

import cv2
import numpy as np
from fuzz_mutations import mutate
from PIL import Image
from plidenet.data.images import IMAGE_EXTENSIONS
from plidenet.data.stores import FolderStore
from skimage import data

PHOTOGRAPH = Image.fromarray(data.astronaut()[100:133, 100:140])
PNG = b"\x89PNG\r\n\x1a\n"


class Images:
    """A folder with one image, listed, sized and read."""

    writes = False

    def __init__(self, folder: Path) -> None:
        self.samples = samples()
        self.kinds = [
            *[self.damaged] * 6,
            *[self.png_chunks] * 2,
            *(self.jpeg_segments, self.sizes, self.small_and_long, self.no_images, self.strange_files),
        ]
        self.bomb = png(20_000, 20_000, zlib.compress(bytes(60_001), 9) * 2)
        self.true_bomb = png(20_000, 20_000, compressed_zeros(20_000 * 60_001))

    def case(self, rng: Random, number: int, folder: Path) -> Callable[[], object]:
        self.kinds[number % len(self.kinds)](rng, folder / f"a{rng.choice(IMAGE_EXTENSIONS)}")
        return lambda: read(folder)

    def damaged(self, rng: Random, path: Path) -> None:
        path.write_bytes(mutate(rng, self.samples[rng.choice(list(self.samples))]))

    def png_chunks(self, rng: Random, path: Path) -> None:
        """A PNG whose chunks are damaged, moved or repeated, with check sums that are right."""
        name = rng.choice([name for name in self.samples if name.startswith("png")])
        chunks = png_chunks(self.samples[name])
        at = rng.randrange(len(chunks))
        kind, content = chunks[at]
        way = rng.randrange(6)
        if way == 0:
            chunks[at] = (kind, mutate(rng, content))
        elif way == 1 and kind == b"IDAT":
            chunks[at] = (kind, zlib.compress(mutate(rng, zlib.decompress(content))))
        elif way == 2:
            chunks.insert(rng.randrange(len(chunks) + 1), chunks.pop(at))
        elif way == 3:
            chunks[at:at] = [chunks[at]] * rng.choice((1, 2, 1000))
        elif way == 4:
            kinds = (b"PLTE", b"tRNS", b"iCCP", b"zTXt", b"iTXt", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"gAMA", b"IHDR")
            chunks.insert(at, (rng.choice(kinds), rng.randbytes(rng.choice((0, 1, 3, 13, 26, 769)))))
        else:
            chunks.insert(1, (rng.choice((b"zTXt", b"iCCP")), b"name\0\0" + compressed_zeros(100 << 20)))
        path.write_bytes(join_png(chunks))

    def jpeg_segments(self, rng: Random, path: Path) -> None:
        """A JPEG with a damaged, moved or repeated marker segment."""
        name = rng.choice([name for name in self.samples if name.startswith("jpg")])
        parts = [b"\xff" + part for part in self.samples[name].split(b"\xff")[1:]]
        at = rng.randrange(min(len(parts), 16))
        if rng.random() < 0.5:
            parts[at] = parts[at][:2] + mutate(rng, parts[at][2:])
        else:
            parts.insert(at, parts[rng.randrange(len(parts))] * rng.choice((1, 1, 500)))
        path.write_bytes(b"".join(parts))

    def sizes(self, rng: Random, path: Path) -> None:
        """A header that claims another size."""
        side = rng.choice((0, 1, 2, 7, 65_535, 30_000, 2**20, 2**31 - 1, 2**31, 2**32 - 1))
        other = rng.choice((0, 1, 16, 40, 65_535, side))
        content = bytearray(self.samples[rng.choice(("png rgb", "bmp rgb", "jpg rgb", "webp lossless", "tif rgb"))])
        if content.startswith(PNG):
            content[:] = join_png(
                [(b"IHDR", struct.pack(">II", side, other) + content[24:29]), *png_chunks(content)[1:]]
            )
        elif content.startswith(b"BM"):
            content[18:26] = struct.pack("<II", side, other)
        elif content.startswith(b"\xff\xd8"):
            at = content.index(b"\xff\xc0") + 5
            content[at : at + 4] = struct.pack(">HH", side % 65_536, other % 65_536)
        elif content.startswith(b"RIFF"):
            content[21:25] = struct.pack("<I", side % 2**14 | (other % 2**14) << 14)
        else:
            at = content.index(struct.pack("<HHI", 256, 4, 1)) if struct.pack("<HHI", 256, 4, 1) in content else 40
            content[at + 8 : at + 12] = struct.pack("<I", side)
        path.write_bytes(content)

    def small_and_long(self, rng: Random, path: Path) -> None:
        size = rng.choice(((1, 1), (1, 3000), (30_000, 10), (10, 30_000), (2, 1), (1, 65_000)))
        image = Image.new(rng.choice(("RGB", "L", "RGBA", "1", "P", "I;16")), size)
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        path.write_bytes(buffer.getvalue())

    def no_images(self, rng: Random, path: Path) -> None:
        starts = (
            b"",
            PNG,
            b"\xff\xd8\xff",
            b"BM",
            b"RIFF\x24\0\0\0WEBPVP8 ",
            b"II*\0\x08\0\0\0",
            b"MM\0*",
            b"GIF89a",
            b"P6 ",
        )
        path.write_bytes(
            rng.choice(starts) + rng.choice((b"", b"\0", bytes(100), rng.randbytes(100), rng.randbytes(5000)))
        )

    def strange_files(self, rng: Random, path: Path) -> None:
        """Links that lead nowhere or in circles, pipes, folders; and pictures of gigabytes in a small file."""
        way = rng.randrange(8)
        if way == 0:
            path.symlink_to(path.name)
        elif way == 1:
            (path.parent / "b.png").symlink_to(path.name)
            path.symlink_to("b.png")
        elif way == 2:
            path.symlink_to("/dev/zero")
        elif way == 3:
            os.mkfifo(path)
        elif way == 4:
            path.mkdir()
        elif way == 5:
            path.write_bytes(self.bomb)
        elif way == 6:
            path.write_bytes(self.true_bomb)
        else:
            with path.open("wb") as file:
                file.write(self.samples["png rgb"])
                file.truncate(1 << 40)
        (path.parent / "z.png").write_bytes(self.samples["png rgb"])


def read(folder: Path) -> None:
    """As datasets do: the size from the header, then the pixels."""
    store = FolderStore(folder)
    for key in store.keys:
        size, image = store.size(key), store.read(key)
        assert image.dtype == np.uint8
        assert image.shape == (*size, 3)


def samples() -> dict[str, bytes]:
    """Valid files, of all kinds that users have."""
    rgb, gray = np.array(PHOTOGRAPH), PHOTOGRAPH.convert("L")
    exif = Image.Exif()
    exif[274] = 6
    made = {
        "png rgb": saved(PHOTOGRAPH, "PNG", exif=exif),
        "png gray": saved(gray, "PNG"),
        "png palette": saved(PHOTOGRAPH.quantize(32), "PNG", transparency=3),
        "png alpha": saved(PHOTOGRAPH.convert("RGBA"), "PNG"),
        "png 1 bit": saved(gray.convert("1"), "PNG"),
        "png animated": saved(PHOTOGRAPH, "PNG", save_all=True, append_images=[PHOTOGRAPH.rotate(90)]),
        "png 16 bit": cv2.imencode(".png", rgb.astype(np.uint16) * 257)[1].tobytes(),
        "jpg rgb": saved(PHOTOGRAPH, "JPEG", exif=exif),
        "jpg progressive": saved(PHOTOGRAPH, "JPEG", progressive=True),
        "jpg gray": saved(gray, "JPEG"),
        "jpg cmyk": saved(PHOTOGRAPH.convert("CMYK"), "JPEG"),
        "webp lossy": saved(PHOTOGRAPH, "WEBP", exif=exif),
        "webp lossless": saved(PHOTOGRAPH, "WEBP", lossless=True),
        "webp animated": saved(PHOTOGRAPH, "WEBP", save_all=True, append_images=[PHOTOGRAPH.rotate(90)]),
        "bmp rgb": saved(PHOTOGRAPH, "BMP"),
        "bmp palette": saved(PHOTOGRAPH.quantize(16), "BMP"),
        "tif rgb": saved(PHOTOGRAPH, "TIFF"),
        "tif cmyk": saved(PHOTOGRAPH.convert("CMYK"), "TIFF"),
        "tif pages": saved(PHOTOGRAPH, "TIFF", save_all=True, append_images=[PHOTOGRAPH.rotate(90)]),
        "tif 16 bit": cv2.imencode(".tif", rgb.astype(np.uint16) * 257)[1].tobytes(),
        "tif float": cv2.imencode(".tif", rgb.astype(np.float32) / 255)[1].tobytes(),
        "gif": saved(PHOTOGRAPH.quantize(32), "GIF"),
        "ppm": saved(PHOTOGRAPH, "PPM"),
        "pgm text": b"P2 3 2 255\n1 2 3\n4 5 6\n",
        "ico": saved(PHOTOGRAPH, "ICO"),
        "hdr": cv2.imencode(".hdr", rgb.astype(np.float32))[1].tobytes(),
        "pfm": cv2.imencode(".pfm", rgb.astype(np.float32))[1].tobytes(),
        "ras": cv2.imencode(".ras", rgb)[1].tobytes(),
    }
    for compression in ("tiff_lzw", "tiff_deflate", "jpeg", "packbits"):
        made[f"tif {compression}"] = saved(PHOTOGRAPH, "TIFF", compression=compression)
    for extension in (".jp2", ".avif"):
        if cv2.haveImageWriter(extension):
            made[extension[1:]] = cv2.imencode(extension, rgb)[1].tobytes()
    return made


def saved(image: Image.Image, form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def png_chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    chunks, at = [], len(PNG)
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        chunks.append((bytes(content[at + 4 : at + 8]), bytes(content[at + 8 : at + 8 + length])))
        at += 12 + length
    return chunks


def join_png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    ]
    return PNG + b"".join(parts)


def png(width: int, height: int, compressed: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return join_png([(b"IHDR", header), (b"IDAT", compressed), (b"IEND", b"")])


def compressed_zeros(length: int) -> bytes:
    """So many zeros, deflated to a thousandth."""
    packer, block = zlib.compressobj(1), bytes(1 << 20)
    parts = [packer.compress(block) for _ in range(length >> 20)]
    return b"".join([*parts, packer.compress(bytes(length & 0xFFFFF)), packer.flush()])

"""Cases for the reader of LMDBs: databases damaged in their bytes, their pages, their sizes and their values."""

import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
from fuzz_images import samples
from fuzz_mutations import NO_FILES, NUMBERS, mutate
from lmdb_samples import PHOTOGRAPH, bgr, dan_meta, write_foreign
from PIL import Image
from plidenet.data import lmdb_store
from plidenet.data.lmdb_store import LmdbStore
from plidenet.data.stores import open_store

PAGE = 4096
READ = 120  # images of a store, at most


class Databases:
    """A damaged data.mdb beside a sound meta file, in both dialects, with small images (many of a page) and large."""

    writes = False

    def __init__(self, folder: Path) -> None:
        images = {f"sig1.8_{i:03d}": PHOTOGRAPH[i : i + 4, i : i + 7] for i in range(100)}
        images |= {f"large_{i}": PHOTOGRAPH[i : i + 40, : 50 + i] for i in range(3)}
        sizes = [f"3_{image.shape[0]}_{image.shape[1]}" for image in images.values()]
        lines = "".join(f"{key}.png ({image.shape[0]},{image.shape[1]},3) 1\n" for key, image in images.items())
        (folder / "dan").mkdir()
        (folder / "basicsr").mkdir()
        values = {key: bgr(image) for key, image in images.items()}
        files = {key: png(image) for key, image in images.items()}
        self.stores = [
            Store(write_foreign(folder / "dan", values, dan_meta(list(images), sizes))),
            Store(write_foreign(folder / "basicsr", files, lines.encode(), "meta_info.txt")),
        ]
        self.pictures = samples()
        self.kinds = [self.damage, self.damage, *[self.page_heads] * 4, *[self.nodes] * 4, self.meta_pages, self.sizes]
        self.kinds += [self.values, self.strange_files]

    def case(self, rng: Random, number: int, folder: Path) -> Callable[[], object]:
        store = rng.choice(self.stores)
        (folder / store.meta_name).write_bytes(store.meta)
        self.kinds[number % len(self.kinds)](rng, store, folder)
        return lambda: read(folder)

    def damage(self, rng: Random, store: "Store", folder: Path) -> None:
        (folder / "data.mdb").write_bytes(mutate(rng, store.data))

    def page_heads(self, rng: Random, store: "Store", folder: Path) -> None:
        """Other flags, bounds and offsets in the first bytes of pages."""
        content = bytearray(store.data)
        for _ in range(rng.choice((1, 1, 3))):
            at = PAGE * rng.randrange(len(content) // PAGE) + rng.choice((*range(0, 20, 2), *range(20, 300, 2)))
            content[at : at + 2] = struct.pack("<H", rng.choice([*NUMBERS, at % PAGE, 4, 16, 17, 4095, 4096]) & 0xFFFF)
        (folder / "data.mdb").write_bytes(content)

    def nodes(self, rng: Random, store: "Store", folder: Path) -> None:
        """Other sizes, flags and page numbers in the nodes of a tree's page."""
        content = bytearray(store.data)
        page = PAGE * rng.choice(store.tree_pages)
        (lower,) = struct.unpack_from("<H", content, page + 12)
        for _ in range(rng.choice((1, 1, 3))):
            (offset,) = struct.unpack_from("<H", content, page + rng.randrange(16, lower, 2))
            field = page + offset + rng.choice((0, 2, 4, 6, 8, 8 + content[page + offset + 6]))
            value = rng.choice([*NUMBERS, rng.randrange(256), rng.randrange(1 << 16)])
            content[field : field + 2] = struct.pack("<H", value & 0xFFFF)
        (folder / "data.mdb").write_bytes(content)

    def meta_pages(self, rng: Random, store: "Store", folder: Path) -> None:
        """Any field of the two pages that everything starts from."""
        content = bytearray(store.data)
        field, width = rng.choice([(8, 2), (10, 2), (16, 4), (20, 4), (24, 8), (32, 8), (40, 4), (44, 2), (46, 2)])
        if rng.random() < 0.6:
            field, width = rng.choice([(80, 8), (88, 4), (92, 2), (94, 2), (112, 8), (128, 8), (136, 8), (144, 8)])
        value = rng.choice([*NUMBERS, 16, 512, 8192, 65_536, 2**20, len(content) // PAGE, len(content)])
        for page in rng.choice(((0,), (1,), (0, 1))):
            at = PAGE * page + field
            content[at : at + width] = (value % 256**width).to_bytes(width, "little")
        (folder / "data.mdb").write_bytes(content)

    def sizes(self, rng: Random, store: "Store", folder: Path) -> None:
        """Files cut between pages, or grown."""
        pages = rng.randrange(len(store.data) // PAGE + 3)
        (folder / "data.mdb").write_bytes(store.data[: PAGE * pages].ljust(PAGE * pages, rng.choice((b"\0", b"\xff"))))

    def values(self, rng: Random, store: "Store", folder: Path) -> None:
        """A sound database, in which the images are not."""
        names = ["a", "b", "c"]
        picture = self.pictures[rng.choice(list(self.pictures))]
        values = {name: rng.choice((mutate(rng, picture), b"", bytes(300), rng.randbytes(84))) for name in names}
        made = write_foreign(folder, values, b"")
        for name in ("meta_info.txt", "meta_info.pkl"):
            (folder / name).unlink(missing_ok=True)
        (made / "data.mdb").rename(folder / "data.mdb")
        (folder / "meta_info.txt").write_text("".join(f"{name}.png (33,40,3) 1\n" for name in names))

    def strange_files(self, rng: Random, store: "Store", folder: Path) -> None:
        path, way = folder / "data.mdb", rng.randrange(6)
        if way < len(NO_FILES):
            NO_FILES[way](path)
        elif way == 4:
            path.write_bytes(rng.choice((b"", b"\0", store.data[:1000], rng.randbytes(PAGE * 3))))
        else:
            path.write_bytes(store.data[:PAGE])
            os.truncate(path, 1 << 40)


class Store:
    """A sound LMDB's files, and which of its pages are branches and leaves."""

    def __init__(self, folder: Path) -> None:
        self.data = (folder / "data.mdb").read_bytes()
        (meta,) = folder.glob("meta_info.*")
        self.meta_name, self.meta = meta.name, meta.read_bytes()
        flags = [struct.unpack_from("<H", self.data, at + 10)[0] for at in range(0, len(self.data), PAGE)]
        self.tree_pages = [number for number, flag in enumerate(flags) if flag in (1, 2)]
        assert 1 in flags, "there are so many keys that the tree has a branch"


def read(folder: Path) -> None:
    """As datasets do: all sizes first, then the images."""
    try:
        store = open_store(folder)
        assert isinstance(store, LmdbStore)
        sizes = {key: store.size(key) for key in store.keys}
        for key in list(sizes)[:READ]:
            image = store.read(key)
            assert image.dtype == np.uint8
            assert image.shape == (*sizes[key], 3)
    finally:
        lmdb_store._environment.cache_clear()


def png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG")
    return buffer.getvalue()

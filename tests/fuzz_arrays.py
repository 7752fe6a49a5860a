"""Cases for the readers of true kernels (.npy) and of a benchmark's manifest.json."""

import io
import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from fuzz_checkpoints import zipped
from fuzz_lmdb_meta import harm
from fuzz_mutations import NO_FILES, NUMBERS, TEXTS, mutate, mutate_text
from plidenet.config import DatasetOptions
from plidenet.data.datasets import KernelFolder
from plidenet.degradation import isotropic_gaussian
from plidenet.evaluation.conditions import find_conditions
from plidenet.evaluation.kernel_scores import score_kernel

KERNEL = isotropic_gaussian(21, 1.8)
DTYPES = ["f2", "f4", "f8", ">f8", "c16", "i4", "u1", "?", "S4", "U4", "M8[s]", "m8[s]", "V4", "f4,i4"]


class Kernels:
    """A file of a true kernel, which an estimated one is then measured by."""

    writes = False

    def __init__(self, folder: Path) -> None:
        self.kinds = [self.damaged, self.header, self.arrays, self.arrays, self.no_array, self.strange_files]

    def case(self, rng: Random, number: int, folder: Path) -> Callable[[], object]:
        self.kinds[number % len(self.kinds)](rng, folder / "a.npy")
        return lambda: read_kernel(folder)

    def damaged(self, rng: Random, path: Path) -> None:
        path.write_bytes(mutate(rng, npy(KERNEL.numpy())))

    def header(self, rng: Random, path: Path) -> None:
        """A header that claims something else than there is, or is an expression."""
        shape = rng.choice(
            ("(21, 21)", "()", "(-21, -21)", f"({rng.choice(NUMBERS)}, 21)", f"({2**62}, 4)", "(21,)", "21", "(2.5,)")
        )
        descr = rng.choice(
            [repr(kind) for kind in DTYPES] + ["'O'", "None", "[('a', 'f4')]", "__import__('os').system('x')"]
        )
        order = rng.choice(("False", "True", "1", "None"))
        text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
        text = rng.choice((text, text, "(" * 1000, "{}", "1", "0" * 20_000, mutate_text(rng, text)))
        head = text.encode("latin-1", "replace").ljust(117) + b"\n"
        size = min(len(head), 65_535).to_bytes(2, "little")
        path.write_bytes(
            b"\x93NUMPY" + rng.choice((b"\1\0", b"\1\0", b"\2\0", b"\3\0", b"\x09\0")) + size + head + bytes(441 * 4)
        )

    def arrays(self, rng: Random, path: Path) -> None:
        """Sound files of what is no kernel."""
        shape = rng.choice(
            (
                (21, 21),
                (21, 21),
                (1, 1),
                (3,),
                (),
                (0, 0),
                (0, 21),
                (21, 20),
                (20, 20),
                (1, 21, 21),
                (2,) * 9,
                (501, 501),
            )
        )
        with np.errstate(all="ignore"):
            array = np.resize(KERNEL.numpy(), shape).astype("f8")
            array = array * rng.choice((1, 1, 0, -1, 1e300, np.nan, np.inf, -np.inf))
            array = array.astype(rng.choice(DTYPES[:7])) if rng.random() < 0.6 else np.zeros(shape, rng.choice(DTYPES))
        path.write_bytes(npy(np.asfortranarray(array) if rng.random() < 0.3 else array))

    def no_array(self, rng: Random, path: Path) -> None:
        """Objects, pickles, archives, texts."""
        buffer = io.BytesIO()
        np.savez(buffer, KERNEL.numpy())
        objects = npy(np.array([[{}, harm(rng)]], object))
        archive = zipped([("arr_0.npy", rng.choice((b"", objects, npy(np.zeros(3)))))], 8)
        texts = (b"", b"0 0 0\n", b"\x93NUMPY", bytes(1000), rng.choice(TEXTS).encode("utf-8", "replace"))
        path.write_bytes(
            rng.choice((buffer.getvalue(), archive, objects, pickle.dumps(harm(rng)), pickle.dumps([1]), *texts))
        )

    def strange_files(self, rng: Random, path: Path) -> None:
        way = rng.randrange(5)
        if way < len(NO_FILES):
            NO_FILES[way](path)
        else:
            path.write_bytes(npy(np.zeros((1000, 1000), "f4")).replace(b"(1000, 1000)", b"(10**5, 2**9)"))
            os.truncate(path, 1 << 40)


class Manifests:
    """A manifest.json beside a set's LR images."""

    writes = False

    def __init__(self, folder: Path) -> None:
        images = [
            {"name": "sig1.8_a", "source": "a.png", "kernel": {"sigma": 1.8}, "hr_size": [8, 8], "lr_size": [2, 2]}
        ]
        first = {"scale": 4, "setting": 1, "ksize": 21, "sigmas": [1.8, 2.0], "images": images}
        second = {
            "scale": 4,
            "setting": 2,
            "ksize": 21,
            "seed": 0,
            "downsample": "direct",
            "center": 0.5,
            "images": images,
        }
        self.sound = [{"x4": first}, {"x4": second}, {"x2": second, "x4": first}]
        self.kinds = [self.damaged, self.lines, self.values, self.values, self.no_json]

    def case(self, rng: Random, number: int, folder: Path) -> Callable[[], object]:
        (folder / "manifest.json").write_bytes(self.kinds[number % len(self.kinds)](rng))
        return lambda: read_manifest(folder)

    def damaged(self, rng: Random) -> bytes:
        return mutate(rng, json.dumps(rng.choice(self.sound)).encode())

    def lines(self, rng: Random) -> bytes:
        return mutate_text(rng, json.dumps(rng.choice(self.sound), indent=1)).encode("utf-8", "surrogatepass")

    def values(self, rng: Random) -> bytes:
        """Sound JSON with other values, or without some."""
        made = json.loads(json.dumps(rng.choice(self.sound)))
        section = rng.choice((made, made["x4"], made["x4"]))
        name = rng.choice(list(section))
        others: list[Any] = [
            None,
            True,
            -1,
            1.5,
            [],
            {},
            "x",
            [None],
            ["a"],
            [[1]],
            float("nan"),
            float("inf"),
            1e400,
            [1e400],
            10**400,
        ]
        section[name] = rng.choice([*others, [10**400], [float("nan")], [], [1, -1], *TEXTS, [1] * 10_000])
        if rng.random() < 0.2:
            del section[name]
        return json.dumps(made).encode("utf-8", "surrogatepass")

    def no_json(self, rng: Random) -> bytes:
        depth = rng.choice((100, 100_000))
        nests = (b"[" * depth, b'{"a":' * depth, b"[" * depth + b"]" * depth, b'{"x4":' * depth + b"1" + b"}" * depth)
        others = (
            b"",
            b"null",
            b"[]",
            b'"x4"',
            b"{}",
            b"\xff",
            b"\xef\xbb\xbf{}",
            b"9" * 5000,
            b'{"x4": 1, "x4": 2}',
            b'{"x4": ' + b"9" * 5000 + b"}",
        )
        return rng.choice((*nests, *others, '{"a": 1}'.encode("utf-16"), b'{"a": "\\ud800"}', rng.randbytes(100)))


def read_kernel(folder: Path) -> None:
    """As testing does, which then measures the estimated kernel by it."""
    kernel = KernelFolder(folder, ["a"]).read("a")
    assert kernel.dtype == torch.float32
    score = score_kernel(
        KERNEL.float(), kernel, torch.zeros(3, 64, 64, dtype=torch.uint8), torch.zeros(3, 16, 16, dtype=torch.uint8)
    )
    assert all(
        np.isfinite(number) or number == np.inf for number in (score.kernel_psnr, score.kernel_l1, score.kernel_shift)
    )


def read_manifest(folder: Path) -> None:
    """As testing does, for the note under its tables."""
    dataset = DatasetOptions(name="Set", mode="LQ", dataroot_LQ=folder / "LRblur/x4")
    assert find_conditions(dataset, ["sig1.8_a"], 4).text


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()

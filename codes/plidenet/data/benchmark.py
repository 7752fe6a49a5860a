"""Benchmark sets from folders of HR images: HR, blurred LR, plain bicubic LR and the kernels, as files and as LMDB.

Everything is computed in float64 on the CPU, so that the same images give the same files everywhere. Layout, for
scale 4:

    HR/x4/<name>.png  LRblur/x4/<name>.png  Bic/x4/<name>.png  kernel/x4/<name>.npy
    HR_x4.lmdb  LRblur_x4.lmdb
    manifest.json

with <name> the HR file's name, in setting 1 prefixed with the kernel's width: sig1.8_baby. Several scales can share a
folder; the manifest holds, under "x2", "x3" and "x4", the setting of each and the kernel and sizes of each image.
"""

import hashlib
import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import plidenet
from plidenet.cli import progress
from plidenet.data.images import named_images, read_image, write_image
from plidenet.data.kernel_files import kernel_files, read_kernel
from plidenet.data.lmdb_store import require_keys, write_lmdb
from plidenet.degradation import (
    SETTING2_WIDTHS,
    Downsampling,
    anisotropic_gaussian,
    degrade,
    direct_center,
    disturb_taps,
    draw_anisotropic,
    imresize,
    isotropic_gaussian,
)
from plidenet.errors import UserError
from plidenet.files import staged, write_file
from plidenet.pixels import to_array, to_tensor, to_uint8

log = logging.getLogger(__name__)
MANIFEST = "manifest.json"
MAX_WIDTH = 1e6  # HR pixels: kernels as wide or wider are refused


@dataclass(frozen=True)
class Blur:
    """A kernel for one image.

    Attributes:
        name: what the pair's files are called, without extension.
        kernel: float64 (k,k).
        parameters: where the kernel comes from, for the manifest.
    """

    name: str
    kernel: np.ndarray
    parameters: dict[str, float]


@dataclass(frozen=True)
class Setting:
    """How the kernels of a benchmark are chosen, and what follows the blur.

    Attributes:
        blurs: from an image's name to the blurs that it gets.
        description: for the manifest.
        downsample: see `plidenet.degradation.degrade`.
    """

    blurs: Callable[[str], list[Blur]]
    description: dict[str, Any]
    downsample: Downsampling = "bicubic"


def setting1(sigmas: Sequence[float], size: int) -> Setting:
    """Isotropic Gaussians: every image with each of the widths `sigmas`.

    Args:
        sigmas: in HR pixels, positive, different when rounded to four decimals.
        size: side of the kernels, odd.

    Raises:
        UserError: invalid widths or an even size.
    """
    labels = [f"sig{round(sigma, 4)}_" for sigma in sigmas]
    if not all(0 < sigma < MAX_WIDTH for sigma in sigmas) or len(set(labels)) < len(labels):
        raise UserError(f"kernel widths must be positive and different, not {', '.join(map(str, sigmas))}")
    _require_odd(size)
    needed = 2 * math.ceil(3 * (widest := max(sigmas))) + 1
    if size < needed:
        log.warning("kernels of %dx%d truncate a Gaussian of width %g; use --ksize %d", size, size, widest, needed)
    kernels = isotropic_gaussian(size, torch.tensor(sigmas, dtype=torch.float64)).numpy()

    def blurs(name: str) -> list[Blur]:
        return [
            Blur(label + name, kernel, {"sigma": sigma})
            for label, kernel, sigma in zip(labels, kernels, sigmas, strict=True)
        ]

    return Setting(blurs, {"setting": 1, "ksize": size, "sigmas": list(sigmas)})


def setting2(seed: int, size: int, scale: int, downsample: Downsampling = "bicubic") -> Setting:
    """Anisotropic Gaussians with multiplicative noise, one per image, which depends on its name and `seed` alone.

    They are drawn as for training, and centered so that both downsamplings put the LR image at the same place, see
    `degrade`. DIV2KRK's are 11x11 at x2, applied twice at x4 (https://github.com/sefibk/KernelGAN/issues/59).

    Args:
        seed: any whole number.
        size: side of the kernels, odd.
        scale: HR size / LR size.
        downsample: "bicubic" (default) or "direct".

    Raises:
        UserError: an even size.
    """
    _require_odd(size)
    center = direct_center(scale) if downsample == "direct" else 0.0

    def blurs(name: str) -> list[Blur]:
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        width_1, width_2, angle = (drawn.double() for drawn in draw_anisotropic(1, *SETTING2_WIDTHS, generator))
        kernel = disturb_taps(anisotropic_gaussian(size, width_1, width_2, angle, center), generator)[0].numpy()
        parameters = {"width_1": width_1.item(), "width_2": width_2.item(), "angle": angle.item()}
        return [Blur(name, kernel, parameters)]

    description = {"setting": 2, "ksize": size, "seed": seed, "downsample": downsample, "center": center}
    return Setting(blurs, description, downsample)


def own_kernels(folder: Path, downsample: Downsampling = "bicubic") -> Setting:
    """Every image with each kernel of a folder; pairs are called <kernel>_<image>.

    Args:
        folder: of .npy files, each of one kernel (k,k), k odd, centered on its central tap; see `degrade`.
        downsample: "bicubic" (default) or "direct".

    Raises:
        UserError: there are none, or a file holds none.
    """
    kernels = {path.stem: read_kernel(path).astype(np.float64) for path in kernel_files(folder)}

    def blurs(name: str) -> list[Blur]:
        return [Blur(f"{label}_{name}", kernel, {}) for label, kernel in kernels.items()]

    description = {"setting": "own", "ksize": max(map(len, kernels.values())), "downsample": downsample}
    return Setting(blurs, description, downsample)


def build_benchmark(source: Path, save: Path, scale: int, setting: Setting, lmdb: str | None = None) -> dict[str, Path]:
    """Make HR, LRblur, Bic, kernel and the manifest from a folder of HR images, and LMDBs of HR and LRblur.

    Args:
        source: folder of HR images.
        save: where everything goes, e.g. datasets/Set5/setting1.
        scale: HR size / LR size.
        setting: from `setting1`, `setting2` or `own_kernels`.
        lmdb: format of the LMDBs, "dan" or "basicsr"; None (default) leaves them out.

    Returns:
        the fields `dataroot_GT`, `dataroot_LQ` and `dataroot_kernel` of an option file.

    Raises:
        UserError: a missing, unreadable or too small image, two of one name, a name that LMDBs cannot hold, an existing
            target, a damaged manifest.
    """
    read_manifest(save)  # a damaged one is refused before the work, and so are names that LMDBs cannot hold
    if lmdb:
        require_keys(named_images(source))
    made = {kind: f"{kind}/x{scale}" for kind in ("HR", "LRblur", "Bic", "kernel")}
    stores = {kind: f"{kind}_x{scale}.lmdb" for kind in ("HR", "LRblur")} if lmdb else {}
    with staged(save, [*made.values(), *stores.values()]) as folder:
        summary = _write_blurred(source, folder, scale, setting)
        if lmdb:
            for kind, store in stores.items():
                write_lmdb(folder / store, named_images(folder / made[kind]), lmdb)
    _update_manifest(save, scale, summary)
    pairs = made | stores
    fields = {"dataroot_GT": "HR", "dataroot_LQ": "LRblur", "dataroot_kernel": "kernel"}
    return {field: save / pairs[kind] for field, kind in fields.items()}


def generate_bicubic(source: Path, save: Path, scale: int) -> None:
    """Make HR/x<scale> and Bic/x<scale>, without blur; arguments as for `build_benchmark`.

    Raises:
        UserError: a missing, unreadable or too small image, two of one name, an existing target.
    """
    with staged(save, [f"HR/x{scale}", f"Bic/x{scale}"]) as folder:
        for name, path in progress(named_images(source).items(), "bicubic"):
            hr = read_cropped(path, scale)
            _write_png(folder, "HR", scale, name, hr)
            _write_png(folder, "Bic", scale, name, imresize(hr, 1 / scale))


def degrade_image(hr: np.ndarray, kernel: np.ndarray, scale: int, downsample: Downsampling = "bicubic") -> np.ndarray:
    """Blur, downsample and round one image.

    Args:
        hr: uint8 (H,W,3), H and W multiples of `scale`.
        kernel: float64 (k,k).
        scale: HR size / LR size.
        downsample: "bicubic" (default) or "direct".

    Returns:
        uint8 (H/scale,W/scale,3).
    """
    image = to_tensor(hr)[None].double() / 255
    return to_array(to_uint8(degrade(image, torch.from_numpy(kernel), scale, downsample)[0]))


def read_cropped(path: Path, scale: int, radius: int = 0) -> np.ndarray:
    """An image cut at the right and bottom to multiples of `scale`; UserError where no more than `radius` remains."""
    image = read_image(path)
    height, width = (length - length % scale for length in image.shape[:2])
    if min(height, width) <= radius:
        raise UserError(f"{path}: {image.shape[0]}x{image.shape[1]} pixels are too few for this scale and kernel")
    return np.ascontiguousarray(image[:height, :width])


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a benchmark, by scale ("x4"): empty where there is none yet, UserError where it is damaged."""
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}") from error
    if not isinstance(manifest, dict) or not all(isinstance(made, dict) for made in manifest.values()):
        raise UserError(f"{path} is damaged: it holds no object with the scales")
    for scale, made in manifest.items():
        sized, widths = isinstance(made.get("ksize"), int), made.get("sigmas")
        wide = isinstance(widths, list) and len(widths) > 0 and all(map(_is_width, widths))
        if not sized or (made.get("setting") == 1 and not wide):
            raise UserError(f"{path} is damaged: {scale} lacks a valid ksize or sigmas")
    return manifest


def _is_width(value: Any) -> bool:
    return isinstance(value, int | float) and 0 < value < MAX_WIDTH


def _update_manifest(folder: Path, scale: int, summary: dict[str, Any]) -> None:
    manifest = dict(sorted({**read_manifest(folder), f"x{scale}": summary}.items()))
    write_file(folder / MANIFEST, json.dumps(manifest, indent=1) + "\n")


def _require_odd(size: int) -> None:
    if size < 1 or size % 2 == 0:
        raise UserError(f"a kernel's size must be odd, not {size}")


def _write_blurred(source: Path, folder: Path, scale: int, setting: Setting) -> dict[str, Any]:
    """Write everything but the manifest to `folder`, and return what the manifest says of this scale."""
    radius = setting.description["ksize"] // 2
    kernels = folder / "kernel" / f"x{scale}"
    kernels.mkdir(parents=True, exist_ok=True)
    entries = []
    for name, path in progress(named_images(source).items(), "blur and downsample"):
        hr = read_cropped(path, scale, radius)
        bicubic = imresize(hr, 1 / scale)
        for blur in setting.blurs(name):
            if (kernel := kernels / f"{blur.name}.npy").exists():
                raise UserError(f"two pairs would be called {blur.name}: rename an image or a kernel")
            _write_png(folder, "HR", scale, blur.name, hr)
            _write_png(folder, "LRblur", scale, blur.name, degrade_image(hr, blur.kernel, scale, setting.downsample))
            _write_png(folder, "Bic", scale, blur.name, bicubic)
            np.save(kernel, blur.kernel.astype(np.float32))
            sizes = {"hr_size": hr.shape[:2], "lr_size": bicubic.shape[:2]}
            entries.append({"name": blur.name, "source": path.name, "kernel": blur.parameters, **sizes})
    return {"plidenet": plidenet.__version__, "scale": scale, **setting.description, "images": entries}


def _write_png(folder: Path, kind: str, scale: int, name: str, image: np.ndarray) -> None:
    write_image(folder / kind / f"x{scale}" / f"{name}.png", image)

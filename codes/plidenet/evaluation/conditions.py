"""How the LR images of a test set were made, as far as that can be known: it stands under every table."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plidenet.config import DatasetOptions
from plidenet.data.benchmark import MANIFEST, read_manifest
from plidenet.data.pairing import split_width
from plidenet.degradation import KERNEL_SIZE, gaussian8_sigmas

BICUBIC = "MATLAB's bicubic downsampling"


@dataclass(frozen=True)
class Conditions:
    """The degradation of a test set.

    Attributes:
        text: what is known of it, for a note.
        widths: of the isotropic Gaussian kernels, in HR pixels, ascending; none with other kernels.
        setting: 1 for Gaussian8, its eight widths of kernels 21x21; 2 for DIV2KRK as published; None for all else.
            Published scores are of one of the two. Gaussian8 is the same whoever makes it; random kernels are not: a
            set of setting 2 that was made here, by whichever downsampling, has other kernels than the published one
            and so other scores, even with the same HR images and name.
        bicubic: whether blurred images are known to be downsampled by bicubic, as in training.
        blurred: whether there was blur; without it, there is no true kernel.
    """

    text: str
    widths: tuple[float, ...] = ()
    setting: int | None = None
    bicubic: bool = True
    blurred: bool = True


def find_conditions(dataset: DatasetOptions, keys: Sequence[str], scale: int) -> Conditions:
    """What manifest.json beside the LR images says, or else what the images' names tell.

    The manifest is of the images in LRblur; of others beside it, such as noisy ones, it says nothing.

    Args:
        dataset: section of the option file, with LR images.
        keys: the LR images' names.
        scale: HR size / LR size.

    Raises:
        UserError: a damaged manifest.
    """
    assert dataset.dataroot_LQ is not None
    kind, folder = _kind_and_folder(dataset.dataroot_LQ, scale)
    if kind == "Bic":
        return Conditions(f"{BICUBIC} without blur: not a blind benchmark", blurred=False)
    if kind != "LRblur" and (folder / MANIFEST).exists():
        return Conditions(f"degradation not known: {MANIFEST} is of the images in LRblur, not {kind}", bicubic=False)
    made = read_manifest(folder).get(f"x{scale}")
    if made and made.get("setting") == 1:
        return _isotropic(made["sigmas"], made["ksize"], f"says {MANIFEST}", scale)
    if made and "setting" in made:
        kind = "random anisotropic Gaussian kernels" if made.get("setting") == 2 else "given kernels, the largest"
        kind += f" of seed {made['seed']}," if "seed" in made else ""
        kernels = f"{kind} {made['ksize']}x{made['ksize']} (says {MANIFEST})"
        if made.get("downsample") == "direct":
            direct = f"direct downsampling that keeps one pixel of every {scale}x{scale}"
            return Conditions(f"{kernels}; {_pipeline(direct)}", bicubic=False)
        return Conditions(f"{kernels}; {_pipeline(BICUBIC)}")
    widths = [split_width(key)[0] for key in keys]
    if None not in widths:
        return _isotropic(widths, None, "by the images' names", scale)
    if dataset.name == "DIV2KRK":
        return Conditions("random anisotropic kernels of KernelGAN's benchmark, as published", setting=2, bicubic=False)
    unknown = f"degradation not known: there is no {MANIFEST}, and no sig<width>_ in the images' names"
    return Conditions(unknown, bicubic=False)


def _isotropic(widths: Sequence[Any], ksize: int | None, origin: str, scale: int) -> Conditions:
    known = tuple(sorted({round(float(width), 4) for width in widths}))
    eight = known == tuple(round(sigma, 4) for sigma in gaussian8_sigmas(scale))
    gaussian8 = eight and ksize in (KERNEL_SIZE, None)
    size = f"{ksize}x{ksize}, " if ksize else ""
    listed = ", ".join(f"{width:g}" for width in known)
    name = "Gaussian8: " if gaussian8 else ""
    text = f"{name}isotropic Gaussian kernels {size}widths {listed} HR pixels ({origin}); {_pipeline(BICUBIC)}"
    return Conditions(text, known, 1 if gaussian8 else None)


def _pipeline(downsampling: str) -> str:
    return f"blur with reflect padding, {downsampling}, rounded to 8 bits"


def _kind_and_folder(root: Path, scale: int) -> tuple[str, Path]:
    """Kind of LR images and benchmark folder: (Bic, F) of F/Bic/x4 and F/Bic_x4.lmdb."""
    if root.name == f"x{scale}":
        return root.parent.name, root.parent.parent
    return root.name.partition(f"_x{scale}")[0], root.parent

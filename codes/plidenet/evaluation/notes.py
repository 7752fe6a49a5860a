"""What stands under a table, so that its numbers can be compared with others."""

import hashlib
from collections.abc import Iterable

from plidenet.evaluation.measurement import MeasuredSet, Measurement


def protocol(border: int) -> str:
    """How scores are measured."""
    return (
        f"Mean over the images of each set; {border} pixels cropped from each side; output clamped, rounded to 8 bits."
    )


def degradations(sets: Iterable[MeasuredSet]) -> list[str]:
    """One line for each set: its images, and how they were made."""
    return [f"- {one.name}: {len(one.scores)} images; {one.conditions.text}." for one in sets]


def procedure(name: str, measurement: Measurement) -> list[str]:
    """What restored the images under this name, and how, where that was not in one go: a line each."""
    test, path, lines = measurement.options.test, measurement.options.path.pretrain_model_G, []
    if measurement.cost is None:
        lines.append(f"- {name}: images that another program restored.")
    elif path is not None and path.is_file():
        place = "/".join(path.parts[-3:]).lstrip("/")  # best_G.pth alone says little
        lines.append(f"- {name}: weights {place}, sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}.")
    if test.ensemble:
        lines.append(f"- {name}: outputs for the eight orientations of each image averaged (x8 self-ensemble).")
    if test.true_kernels:
        lines.append(f"- {name}: restored with the true kernels in place of estimates, so not blindly.")
    if measurement.tiled:
        size = "as large as memory allowed" if test.tile == "auto" else f"of {test.tile} LR pixels"
        lines.append(f"- {name}: refined in tiles {size} that overlap by {test.overlap}, smaller images whole.")
    return lines


def caption(measurement: Measurement) -> str:
    """Under the table of one network."""
    options = measurement.options
    lines = [
        f"{measurement.method}, scale {options.scale}. {protocol(options.border)} psnr_y and ssim_y on the luma of "
        "BT.601 (16-235), psnr_rgb and ssim_rgb on all three channels.",
        "",
        *degradations(measurement.scored),
        *procedure(measurement.method, measurement),
    ]
    return "\n".join(lines)

"""The files that testing one network leaves, but for the restored images."""

import logging
from pathlib import Path

from plidenet.config import Options
from plidenet.data.images import write_image
from plidenet.evaluation.kernel_scores import draw_pairs
from plidenet.evaluation.measurement import MeasuredSet, Measurement
from plidenet.evaluation.notes import caption, protocol
from plidenet.evaluation.tables import (
    mean_score,
    write_image_scores,
    write_kernel_table,
    write_perceptual_table,
    write_score_table,
    write_width_table,
)

log = logging.getLogger(__name__)


def write_set(folder: Path, one: MeasuredSet, options: Options) -> None:
    """Write the scores of a set's images and, with `test.save_images`, a picture of its kernels into a folder."""
    write_image_scores(folder / f"{one.name}.csv", one.images)
    if one.kernels and options.test.save_images:
        write_image(folder / f"{one.name}_kernels.png", draw_pairs(one.kernels))
    if one.scores:
        mean = mean_score(one.scores.values())
        log.info("%s: PSNR %.3f dB, SSIM %.4f on Y (crop %d)", one.name, mean.psnr_y, mean.ssim_y, options.border)


def write_report(folder: Path, measurement: Measurement) -> str:
    """Write the tables that `plidenet.evaluation.tester.test` lists into a folder that has none.

    Returns:
        the tables as Markdown, with what stands beneath them.
    """
    options, sets = measurement.options, measurement.sets
    by_name = {one.name: one.scores.values() for one in sets}
    scores = write_score_table(folder, by_name, options.border, caption(measurement))
    widths = write_width_table(folder, ["dataset"], {(one.name,): one for one in sets})
    kernels = write_kernel_table(folder, ["dataset"], {(one.name,): one.kernels for one in sets})
    perceptual = write_perceptual_table(
        folder, measurement.metrics, {one.name: one.perceptual for one in sets}, protocol(options.border)
    )
    return "\n".join(filter(None, (scores, widths, kernels, perceptual)))

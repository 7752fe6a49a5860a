"""Restore one's own images."""

import logging
from dataclasses import replace
from pathlib import Path

from plidenet import distributed
from plidenet.cli import progress
from plidenet.config import Options
from plidenet.data.images import list_images, read_image
from plidenet.device import choose_device
from plidenet.errors import UserError
from plidenet.evaluation.candidate import as_tested, load_network
from plidenet.evaluation.evaluator import restore
from plidenet.evaluation.saving import ImageSaver
from plidenet.evaluation.tiling import advising_tiles, works_in_tiles
from plidenet.pixels import to_tensor

log = logging.getLogger(__name__)


def infer(options: Options, source: Path, target: Path, weights: Path | None) -> None:
    """Restore one image or every image of a folder: <target>/<image>.png and <target>/kernels/<image>.npy and .png.

    Several processes share the images. If `test.tile` is not set, those too large for the memory are refined in tiles
    (`auto`).

    Args:
        options: the network (and device) to use; the data sets are not looked at.
        source: LR image, or folder of them: PNG, JPEG, BMP, WebP, TIFF, gray and with alpha too.
        target: folder to write to.
        weights: instead of the option file's.

    Raises:
        UserError: `test.true_kernels`, missing weights or images; `target` is the images' folder, or holds a file to be
            replaced that no earlier call restored; or, when all others are restored, images that are unreadable, too
            small, too large or of one name.
    """
    if options.test.true_kernels:
        raise UserError("test.true_kernels needs a set with dataroot_kernel, which test.py measures")
    single = source.is_file()
    paths = [source] if single else list_images(source)
    files: dict[str, Path] = {}
    failures = []
    for file in paths:
        if files.setdefault(file.stem, file) != file:
            failures.append(f"{file}: {files[file.stem].name} would be restored under the same name")
    if (source.parent if single else source).resolve() == target.resolve():
        raise UserError(f"{target} holds the input images, which could be overwritten; choose another output folder")
    share = list(files.items())[distributed.rank() :: distributed.world_size()]
    save = ImageSaver(target, options.suffix)
    if foreign := save.foreign(dict(share)):
        raise UserError(f"{foreign} exists, and is no earlier result of this program; choose another folder")
    device = choose_device(options)
    net = load_network(options, weights)
    if options.test.tile is None and works_in_tiles(net):
        options = replace(options, test=replace(options.test, tile="auto"))
    net = as_tested(net, options).to(device).eval()
    failures = failures if distributed.is_main() else []
    for name, file in progress(share, source.name) if distributed.is_main() else share:
        try:
            with advising_tiles():
                save(restore(net, to_tensor(read_image(file)), device, name))
        except UserError as error:
            if len(paths) == 1:
                raise
            failures.append(str(error))
    log.info("results are in %s", target)
    if failures := distributed.gather_interleaved(failures):  # the first process to end with an error ends the others
        for failure in failures:
            log.warning("not restored: %s", failure)
        raise UserError(f"{len(failures)} of {len(paths)} images were not restored; the first: {failures[0]}")

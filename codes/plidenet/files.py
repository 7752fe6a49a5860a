"""Files and folders that appear whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from plidenet.errors import UserError


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary path beside `target`, renamed to it when the block ends well and removed when it does not.

    Args:
        target: the file or folder to write; its parent is created. An existing file is replaced, an existing folder
            is not (OSError).
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    with _parents_made(target):
        try:
            yield temporary
            temporary.replace(target)
        except BaseException:
            if temporary.is_dir():
                shutil.rmtree(temporary)
            else:
                temporary.unlink(missing_ok=True)
            raise


@contextmanager
def staged(save: Path, targets: Sequence[str]) -> Iterator[Path]:
    """A temporary folder beside `save` to fill with `targets`, which move to `save` when all went well.

    Args:
        save: final folder, which may exist.
        targets: files and folders, relative, none of which may exist in `save` yet.

    Raises:
        UserError: a target exists, or `save` is a file.
    """
    for path in (save / target for target in targets):
        if path.exists():
            raise UserError(f"{path} exists already: remove it, or choose another folder")
    if save.exists() and not save.is_dir():
        raise UserError(f"{save} is a file, not a folder")
    with _parents_made(save), tempfile.TemporaryDirectory(prefix=f".{save.name}.", dir=save.parent) as temporary:
        folder = Path(temporary)
        yield folder
        for target in targets:
            (save / target).parent.mkdir(parents=True, exist_ok=True)
            (folder / target).rename(save / target)


@contextmanager
def _parents_made(path: Path) -> Iterator[None]:
    """Make the folders above `path`, and remove again those that were missing when the block fails."""
    missing = [folder for folder in path.parents if not folder.exists()]  # the innermost first
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for folder in missing:
                folder.rmdir()
        raise

"""Files and folders that appear whole or not at all."""

import os
import platform
import re
import shutil
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from plidenet.errors import UserError

HOST = f"{zlib.crc32(platform.node().encode()):08x}"  # a process number means nothing on another machine
NAME_BYTES = 200  # of the 255 that file systems allow: extensions and the like come on top


def is_file_name(name: str) -> bool:
    """Whether a text can name a file in any folder: not a path, no control characters, not too long."""
    plain = re.fullmatch(r"[^\x00-\x1f\x7f/\\\ud800-\udfff]+", name)
    return plain is not None and name not in (".", "..") and len(name.encode()) <= NAME_BYTES


@contextmanager
def replacing(target: Path, new: bool = False) -> Iterator[Path]:
    """A temporary path beside `target`, renamed to it when the block ends well and removed when it does not.

    What a process that was killed left in the same folder is removed, too.

    Args:
        target: the file or folder to write; its parent is created. An existing file is replaced, an existing folder
            is not (OSError).
        new: refuse a target that exists (UserError).
    """
    if new:
        _require_new(target)
    with _parents_made(target), naming(target):
        temporary = _temporary(target)
        try:
            yield temporary
            temporary.replace(target)
        except BaseException:
            _remove(temporary)
            raise


def write_file(path: Path, content: str | bytes) -> None:
    """Write a file, a text in UTF-8, as `replacing` does."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def staged(save: Path, targets: Sequence[str]) -> Iterator[Path]:
    """A temporary folder beside `save` to fill with `targets`, which move to `save` when all went well.

    Args:
        save: final folder, which may exist.
        targets: files and folders, relative, none of which may exist in `save` yet.

    Raises:
        UserError: a target exists, or `save` is a file.
    """
    for target in targets:
        _require_new(save / target)
    if save.exists() and not save.is_dir():
        raise UserError(f"{save} is a file, not a folder")
    with _parents_made(save), naming(save):
        folder = _temporary(save)
        folder.mkdir()
        try:
            yield folder
            for target in targets:
                (save / target).parent.mkdir(parents=True, exist_ok=True)
                (folder / target).rename(save / target)
        finally:
            _remove(folder)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Make errors of the system that name no file, such as those of a full disk, name this one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _require_new(path: Path) -> None:
    if path.exists():
        raise UserError(f"{path} exists already: remove it, or choose another folder")


def _temporary(target: Path) -> Path:
    target = target.absolute()  # "." has no name
    _clear(target.parent.resolve())
    temporary = target.with_name(f".{target.name}.{HOST}.{os.getpid()}.tmp")
    _remove(temporary)  # of a killed process that had this one's number
    return temporary


@cache
def _clear(folder: Path) -> None:
    """Remove what killed processes left unfinished in `folder`; once for each folder, for it may hold many files."""
    for path in folder.glob(f".*.{HOST}.*.tmp"):
        number = re.search(r"\.(\d+)\.tmp$", path.name)
        if number is not None and not _is_alive(int(number[1])):
            _remove(path)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _parents_made(path: Path) -> Iterator[None]:
    """Make the missing folders above `path`; if the block fails, remove them again."""
    missing = [folder for folder in path.parents if not folder.exists()]  # the innermost first
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with suppress(OSError):
            for folder in missing:
                folder.rmdir()
        raise

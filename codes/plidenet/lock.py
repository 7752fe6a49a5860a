"""One process at a time: a lock on a file, which ends with the process however it ends.

That of a machine that was lost lasts until the file server drops it.
"""

import fcntl
from pathlib import Path
from typing import IO

from plidenet.errors import UserError


def lock(path: Path, refusal: str) -> IO[str]:
    """Keep other processes, also of other machines, from locking a file.

    Args:
        path: the file, made where there is none. Its folder exists.
        refusal: what to say where another process holds it.

    Returns:
        the open file: closing it, or the end of the process, ends the lock. On a file system without locks there is
        none.

    Raises:
        UserError: another process holds the lock.
    """
    file = path.open("a", encoding="utf-8")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        file.close()
        raise UserError(refusal) from error
    except OSError:
        pass
    return file

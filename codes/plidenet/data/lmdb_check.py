"""Check that an LMDB's data file can be read safely.

The library trusts the file: a damaged or malicious number makes it read outside of the file, which kills the process
without a message. So the tree of keys is checked once before the library opens the file; the values, which are nearly
all of it, are not.

The file is a row of pages. The first two are meta pages, of which the newer one names the root of the tree; branches
hold keys and page numbers, leaves hold keys and values or, of a large value, the page where it starts. All numbers
are in the machine's own byte order. See the definitions of MDB_page, MDB_meta and MDB_node in LMDB's mdb.c.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path

MAGIC, VERSION = 0xBEEFC0DE, 1
META = struct.Struct("=10xH4x II Q Q I44x 4xH34xQ Q Q")  # a meta page from its start to its transaction's number
HEAD_BYTES = 16  # of every page; then come the offsets of its nodes
PAGE_HEAD = struct.Struct("=10xHHH")  # kind, lower and upper end of the free space
NODE_HEAD = struct.Struct("=HHHH")  # low and high half of a size or page number, flags, length of the key
BRANCH, LEAF, META_PAGE = 1, 2, 8  # kinds of pages
LARGE, NAMED = 1, 2  # flags of leaves' nodes: the value is on pages of its own; it is another database
EMPTY = 2**64 - 1  # the root of a database without keys
FIRST_PAGE = 2
CUT_SHORT = "its data.mdb has been cut short"


class Damaged(Exception):
    """The file cannot be read safely; the message says why."""


@dataclass(frozen=True)
class _Meta:
    page_size: int
    flags: int  # of the database
    root: int
    last_page: int
    transaction: int


def check_lmdb(path: Path) -> None:
    """Look through the tree of an LMDB's data.mdb.

    A file of a version of the format that is not known here is left to the library, which knows or refuses it.

    Raises:
        Damaged: reading the file with the library could end the process.
        OSError: the file cannot be read at all.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        metas = _read_metas(file.fileno(), size)
        if metas is None:
            return
        meta = metas[metas[0].transaction < metas[1].transaction]
        if (meta.last_page + 1) * meta.page_size > size:
            raise Damaged(CUT_SHORT)
        if meta.flags:
            raise Damaged("its keys are not in the order of plain texts")
        if meta.root != EMPTY:
            _check_tree(file.fileno(), meta)


def _read_metas(file: int, size: int) -> tuple[_Meta, _Meta] | None:
    """Both meta pages; None where they are of another version."""
    found: list[_Meta] = []
    for _ in range(2):
        at = found[0].page_size if found else 0
        head = os.pread(file, META.size, at)
        if len(head) < META.size:
            raise Damaged("its data.mdb is empty" if size == 0 else CUT_SHORT)
        kind, magic, version, _, _, page_size, flags, root, last_page, transaction = META.unpack(head)
        if not kind & META_PAGE or magic != MAGIC:
            raise Damaged("its data.mdb is not an LMDB file")
        if version != VERSION:
            return None
        if page_size not in (2**n for n in range(9, 17)) or (found and page_size != found[0].page_size):
            raise Damaged(f"its pages cannot be of {page_size} bytes")
        found.append(_Meta(page_size, flags, root, last_page, transaction))
    return found[0], found[1]


def _check_tree(file: int, meta: _Meta) -> None:
    waiting, seen = [meta.root], set[int]()
    while waiting:
        number = waiting.pop()
        if not FIRST_PAGE <= number <= meta.last_page or number in seen:
            raise Damaged(f"its tree of keys leads to page {number}")
        seen.add(number)
        waiting += _check_page(os.pread(file, meta.page_size, number * meta.page_size), number, meta)


def _check_page(page: bytes, number: int, meta: _Meta) -> list[int]:
    """Check one page of the tree; returns the pages beneath."""
    if len(page) < meta.page_size:
        raise Damaged(CUT_SHORT)
    kind, lower, upper = PAGE_HEAD.unpack_from(page)
    least = {BRANCH: 2, LEAF: 1}.get(kind)
    if least is None or lower % 2 or not HEAD_BYTES + 2 * least <= lower <= upper <= len(page):
        raise Damaged(f"page {number} is not one of its tree of keys")
    beneath = []
    for (offset,) in struct.iter_unpack("=H", page[HEAD_BYTES:lower]):
        end = offset + NODE_HEAD.size
        if not upper <= offset <= len(page) - NODE_HEAD.size:
            raise Damaged(f"page {number} has a key outside of it")
        low, high, flags, key_length = NODE_HEAD.unpack_from(page, offset)
        end += key_length
        if kind == BRANCH:
            beneath.append(low | high << 16 | flags << 32)
        elif flags & LARGE:
            end += 8
            if end <= len(page):
                (first,) = struct.unpack_from("=Q", page, end - 8)
                bytes_needed = first * meta.page_size + HEAD_BYTES + (low | high << 16)
                if first < FIRST_PAGE or bytes_needed > (meta.last_page + 1) * meta.page_size:
                    raise Damaged(f"page {number} has a value outside of the file")
        else:
            end += low | high << 16
        if end > len(page) or (kind == LEAF and flags & ~(LARGE | NAMED)):
            raise Damaged(f"page {number} has a key that does not fit")
    return beneath

"""Damaged LMDBs are refused with a reason, and a write that fails leaves nothing behind."""

import pickle
from io import BytesIO
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import Harm
from lmdb_samples import IMAGES, PHOTOGRAPH, bgr, dan_meta, write_foreign, write_images, write_store
from PIL import Image
from plidenet.data import lmdb_store
from plidenet.data.lmdb_store import LmdbStore, write_lmdb
from plidenet.data.stores import open_store
from plidenet.errors import UserError


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def tree_of_images():
    return ["images", *sorted(f"images/{key}.png" for key in IMAGES)]


def test_a_store_without_meta_file_is_refused(tmp_path):
    folder = write_store(tmp_path)
    (folder / "meta_info.pkl").unlink()
    with pytest.raises(UserError, match=r"has no meta_info\.pkl or meta_info\.txt: was it written completely\?"):
        open_store(folder)


def test_a_folder_that_is_no_lmdb_is_refused(tmp_path):
    (tmp_path / "a.lmdb").mkdir()
    with pytest.raises(UserError, match=r"a\.lmdb is not an LMDB: it has no data\.mdb"):
        open_store(tmp_path / "a.lmdb")
    with pytest.raises(UserError, match="no LMDB or folder at"):
        open_store(tmp_path / "b.lmdb")


@pytest.mark.parametrize(
    "meta",
    [
        b"",
        b"not a pickle",
        pickle.dumps(dan_meta(["a"], ["3_6_9"]))[:-10],
        pickle.dumps(["a"]),
        pickle.dumps({"keys": ["a"]}),
        pickle.dumps(dan_meta(["a", "b", "c"], ["3_6_9", "3_6_9"])),
        pickle.dumps(dan_meta(["a"], ["6x9"])),
        pickle.dumps(dan_meta(["a"], [np.int64(3)])),
    ],
)
def test_a_damaged_pickle_is_refused_with_one_line(tmp_path, meta):
    with pytest.raises(UserError, match=r"meta_info\.pkl is damaged: .") as caught:
        LmdbStore(write_foreign(tmp_path, {"a": bgr(PHOTOGRAPH[:6, :9])}, meta))
    assert len(str(caught.value).splitlines()) == 1


def test_a_pickle_that_would_run_code_is_refused_and_not_run(tmp_path):
    meta = dan_meta([Harm(tmp_path / "ran")], ["3_6_9"])
    folder = write_foreign(tmp_path, {"a": bgr(PHOTOGRAPH[:6, :9])}, meta)
    with pytest.raises(UserError, match=r"meta_info\.pkl is damaged: it would run posix\.mkdir"):
        LmdbStore(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("meta", [b"a.png 6 9 3\n", b"a (6,9,3) 1\n", b"a.png (6,9,3) 1\nb.png (6,", b"\xff\xfe"])
def test_a_damaged_text_is_refused(tmp_path, meta):
    with pytest.raises(UserError, match=r"meta_info\.txt is damaged: '.*' is not of the form"):
        LmdbStore(write_foreign(tmp_path, {"a": b""}, meta, "meta_info.txt"))


def test_a_key_that_the_meta_file_lists_and_the_store_lacks_is_named(tmp_path):
    store = LmdbStore(write_foreign(tmp_path, {"a": bgr(PHOTOGRAPH[:6, :9])}, dan_meta(["a", "b"], ["3_6_9"])))
    assert store.read("a").shape == (6, 9, 3)
    with pytest.raises(UserError, match="lacks the image b that its meta file lists"):
        store.read("b")


@pytest.mark.parametrize("resolution", ["3_6_8", "3_7_9", "1_6_9"])
def test_a_value_of_another_size_than_the_meta_file_says_is_refused(tmp_path, resolution):
    store = LmdbStore(write_foreign(tmp_path, {"a": bgr(PHOTOGRAPH[:6, :9])}, dan_meta(["a"], [resolution])))
    with pytest.raises(UserError, match="the image a is damaged, or not of the size"):
        store.read("a")


@pytest.mark.parametrize("line", [b"a.png (6,9,3) 1\n", b"a.png (6,8,3) 1\n"])
def test_a_png_that_is_cut_short_or_of_another_size_is_refused(tmp_path, line):
    buffer = BytesIO()
    Image.fromarray(PHOTOGRAPH[:6, :9]).save(buffer, "PNG")
    value = buffer.getvalue()[:-20] if b"9" in line else buffer.getvalue()
    with pytest.raises(UserError, match="the image a is damaged, or not of the size"):
        LmdbStore(write_foreign(tmp_path, {"a": value}, line, "meta_info.txt")).read("a")


def test_a_meta_file_that_lists_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"foreign\.lmdb holds no images"):
        LmdbStore(write_foreign(tmp_path, {}, dan_meta([], [])))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: b"", "is damaged"),
        (lambda content: bytes(len(content)), "is damaged: .*not an LMDB file"),
        (lambda content: content[: len(content) // 2], "is damaged: its data.mdb has been cut short"),
        (lambda content: content[:-4096], "is damaged: its data.mdb has been cut short"),
        (lambda content: content[:8192] + bytes(len(content) - 8192), "is damaged"),
    ],
    ids=["empty", "zeros", "half", "last page", "pages"],
)
def test_a_damaged_database_is_refused_and_does_not_end_the_process(tmp_path, damage, message):
    path = write_store(tmp_path) / "data.mdb"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=message):
        LmdbStore(path.parent).read("baby")


def test_an_existing_target_is_refused_and_kept(tmp_path):
    folder = write_store(tmp_path)
    before = (folder / "data.mdb").read_bytes()
    with pytest.raises(UserError, match=r"a\.lmdb exists already"):
        write_lmdb(folder, write_images(tmp_path / "images"))
    assert (folder / "data.mdb").read_bytes() == before


@pytest.mark.parametrize("key", ["b\u00e4r", "k" * 501])
def test_a_name_that_cannot_be_a_key_is_refused_before_work_starts(tmp_path, key):
    paths = write_images(tmp_path / "images")
    with pytest.raises(UserError, match="cannot be a key of an LMDB: it must be ASCII and at most 500 characters"):
        write_lmdb(tmp_path / "a.lmdb", {**paths, key: paths["baby"]})
    assert tree(tmp_path) == tree_of_images()


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("format", ["dan", "basicsr"])
def test_an_unreadable_image_leaves_nothing_behind(tmp_path, monkeypatch, format, workers):
    monkeypatch.setattr(lmdb_store, "TRANSACTION_BYTES", 1)
    paths = write_images(tmp_path / "images")
    last = list(paths.values())[-1]
    last.write_bytes(last.read_bytes()[:-30])
    with pytest.raises(UserError, match=r"img_001_x4\.png is not an image of 8 or 16 bits, or it is truncated"):
        write_lmdb(tmp_path / "a.lmdb", paths, format, workers)
    assert tree(tmp_path) == tree_of_images()


def test_a_write_that_is_interrupted_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(lmdb_store, "_dan_meta", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_store(tmp_path)
    assert tree(tmp_path) == tree_of_images()


def test_no_target_is_to_be_seen_before_it_is_complete_and_verified(tmp_path, monkeypatch):
    seen = []
    crc32 = lmdb_store.zlib.crc32
    looking = Mock(crc32=lambda value: seen.append((tmp_path / "a.lmdb").exists()) or crc32(value))
    monkeypatch.setattr(lmdb_store, "zlib", looking)  # Pillow's readers use the module, too
    write_store(tmp_path)
    assert len(seen) == 2 * len(IMAGES)
    assert not any(seen)


@pytest.mark.parametrize("format", ["dan", "basicsr"])
@pytest.mark.parametrize("damage", [lambda value: value[:-1] + bytes([value[-1] ^ 1]), lambda value: None])
def test_the_verification_notices_what_the_disk_did_not_keep(tmp_path, monkeypatch, format, damage):
    def forgetful(environment, entries):
        with environment.begin(write=True) as transaction:
            for entry in entries:
                value = damage(entry.value) if entry.key == "sig1.8_baby" else entry.value
                if value is not None:
                    transaction.put(entry.key.encode(), value)

    monkeypatch.setattr(lmdb_store, "_commit", forgetful)
    with pytest.raises(UserError, match=r"a\.lmdb: the image sig1\.8_baby reads back differently"):
        write_store(tmp_path, format=format)
    assert tree(tmp_path) == tree_of_images()

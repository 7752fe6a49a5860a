"""LMDBs: both dialects to the byte, those of other tools, reading in several processes, writing in flat memory."""

import pickle
import time
from concurrent.futures import ProcessPoolExecutor
from io import BytesIO
from multiprocessing import get_context

import lmdb
import numpy as np
import pytest
from lmdb_samples import IMAGES, PHOTOGRAPH, bgr, dan_meta, write_foreign, write_store
from PIL import Image
from plidenet.data import lmdb_store
from plidenet.data.lmdb_store import LmdbStore
from plidenet.data.parallel import map_threads
from plidenet.data.stores import open_store


def raw(folder):
    with lmdb.open(str(folder), readonly=True, lock=False) as environment, environment.begin() as transaction:
        return {key.decode(): bytes(value) for key, value in transaction.cursor()}


@pytest.mark.parametrize("workers", [0, 1, 3])
@pytest.mark.parametrize("format", ["dan", "basicsr"])
def test_a_round_trip_keeps_keys_order_sizes_and_pixels(tmp_path, format, workers):
    store = LmdbStore(write_store(tmp_path, format=format, workers=workers))
    assert store.keys == list(IMAGES)
    for key, image in IMAGES.items():
        assert store.size(key) == image.shape[:2]
        np.testing.assert_array_equal(store.read(key), image)


def test_dans_format_is_kept_to_the_byte(tmp_path):
    folder = write_store(tmp_path, format="dan")
    assert raw(folder) == {key: bgr(image) for key, image in IMAGES.items()}
    content = (folder / "meta_info.pkl").read_bytes()
    assert content.startswith(b"\x80\x02"), "protocol 2 is what any Python reads"
    assert pickle.loads(content) == {
        "name": "a.lmdb",
        "keys": ["baby", "sig1.8_baby", "img_001_x4"],
        "resolution": ["3_20_30", "3_20_30", "3_37_23"],
    }
    assert sorted(path.name for path in folder.iterdir()) == ["data.mdb", "meta_info.pkl"]


def test_dans_format_names_one_resolution_where_all_agree(tmp_path):
    folder = write_store(tmp_path, dict.fromkeys(("a", "b", "c"), PHOTOGRAPH[:20, :30]), format="dan")
    meta = pickle.loads((folder / "meta_info.pkl").read_bytes())
    assert (meta["keys"], meta["resolution"]) == (["a", "b", "c"], ["3_20_30"])


def test_basicsrs_format_holds_png_files_and_a_text(tmp_path):
    folder = write_store(tmp_path, format="basicsr")
    assert (folder / "meta_info.txt").read_text().splitlines() == [
        "baby.png (20,30,3) 1",
        "sig1.8_baby.png (20,30,3) 1",
        "img_001_x4.png (37,23,3) 1",
    ]
    assert sorted(path.name for path in folder.iterdir()) == ["data.mdb", "meta_info.txt"]
    for key, value in raw(folder).items():
        with Image.open(BytesIO(value)) as file:
            assert file.format == "PNG"
            np.testing.assert_array_equal(np.asarray(file), IMAGES[key])


@pytest.mark.parametrize("protocol", range(6))
def test_a_dan_store_of_another_tool_is_read(tmp_path, protocol):
    keys = ["sig2.4000000000000004_baby", "0001.v2"]
    images = [PHOTOGRAPH[:8, :9], PHOTOGRAPH[50:57, :5]]
    meta = pickle.dumps(dan_meta(keys, ["3_8_9", "3_7_5"]), protocol=protocol)
    store = open_store(write_foreign(tmp_path, dict(zip(keys, map(bgr, images), strict=True)), meta))
    assert store.keys == keys
    for key, image in zip(keys, images, strict=True):
        np.testing.assert_array_equal(store.read(key), image)


def test_a_dan_store_with_a_single_resolution_is_read(tmp_path):
    images = {key: PHOTOGRAPH[10 * i : 10 * i + 6, :9] for i, key in enumerate("abc")}
    store = LmdbStore(
        write_foreign(tmp_path, {k: bgr(v) for k, v in images.items()}, dan_meta(list(images), ["3_6_9"]))
    )
    for key, image in images.items():
        assert store.size(key) == (6, 9)
        np.testing.assert_array_equal(store.read(key), image)


@pytest.mark.parametrize("channels", [1, 4])
def test_a_dan_store_of_gray_or_rgba_images_gives_rgb(tmp_path, channels):
    gray, alpha = PHOTOGRAPH[:6, :9, :1], PHOTOGRAPH[:6, :9, 2:]
    value = gray if channels == 1 else np.dstack([PHOTOGRAPH[:6, :9, ::-1], alpha])
    image = LmdbStore(write_foreign(tmp_path, {"a": value.tobytes()}, dan_meta(["a"], [f"{channels}_6_9"]))).read("a")
    np.testing.assert_array_equal(image, np.repeat(gray, 3, 2) if channels == 1 else PHOTOGRAPH[:6, :9])


@pytest.mark.parametrize("spacing", ["(6,9,3)", "(6, 9, 3)"])
def test_a_basicsr_store_of_another_tool_is_read(tmp_path, spacing):
    buffer = BytesIO()
    Image.fromarray(PHOTOGRAPH[:6, :9]).save(buffer, "PNG")
    keys = ["sig2.4000000000000004_baby", "baby_x4"]
    meta = "\n".join(f"{key}.png {spacing} 3" for key in keys) + "\n"
    store = open_store(write_foreign(tmp_path, dict.fromkeys(keys, buffer.getvalue()), meta.encode(), "meta_info.txt"))
    assert store.keys == keys
    for key in keys:
        assert store.size(key) == (6, 9)
        np.testing.assert_array_equal(store.read(key), PHOTOGRAPH[:6, :9])


def test_a_store_is_opened_only_when_it_is_read(tmp_path, monkeypatch):
    folder, opened = write_store(tmp_path), []
    original = lmdb.open
    monkeypatch.setattr(lmdb, "open", lambda *args, **kwargs: opened.append(kwargs) or original(*args, **kwargs))
    store = LmdbStore(folder)
    assert (store.keys, store.size("baby"), opened) == (list(IMAGES), (20, 30), [])
    store.read("baby")
    store.read("sig1.8_baby")
    assert opened == [{"readonly": True, "lock": False, "readahead": False, "meminit": False}]


def test_threads_that_read_first_open_a_store_once(tmp_path, monkeypatch):
    folder, opened = write_store(tmp_path), []
    original = lmdb.open

    def open_slowly(*args, **kwargs):
        time.sleep(0.1)
        opened.append(original(*args, **kwargs))
        return opened[-1]

    monkeypatch.setattr(lmdb, "open", open_slowly)
    store = LmdbStore(folder)
    for key, image in zip(store.keys, map_threads(store.read, store.keys, 8), strict=True):
        np.testing.assert_array_equal(image, IMAGES[key])
    assert len(opened) == 1


def read_in_child(store, key):
    """How many environments the process begins with, and an image."""
    return lmdb_store._environment.cache_info().currsize, store.read(key)


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_an_open_store_goes_to_other_processes_without_its_environment(tmp_path, start):
    store = LmdbStore(write_store(tmp_path))
    store.read("baby")
    assert len(pickle.dumps(store)) < 2000
    with ProcessPoolExecutor(1, get_context(start)) as pool:
        inherited, image = pool.submit(read_in_child, store, "baby").result(timeout=60)
    assert inherited == 0
    np.testing.assert_array_equal(image, IMAGES["baby"])
    np.testing.assert_array_equal(store.read("baby"), IMAGES["baby"])


@pytest.mark.parametrize("format", ["dan", "basicsr"])
def test_the_map_grows_as_needed(tmp_path, monkeypatch, format):
    monkeypatch.setattr(lmdb_store, "FIRST_MAP_BYTES", 1 << 14)
    monkeypatch.setattr(lmdb_store, "TRANSACTION_BYTES", 1 << 15)
    images = {f"{i:02d}": PHOTOGRAPH[16 * i : 16 * i + 90, :80] for i in range(20)}
    folder = write_store(tmp_path, images, format=format)
    assert (folder / "data.mdb").stat().st_size > 1 << 17
    store = LmdbStore(folder)
    for key, image in images.items():
        np.testing.assert_array_equal(store.read(key), image)


def test_memory_stays_flat_however_many_images(tmp_path, monkeypatch):
    monkeypatch.setattr(lmdb_store, "TRANSACTION_BYTES", 3 * 1000)
    alive, most = set(), 0
    original_encode, original_commit = lmdb_store._encode, lmdb_store._commit

    def encode(key, *rest):
        nonlocal most
        alive.add(key)
        most = max(most, len(alive))
        return original_encode(key, *rest)

    def commit(environment, entries):
        original_commit(environment, entries)
        alive.difference_update(entry.key for entry in entries)

    monkeypatch.setattr(lmdb_store, "_encode", encode)
    monkeypatch.setattr(lmdb_store, "_commit", commit)
    images = {f"{i:02d}": PHOTOGRAPH[i : i + 20, :20] for i in range(60)}  # 1200 bytes each
    assert LmdbStore(write_store(tmp_path, images, workers=2)).keys == list(images)
    assert not alive
    assert most <= 3 + 2 * 2 + 1, "a transaction, two results ahead for either thread, and the one at hand"


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_threads_keep_the_order_and_run_no_more_than_two_results_ahead(workers):
    started = []
    results = map_threads(lambda i: started.append(i) or i * i, range(100), workers)
    for i in range(100):
        assert next(results) == i * i
        assert len(started) <= i + 1 + 2 * workers
    assert next(results, None) is None

"""Files that once ended, filled or held up a process, or were answered by a traceback: each is refused in a sentence.

They were found by the cases of `test_fuzz.py`, or thought of beside them.
"""

import struct
import zlib

import lmdb
import pytest
from fuzz_images import join_png, png, png_chunks, samples
from lmdb_samples import PHOTOGRAPH, bgr, dan_meta, write_foreign
from plidenet.cli import explain
from plidenet.data.images import MAX_PIXELS, image_size, read_image
from plidenet.data.lmdb_store import LmdbStore
from plidenet.data.stores import FolderStore
from plidenet.errors import UserError

PAGE = 4096


# images


def test_an_image_that_claims_gigabytes_is_refused_unread(tmp_path):
    (tmp_path / "a.png").write_bytes(png(20_000, 20_000, zlib.compress(b"\0")))
    for read in (read_image, image_size):
        with pytest.raises(UserError, match=r"a\.png claims to be an image of more than \d+ pixels"):
            read(tmp_path / "a.png")
    assert 20_000**2 > MAX_PIXELS > 13_000**2


def test_a_file_of_a_terabyte_is_refused_unread(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.write(samples()["png rgb"])
        file.truncate(1 << 40)
    with pytest.raises(UserError, match="is not an image of 8 or 16 bits, or it is truncated"):
        read_image(tmp_path / "a.png")


def test_a_png_with_a_wrong_check_sum_is_refused_in_silence(tmp_path, capfd):
    content = bytearray(samples()["png rgb"])
    content[-30] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match="is not an image of 8 or 16 bits, or it is truncated"):
        read_image(tmp_path / "a.png")
    assert capfd.readouterr() == ("", "")


def test_what_a_png_says_besides_its_pixels_may_be_damaged(tmp_path):
    chunk = struct.pack(">I", 4) + b"tEXta\0bc" + b"\0\0\0\0"
    content = samples()["png gray"]
    (tmp_path / "a.png").write_bytes(content[:-12] + chunk + content[-12:] + b"more, behind the end")
    assert read_image(tmp_path / "a.png").shape == (33, 40, 3)


def test_an_orientation_that_the_libraries_understand_differently_is_refused(tmp_path):
    chunks = png_chunks(samples()["png rgb"])
    (exif,) = (content for kind, content in chunks if kind == b"eXIf")
    chunks = [(kind, content.replace(b"II*\0", b"II*\0", 1)) for kind, content in chunks]
    for damaged in (exif[:-1], exif[:12], b"Exif\0\0" + exif, exif.replace(b"\x12\x01", b"\x12\x11")):
        others = [(kind, damaged if kind == b"eXIf" else content) for kind, content in chunks]
        (tmp_path / "a.png").write_bytes(join_png(others))
        store = FolderStore(tmp_path)
        try:
            assert store.read("a").shape[:2] == store.size("a")
        except UserError as error:
            assert "is not an image" in str(error)


# LMDBs


@pytest.fixture
def database(tmp_path):
    """An LMDB with one small and one large image, whose data file can be changed: pages, offset by offset."""
    images = {"large": PHOTOGRAPH[:50, :60], "small": PHOTOGRAPH[:6, :9]}
    sizes = [f"3_{image.shape[0]}_{image.shape[1]}" for image in images.values()]
    folder = write_foreign(tmp_path, {key: bgr(image) for key, image in images.items()}, dan_meta(list(images), sizes))
    content = bytearray((folder / "data.mdb").read_bytes())
    (leaf,) = (at for at in range(0, len(content), PAGE) if struct.unpack_from("<H", content, at + 10) == (2,))
    nodes = [leaf + offset for offset in struct.unpack_from("<2H", content, leaf + 16)]

    def changed(form, at, *values):
        struct.pack_into(form, content, at, *values)
        (folder / "data.mdb").write_bytes(content)
        return LmdbStore(folder)

    changed.leaf, changed.nodes = leaf, nodes
    return changed


def refuses(store, message):
    for key in store.keys:
        with pytest.raises(UserError, match=f"is damaged: {message}"):
            store.read(key)


def test_a_database_is_read_as_long_as_it_is_sound(database):
    assert database("<H", database.leaf + 10, 2).read("large").shape == (50, 60, 3)


@pytest.mark.parametrize("page", [0, 1, 4, 10**9, 2**52, 2**64 - 2])
def test_a_value_that_is_said_to_lie_outside_of_the_file_is_not_read(database, page):
    refuses(database("<Q", database.nodes[0] + 8 + len("large"), page), "page .* has a value outside of the file")


@pytest.mark.parametrize(("field", "value"), [(2, 0xFFFF), (6, 0xFFFF), (6, 4000)])
def test_a_value_or_key_that_is_said_to_be_longer_than_there_is_room_is_not_read(database, field, value):
    refuses(database("<H", database.nodes[1] + field, value), "page .* has a key that does not fit")


@pytest.mark.parametrize("offset", [0, 4095, 65_535])
def test_a_node_outside_of_its_page_is_not_read(database, offset):
    refuses(database("<H", database.leaf + 16, offset), "page .* has a key outside of it")


@pytest.mark.parametrize("flags", [4, 6, 0xFFF8])
def test_values_that_would_be_lists_of_values_are_not_read(database, flags):
    refuses(database("<H", database.nodes[1] + 4, flags), "page .* has a key that does not fit")


@pytest.mark.parametrize(("field", "value"), [(10, 1), (10, 0x22), (12, 0), (12, 16), (12, 9000), (12, 21)])
def test_a_page_of_another_kind_or_with_other_bounds_is_not_read(database, field, value):
    refuses(database("<H", database.leaf + field, value), "(page .* is not one of its tree|its tree .* leads to page)")


@pytest.mark.parametrize("root", [0, 1, 999, 2**63])
def test_a_root_elsewhere_is_not_followed(database, root):
    database("<Q", 128, root)
    refuses(database("<Q", PAGE + 128, root), f"its tree of keys leads to page {root}")


@pytest.mark.parametrize("size", [0, 1, 4095, 2**31, 2**17])
def test_pages_of_a_size_that_none_have_are_not_read(database, size):
    refuses(database("<I", 40, size), f"its pages cannot be of {size} bytes")


def test_a_tree_that_leads_back_into_itself_is_not_read(tmp_path):
    keys = [f"{i:04}" for i in range(300)]
    folder = write_foreign(tmp_path, dict.fromkeys(keys, bytes(54)), dan_meta(keys, ["3_3_6"]))
    assert LmdbStore(folder).read("0299").shape == (3, 6, 3)
    content = bytearray((folder / "data.mdb").read_bytes())
    (branch,) = (at for at in range(0, len(content), PAGE) if struct.unpack_from("<H", content, at + 10) == (1,))
    (first,) = struct.unpack_from("<H", content, branch + 16)
    struct.pack_into("<HHH", content, branch + first, branch // PAGE, 0, 0)
    (folder / "data.mdb").write_bytes(content)
    other = folder.rename(tmp_path / "other.lmdb")
    with pytest.raises(UserError, match=f"leads to page {branch // PAGE}"):
        LmdbStore(other).read("0299")


def test_a_database_among_others_in_one_file_is_read(tmp_path):
    folder = write_foreign(tmp_path, {"a": bytes(54)}, dan_meta(["a"], ["3_3_6"]))
    with lmdb.open(str(folder), map_size=1 << 24, max_dbs=1) as environment:
        environment.open_db(b"another")
    assert LmdbStore(folder).read("a").shape == (3, 6, 3)


def store_with(folder, keys, resolutions):
    return LmdbStore(write_foreign(folder, {"a": bytes(54)}, dan_meta(keys, resolutions)))


@pytest.mark.parametrize(
    "resolution", ["3_-3_-6", "-3_-3_6", "3_-1_18", "2_3_9", "0_3_6", "54_1_1", f"1_{2**32}_{2**32}", "3_99999_99999"]
)
def test_sizes_that_no_image_has_are_refused(tmp_path, resolution):
    with pytest.raises(UserError, match=r"is damaged: a cannot be an image of"):
        store_with(tmp_path, ["a"], [resolution])


@pytest.mark.parametrize("key", ["", "a\0b", "a\nb", "\ud800", 3, None, b"a", ("a",)])
def test_keys_that_are_no_names_are_refused(tmp_path, key):
    with pytest.raises(UserError, match=r"is damaged: .* is no name of an image"):
        store_with(tmp_path, [key], ["3_3_6"])


def test_a_key_that_doubles_itself_forty_times_is_not_written_out(tmp_path):
    key = ["a"]
    for _ in range(40):
        key = (key, key)
    with pytest.raises(UserError, match=r"is damaged: a tuple is no name of an image"):
        store_with(tmp_path, [key], ["3_3_6"])


def test_a_key_that_comes_twice_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"meta_info\.pkl is damaged: it lists a twice"):
        store_with(tmp_path, ["a", "b", "a"], ["3_3_6"])


def test_a_pickle_of_17_bytes_does_not_fill_gigabytes(tmp_path):
    folder = write_foreign(tmp_path, {"a": b""}, b"\x80\x02}r\xff\xff\xff\x0f.")
    with pytest.raises(UserError, match=r"meta_info\.pkl is damaged: 'keys'"):
        LmdbStore(folder)


def test_numbers_of_thousands_of_digits_are_refused(tmp_path):
    folder = write_foreign(tmp_path, {"a": b""}, b"a.png (6," + b"9" * 5000 + b",3) 1\n", "meta_info.txt")
    with pytest.raises(UserError, match=r"meta_info\.txt is damaged") as caught:
        LmdbStore(folder)
    assert len(explain(caught.value)) < 2000

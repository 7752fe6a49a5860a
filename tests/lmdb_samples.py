"""LMDBs for tests, and their images: written by this package, or as another tool would."""

import pickle

import lmdb
import numpy as np
from plidenet.data.images import write_image
from plidenet.data.lmdb_store import write_lmdb
from skimage import data

PHOTOGRAPH = data.astronaut()
IMAGES = {
    "baby": PHOTOGRAPH[:20, :30],
    "sig1.8_baby": PHOTOGRAPH[40:60, 40:70],
    "img_001_x4": PHOTOGRAPH[80:117, 100:123],
}


def write_images(folder, images=IMAGES):
    """Write PNG files; their paths by key."""
    paths = {key: folder / f"{key}.png" for key in images}
    for key, path in paths.items():
        write_image(path, images[key])
    return paths


def write_store(folder, images=IMAGES, **options):
    """Write images to files and from them an LMDB with the package's own writer; the LMDB's path."""
    write_lmdb(folder / "a.lmdb", write_images(folder / "images", images), **options)
    return folder / "a.lmdb"


def write_foreign(folder, values, meta, name="meta_info.pkl"):
    """An LMDB without the package's help: values by key, and the meta file's content (pickled unless bytes)."""
    folder = folder / "foreign.lmdb"
    with lmdb.open(str(folder), map_size=1 << 24) as environment, environment.begin(write=True) as transaction:
        for key, value in values.items():
            transaction.put(key.encode(), value)
    (folder / name).write_bytes(meta if isinstance(meta, bytes) else pickle.dumps(meta))
    return folder


def bgr(image):
    return np.ascontiguousarray(image[..., ::-1]).tobytes()


def dan_meta(keys, resolution):
    return {"name": "foreign", "keys": keys, "resolution": resolution}

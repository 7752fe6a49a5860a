"""Which HR image belongs to which LR image: by name, never by position."""

import re
from collections.abc import Sequence

from plidenet.data.stores import Store
from plidenet.errors import UserError
from plidenet.names import some


def pair_keys(hr_keys: Sequence[str], lr_keys: Sequence[str]) -> list[tuple[str, str]]:
    """Pair HR and LR names, in the order of the LR names.

    Equal names belong together; else names that are equal but for affixes (`img_` and `im_` in front, `_gt`, `_HR`,
    `_LR`, `_SRF_4_HR`, `_SRF_4_LR` and `x4` at the end, `sig2.40_` for `sig2.4000000000000004_`); else an LR image
    `sig1.8_<name>` and the one HR image <name> of all widths.

    Returns:
        (HR name, LR name) for each LR image.

    Raises:
        UserError: an image of either side without a partner, or names of one side that differ in affixes alone.
    """
    exact = set(hr_keys)
    plain: dict[str, str] = {}
    if exact != set(lr_keys):
        plain = _by_plain_name("HR", hr_keys)
        _by_plain_name("LR", lr_keys)
    pairs, lonely = [], []
    for key in lr_keys:
        name = canonical(key)
        partner = key if key in exact else plain.get(name, plain.get(split_width(name)[1]))
        if partner is None:
            lonely.append(key)
        else:
            pairs.append((partner, key))
    if lonely:
        raise UserError(f"{len(lonely)} of {len(lr_keys)} LR images have no HR image of their name: {some(lonely)}")
    unused = sorted(exact - {hr for hr, _ in pairs})
    if unused:
        raise UserError(f"{len(unused)} of {len(hr_keys)} HR images have no LR image of their name: {some(unused)}")
    return pairs


def _by_plain_name(kind: str, keys: Sequence[str]) -> dict[str, str]:
    plain: dict[str, str] = {}
    for key in keys:
        other = plain.setdefault(canonical(key), key)
        if other != key:
            raise UserError(f"the {kind} images {other} and {key} differ only in affixes that pairing ignores")
    return plain


def canonical(key: str) -> str:
    """A name without affixes and with the kernel width rounded to four decimals: img_1_gt is 1, baby_x4 is baby."""
    width, name = split_width(key)
    name = re.sub(r"(?:_gt|(?:_SRF_[234])?_[HL]R|_?x[234])+$", "", re.sub(r"^(?:img_|im_)", "", name))
    return name if width is None else f"sig{width}_{name}"


def split_width(key: str) -> tuple[float | None, str]:
    """The kernel width in a name such as sig1.8_baby, to four decimals, and baby; None and the name in one without."""
    match = re.match(r"sig(\d*\.?\d+)_", key)
    return (round(float(match[1]), 4), key[match.end() :]) if match else (None, key)


def check_pair_sizes(pairs: Sequence[tuple[str, str]], hr: Store, lr: Store, scale: int) -> None:
    """Make sure that every HR image is `scale` times as large as its LR image, or larger by less than `scale` pixels.

    Such a surplus at the right and bottom is what cropping to a multiple of the scale takes away.

    Raises:
        UserError: a pair that does not match.
    """
    for hr_key, lr_key in pairs:
        hr_size, lr_size = hr.size(hr_key), lr.size(lr_key)
        if any(large // scale != small for large, small in zip(hr_size, lr_size, strict=True)):
            raise UserError(
                f"HR {hr_key} ({hr_size[0]}x{hr_size[1]}) is not {scale} times as large as LR {lr_key} "
                f"({lr_size[0]}x{lr_size[1]})"
            )

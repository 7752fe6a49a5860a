#!/usr/bin/env python3
"""Count a network's parameters and multiply-adds, module by module, for LR images of one or more sizes.

What counts and how is said in plidenet/complexity.py: convolutions, matrix products, attention and Fourier transforms.
"""

import sys
from typing import TYPE_CHECKING

from plidenet.cli import parser, run
from plidenet.errors import UserError

if TYPE_CHECKING:
    from plidenet.complexity import Complexity
    from torch import nn

PUBLISHED, PUBLISHED_SIDE = 29.46, 64  # G at x4 in TIP 2024, and the side of the image, in HR pixels, that explains it


def main() -> None:
    arguments = parser(__doc__, "python scripts/count_flops.py --network PL_IDENet --scale 4 --size 64 64")
    network = arguments.add_mutually_exclusive_group()
    network.add_argument("--network", default="PL_IDENet", metavar="NAME", help="registered name (default PL_IDENet)")
    network.add_argument("-opt", "--opt", metavar="FILE", help="option file, whose network and scale are taken")
    arguments.add_argument("--scale", type=int, choices=(2, 3, 4), help="HR size / LR size (default 4)")
    arguments.add_argument(
        "--size",
        type=int,
        nargs=2,
        action="append",
        metavar=("H", "W"),
        help="height and width of the LR image (default 64 64); may be repeated",
    )
    options = arguments.parse_args()

    from plidenet import build_network
    from plidenet.complexity import count
    from plidenet.config import load_options

    if options.opt:
        if options.scale:
            raise UserError("--scale does not go with -opt: the option file says the scale")
        file = load_options(options.opt)
        name, setting = file.network_G.which_model_G, file.network_setting
    else:
        name, setting = options.network, {"scale": options.scale or 4}
    net = build_network(name, **setting)
    sizes = [(height, width) for height, width in options.size or [(64, 64)]]
    if min(map(min, sizes)) < 1:
        raise UserError("--size must be positive")
    try:
        counts = [count(net, size) for size in sizes]
    except ValueError as error:
        raise UserError(str(error)) from error

    scale = setting["scale"]
    print(f"{name} x{scale}, multiply-adds in G by size of the LR image\n")
    print("\n".join(table(net, sizes, counts)))
    print()
    for size, complexity in zip(sizes, counts, strict=True):
        print(f"{size[0]}x{size[1]}: {per_pixel(size, scale, complexity)}")
    if name == "PL_IDENet" and scale == 4 and not options.opt:
        side = PUBLISHED_SIDE
        refinement = count(net, (side // scale, side // scale)).by_module["refinement"]
        print(
            f"\nThe paper prints {PUBLISHED} G. That does not fit an LR image of 64x64: refining {side}x{side} HR "
            f"pixels takes {refinement / 1e9:.2f} G multiply-adds here,\nor {2 * refinement / 1e9:.2f} G operations "
            "where a multiply-add counts as two, which comes nearest."
        )


def table(net: "nn.Module", sizes: list[tuple[int, int]], counts: list["Complexity"]) -> list[str]:
    """Lines with a module's name, its parameters and its multiply-adds at each size; the sums at last."""
    rows = [["module", "parameters", *(f"{height}x{width}" for height, width in sizes)]]
    parameters = {name: sum(p.numel() for p in child.parameters()) for name, child in net.named_children()}
    for name in dict.fromkeys(name for complexity in counts for name in complexity.by_module):
        giga = [f"{complexity.by_module.get(name, 0) / 1e9:.4f}" for complexity in counts]
        rows.append([name, f"{parameters.get(name, 0):,}", *giga])
    rows.append(["total", f"{counts[0].parameters:,}", *(f"{c.multiply_adds / 1e9:.4f}" for c in counts)])
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return [
        "  ".join([name.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, others, strict=True))])
        for name, *cells in rows
    ]


def per_pixel(size: tuple[int, int], scale: int, complexity: "Complexity") -> str:
    pixels = size[0] * size[1] * scale**2
    parts = {"in all": complexity.multiply_adds, "in the refinement": complexity.by_module.get("refinement", 0)}
    said = [f"{number / pixels / 1e6:.4g} M {where}" for where, number in parts.items() if number]
    return f"per HR pixel {', '.join(said)}"


if __name__ == "__main__":
    sys.exit(run(main))

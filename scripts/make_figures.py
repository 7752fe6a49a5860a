#!/usr/bin/env python3
"""Make the README's figures from results: pictures side by side, the diagram of the network, PSNR against blur width
and against cost, the curves of training runs, and compare.html, a page with before/after sliders. Without arguments:
of the weights that ship, on the demo's photographs, and of the runs that made them; with --curves alone, those of runs.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from plidenet.cli import parser, run
from plidenet.errors import UserError

DEMO_RESULTS, DEMO_BENCHMARK = Path("results/demo_pretrained_x4"), Path("datasets/demo/setting1")
DEMO_BICUBIC = Path("results/demo_bicubic_x4")
SHIPPED_WEIGHTS = Path("experiments/pretrained")
DEMO_IMAGES = ["sig2.6_astronaut:24,140", "sig2.0_chelsea:40,120"]
DEMO_NOTE = (
    "The weights that ship: PL_IDENet_E, trained on two CPU cores for fifteen hours and on a GPU for eight minutes. "
    "The two photographs shown, which it was not trained on, come with scikit-image: "
    "the astronaut is NASA's, in the public domain, the cat Chelsea by Stéfan van der Walt, CC0."
)
EXAMPLE = """python scripts/make_figures.py
  python scripts/make_figures.py --ours results/PL_IDENet_E_x4_setting1 --bicubic results/bicubic_x4 --set Set5 \\
      --benchmark datasets/Set5/setting1 --images sig1.8_img_001 sig2.6_img_002:40,96 --save figures"""


def main() -> None:
    arguments = parser(__doc__, EXAMPLE)
    add = arguments.add_argument
    add("--ours", type=Path, default=DEMO_RESULTS, metavar="DIR", help="the network's results, without a suffix")
    add("--bicubic", type=Path, default=DEMO_BICUBIC, metavar="DIR", help="bicubic's results")
    add("--benchmark", type=Path, default=DEMO_BENCHMARK, metavar="DIR", help="what both were tested on")
    add("--set", default="Demo", help="its name in the option files (default: Demo)")
    add("--scale", type=int, default=4, choices=(2, 3, 4), help="HR size / LR size (default: 4)")
    add(
        "--images",
        nargs="+",
        metavar="NAME[:TOP,LEFT]",
        help="images to show (default: two, where most detailed; the demo has its own)",
    )
    add("--published", default="Set14", metavar="SET", help="for PSNR against cost (default: Set14)")
    add("--curves", nargs="+", type=Path, metavar="CSV", help="runs' curves.csv (default: the shipped weights')")
    add("--note", help="beneath the page's title: which network this is")
    add("--save", type=Path, default=Path("assets"), metavar="DIR", help="folder to write to (default: assets)")
    options = arguments.parse_args()

    from plidenet.figures.charts import require_matplotlib
    from plidenet.files import write_file

    require_matplotlib()
    files = dict(figures(options))
    for name, content in files.items():
        write_file(options.save / name, content)
    print(f"wrote {options.save}/: {', '.join(files)}")


def figures(options: argparse.Namespace) -> Iterator[tuple[str, bytes]]:
    """Every file's name and content; UserError where results are missing."""
    from plidenet.figures.cost_chart import draw_cost_chart
    from plidenet.figures.crops import draw_comparison, most_detailed
    from plidenet.figures.diagram import draw_pipeline
    from plidenet.figures.methods import count_paper_network, read_measured, read_published
    from plidenet.figures.page import draw_page, encode_webp
    from plidenet.figures.results import Folders, image_names, psnr_by_width, read_scene, spread
    from plidenet.figures.theme import THEMES
    from plidenet.figures.training_curves import draw_training_curves, read_logs
    from plidenet.figures.width_curves import draw_width_curves

    shipped = sorted(SHIPPED_WEIGHTS.glob("PL_IDENet*.csv")) if options.ours == DEMO_RESULTS else []
    training = read_logs(options.curves or shipped)
    if not training:
        print("no training curves: give a run's curves.csv with --curves")
    for theme in THEMES:
        yield f"pipeline-{theme.name}.svg", draw_pipeline(theme).encode()
        for name, log in training.items():
            yield f"training_{name}-{theme.name}.svg", draw_training_curves(log, theme).encode()

    folders = Folders(options.ours, options.bicubic, options.benchmark, options.set, options.scale)
    missing = [folder for folder in (folders.ours, folders.bicubic, folders.benchmark) if not folder.is_dir()]
    asked = (folders.ours, folders.bicubic, folders.benchmark) != (DEMO_RESULTS, DEMO_BICUBIC, DEMO_BENCHMARK)
    if missing and options.curves and not (asked or options.images):
        print(f"no figures of results: no folder {missing[0]}")
        return
    if missing:
        raise UserError(f"no folder {missing[0]}: `make demo` makes the demo's, --help tells how to name others")
    default = DEMO_IMAGES if options.benchmark == DEMO_BENCHMARK else spread(image_names(folders), 2)
    images = options.images or default
    corners = dict(map(parse_image, images))
    scenes = [read_scene(folders, name) for name in corners]
    shown = [(scene, corners[scene.name] or most_detailed(scene.hr)) for scene in scenes]
    curves = [psnr_by_width(folder, options.set) for folder in (folders.bicubic, folders.ours)]
    published = read_published(options.scale, options.published)
    measured = read_measured(options.ours.parent, options.scale, options.published)
    counted, benchmark = count_paper_network(options.scale), f"{options.published} x{options.scale}"
    if not all(curves):
        print(f"no PSNR against blur width: at least one of the results has no widths.csv with {options.set}")
    if not measured:
        print(f"no PSNR against cost: {options.ours.parent} holds no comparison on {benchmark}")

    by_width = {theme.name: draw_width_curves(*curves, theme) for theme in THEMES if all(curves)}
    for theme in THEMES:
        yield f"comparison-{theme.name}.webp", encode_webp(draw_comparison(shown, theme))
        if by_width:
            yield f"psnr_by_width-{theme.name}.svg", by_width[theme.name].encode()
        if measured:
            chart = draw_cost_chart(published + measured, counted, benchmark, theme)
            yield f"psnr_by_cost-{theme.name}.svg", chart.encode()
    note = options.note or (DEMO_NOTE if options.ours == DEMO_RESULTS else f"{options.ours.name} on {options.set}.")
    yield "compare.html", draw_page(scenes, options.scale, note, by_width).encode()


def parse_image(text: str) -> tuple[str, tuple[int, int] | None]:
    """NAME or NAME:TOP,LEFT."""
    name, _, place = text.partition(":")
    if not place:
        return name, None
    try:
        top, left = map(int, place.split(","))
    except ValueError:
        raise UserError(f"--images {text}: what follows the colon must be TOP,LEFT in HR pixels") from None
    return name, (top, left)


if __name__ == "__main__":
    sys.exit(run(main))

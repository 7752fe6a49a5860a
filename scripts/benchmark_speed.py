#!/usr/bin/env python3
"""Time networks and measure their peak memory, beside the tests' reference implementation and bicubic interpolation.

All cases take turns in every round, so that they share the machine's good and bad moments. Peak memories are taken in a
fresh process for each case. Of --mode, --precision, --execution and --sizes, every combination is measured. On a CPU
that others use too, compare CPU times.
"""

import json
import sys
from argparse import ArgumentTypeError, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plidenet.cli import parser, progress, run
from plidenet.errors import UserError

if TYPE_CHECKING:
    from plidenet.speed.cases import Case
    from plidenet.speed.report import Result

PLAIN = Path(__file__).resolve().parent.parent / "tests" / "plain_network.py"


def main() -> None:
    options = read_arguments()

    import torch
    from plidenet.files import write_file
    from plidenet.speed.report import document, table
    from plidenet.speed.roofs import measure_roofs

    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: there is no GPU that torch can use")
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    results = measure(choose_cases(options), options.repeats, with_memory=not options.no_memory)
    roofs = measure_roofs(device, sorted({result.case.precision for result in results}))
    print(table(results, roofs))
    if options.json:
        write_file(options.json, json.dumps(document(results, roofs, device), indent=1) + "\n")


def read_arguments() -> Namespace:
    arguments = parser(
        __doc__,
        "python scripts/benchmark_speed.py --sizes 64 --repeats 3\n"
        "  python scripts/benchmark_speed.py --network PL_IDENet PL_IDENet_E --sizes 32 64 128 256 "
        "--mode forward train --precision fp32 bf16 --execution eager compiled",
    )
    add = arguments.add_argument
    add("--network", nargs="+", default=["PL_IDENet"], metavar="NAME", help="registered names (default PL_IDENet)")
    add("--setting", type=read_setting, default={}, metavar="JSON", help="further arguments of the networks")
    add("--scale", type=int, default=4, choices=(2, 3, 4), help="HR size / LR size (default 4)")
    add("--sizes", type=int, nargs="+", default=[64], metavar="N", help="sides of the LR images (default 64)")
    add("--batch", type=int, default=1, help="images at a time (default 1)")
    add("--mode", nargs="+", default=["forward"], choices=("forward", "train"), help="default forward")
    add("--precision", nargs="+", default=["fp32"], choices=("fp32", "bf16"), help="default fp32")
    add("--execution", nargs="+", default=["eager"], choices=("eager", "compiled"), help="default eager")
    add("--repeats", type=int, default=5, help="rounds (default 5)")
    add("--device", default="auto", choices=("auto", "cpu", "cuda"), help="default auto: a GPU where there is one")
    add("--threads", type=int, help="of the CPU (default torch's)")
    add("--no_baselines", action="store_true", help="leave out bicubic and the reference implementation")
    add("--no_memory", action="store_true", help="leave out the peak memory")
    add("--json", type=Path, metavar="FILE", help="write all times and figures there, too")
    options = arguments.parse_args()
    if min(options.repeats, options.batch, *options.sizes) < 1 or (options.threads or 1) < 1:
        raise UserError("--repeats, --batch, --sizes and --threads must be positive")
    return options


def read_setting(text: str) -> dict[str, Any]:
    """The arguments that --setting gives; ArgumentTypeError where it is no JSON object, or sets the scale."""
    try:
        setting = json.loads(text)
    except ValueError as error:
        raise ArgumentTypeError(f"'{text}' is not JSON") from error
    if not isinstance(setting, dict) or "scale" in setting:
        raise ArgumentTypeError("""it needs to be like '{"window_size": 4}', and --scale sets the scale""")
    return setting


def choose_cases(options: Namespace) -> list["Case"]:
    """All combinations asked for; before those of a mode and size, the baselines."""
    from plidenet.speed.cases import Case

    cases = []
    transcribed = [name for name in options.network if name != "Bicubic"]  # which the reference implementation lacks
    for mode in options.mode:
        for size in options.sizes:
            common = {"mode": mode, "size": size, "scale": options.scale, "batch": options.batch}
            common["device"] = options.device
            if not options.no_baselines:
                if mode == "forward":
                    cases.append(Case(network="Bicubic", **common))
                if PLAIN.exists() and transcribed:
                    cases.append(Case(network=transcribed[0], setting=options.setting, plain=str(PLAIN), **common))
            cases += [
                Case(network=name, setting=options.setting, precision=precision, compiled=way == "compiled", **common)
                for name in options.network
                for precision in options.precision
                for way in options.execution
            ]
    return cases


def measure(cases: list["Case"], repeats: int, with_memory: bool) -> list["Result"]:
    """Memory first, while this process is small; then everything in turns."""
    import torch
    from plidenet.complexity import count
    from plidenet.memory import is_out_of_memory
    from plidenet.speed.cases import prepare
    from plidenet.speed.memory import peak_memory
    from plidenet.speed.report import Result
    from plidenet.speed.roofs import traffic
    from plidenet.speed.timing import interleaved

    try:
        multiply_adds = [count(case.build(), (case.size, case.size)).multiply_adds for case in cases]
    except ValueError as error:
        raise UserError(str(error)) from error
    peaks = [peak_memory(case) for case in progress(cases, "peak memory", unit="case")] if with_memory else None
    runs, bytes_moved = {}, {}
    for number, case in enumerate(progress(cases, "warm-up", unit="case")):
        if peaks and peaks[number] is None:  # what did not fit into a process of its own does not fit beside others
            continue
        try:
            run_case = prepare(case)
            bytes_moved[number] = traffic(run_case if not case.compiled else prepare(replace(case, compiled=False)))
            run_case()
            runs[number] = run_case
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            torch.cuda.empty_cache()
    rounds = progress(range(repeats), "rounds", unit="round")
    timings = dict(zip(runs, interleaved(list(runs.values()), rounds, torch.device(cases[0].device)), strict=True))
    return [
        Result(case, timings.get(i), multiply_adds[i], bytes_moved.get(i, 0), peaks[i] if peaks else None)
        for i, case in enumerate(cases)
    ]


if __name__ == "__main__":
    sys.exit(run(main))

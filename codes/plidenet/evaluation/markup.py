"""Tables of text as Markdown, LaTeX and CSV, in files that appear whole."""

import csv
from collections.abc import Sequence
from pathlib import Path

from plidenet.files import replacing, write_file

NONE = "\u2013"  # an en dash, in a cell without a value

LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    NONE: "--",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 0) -> str:
    """A Markdown table, aligned as text, too.

    Args:
        header: the columns' names.
        rows: their cells.
        left: how many of the first columns are aligned to the left, the others to the right.
    """
    cells = [header, *rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(header))]
    aligned = [
        [cell.ljust(w) if i < left else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))]
        for line in cells
    ]
    lines = [f"| {' | '.join(line)} |" for line in aligned]
    rules = (":" + "-" * (w + 1) if i < left else "-" * (w + 1) + ":" for i, w in enumerate(widths))
    lines.insert(1, "|" + "|".join(rules) + "|")
    return "\n".join(lines) + "\n"


def latex(header: Sequence[str], blocks: Sequence[Sequence[Sequence[str]]], note: Sequence[str], left: int = 0) -> str:
    """A LaTeX tabular in the style of the package booktabs.

    Args:
        header: the columns' names.
        blocks: groups of rows, a line between them.
        note: lines that follow the table as comments.
        left: how many of the first columns are aligned to the left, the others to the right.
    """
    lines = [rf"\begin{{tabular}}{{{'l' * left}{'r' * (len(header) - left)}}}", r"\toprule", _latex_row(header)]
    for rows in blocks:
        if rows:
            lines += [r"\midrule", *(_latex_row(row) for row in rows)]
    lines += [r"\bottomrule", r"\end{tabular}", *(f"% {line}" for line in note)]
    return "\n".join(lines) + "\n"


def write_table(folder: Path, name: str, text: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table twice: <name>.md for reading, which holds `text`, and <name>.csv, of `header` and `rows`."""
    write_file(folder / f"{name}.md", text)
    write_csv(folder / f"{name}.csv", header, rows)


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Write a table as comma-separated values, UTF-8."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join("".join(LATEX_SPECIAL.get(c, c) for c in cell) for cell in cells) + r" \\"

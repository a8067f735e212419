"""Run the notebooks in `docs/notebooks` and store what their cells show; run it as `python docs/notebooks.py`.

The cells of a notebook run in order in one namespace, in an empty folder, without Jupyter and without plugins; a
warning is an error. What a cell prints is stored, and each figure that it draws as PNG: the same bytes again on one
machine. `--check` writes nothing and fails where a cell shows other words, other numbers or another kind of
output than is stored. Numbers may differ by a fiftieth or by one in the last digit, as they do between versions of
libraries.
"""

from __future__ import annotations

import argparse
import ast
import base64
import contextlib
import io
import json
import os
import re
import sys
import tempfile
import types
import warnings
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent / "notebooks"
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OODKIT_NO_PLUGINS": "1", "MPLBACKEND": "agg"}
DOTS = 192
"""An inch of a figure; screens show half of them as an inch."""
NUMBER = re.compile(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")
CLOSE = 0.02
"""How far a number may be from the stored one, as a share of it."""

Cell = dict[str, Any]
Output = dict[str, Any]


def main() -> None:
    """Run all notebooks or those that are named, and write or check their outputs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="notebooks; without them all are run")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if outputs are not those stored")
    asked = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    wrong = [line for file in asked.files or sorted(FOLDER.glob("*.ipynb")) for line in refreshed(file, asked.check)]
    if wrong:
        raise SystemExit("\n".join([*wrong, "run python docs/notebooks.py if that is meant"]))


def refreshed(file: Path, check: bool = False) -> list[str]:
    """Run a notebook; write it with its outputs, or with `check` list where they are not those that are stored."""
    stored = file.read_text()
    notebook = json.loads(stored)
    run(notebook, file.name)
    if check:
        pairs = zip(code_cells(json.loads(stored)), code_cells(notebook), strict=True)
        return [
            f"{file.name}, cell {now['id']}: {told}"
            for then, now in pairs
            if (told := difference(then["outputs"], now["outputs"]))
        ]
    made = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if made != stored:
        file.write_text(made)
        print(f"refreshed {file.name}", file=sys.stderr)
    return []


def code_cells(notebook: dict[str, Any]) -> list[Cell]:
    """Give the cells of a notebook that hold code."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run(notebook: dict[str, Any], name: str) -> None:
    """Run the cells of a notebook and put their outputs in the place of those that are there."""
    module = types.ModuleType("notebook_of_the_docs")
    sys.modules[module.__name__] = module  # where dataclasses look for the names of their fields' types
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")  # figures that were open before are of no cell
    with tempfile.TemporaryDirectory() as empty, contextlib.chdir(empty), warnings.catch_warnings():
        warnings.simplefilter("error")
        for number, cell in enumerate(code_cells(notebook), 1):
            try:
                cell["outputs"] = outputs_of(cell, vars(module), number)
            except BaseException as error:
                error.add_note(f"in {name}, cell {cell['id']}")
                raise
            cell["execution_count"] = number


def outputs_of(cell: Cell, names: dict[str, Any], number: int) -> list[Output]:
    """Run a cell; give what it prints, the value of its last line, and the figures that it drew, as Jupyter does."""
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, f"<{cell['id']}>", "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), f"<{cell['id']}>", "eval"), names)
    found: list[Output] = []
    if printed.getvalue():
        found.append({"name": "stdout", "output_type": "stream", "text": _lines(printed.getvalue())})
    if value is not None:
        about = {"execution_count": number, "metadata": {}, "output_type": "execute_result"}
        found.append({"data": {"text/plain": _lines(repr(value))}, **about})
    return [*found, *figures(cell["metadata"].get("alt", ""))]


def figures(alt: str) -> list[Output]:
    """Give the figures that are open as PNG, with `alt`, what is to be seen in words, as their text; close them."""
    found: list[Output] = []
    pyplot = sys.modules.get("matplotlib.pyplot")
    for number in pyplot.get_fignums() if pyplot else ():
        if not alt:
            raise ValueError('expected "alt" in the metadata of a cell that draws: what is to be seen, in words')
        file = io.BytesIO()
        pyplot.figure(number).savefig(file, format="png", dpi=DOTS, bbox_inches="tight", metadata={"Software": None})
        pyplot.close(number)
        data = {"image/png": base64.b64encode(file.getvalue()).decode(), "text/plain": _lines(alt)}
        found.append({"data": data, "metadata": {}, "output_type": "display_data"})
    return found


def difference(stored: list[Output], now: list[Output]) -> str:
    """Say in a line how the outputs of a cell differ from those stored, "" where they do not; pictures may differ."""
    kinds = [[(one["output_type"], *sorted(one.get("data", ()))) for one in outputs] for outputs in (stored, now)]
    if kinds[0] != kinds[1]:
        return f"expected outputs {kinds[0]}, got {kinds[1]}"
    for then, new in zip(_texts(stored), _texts(now), strict=True):
        for line, other in zip([*then, ""], [*new, ""], strict=False):
            if not alike(line, other):
                return f"expected {line.strip()!r}, got {other.strip()!r}"
        if len(then) != len(new):
            return f"expected {len(then)} lines, got {len(new)}"
    return ""


def alike(stored: str, now: str) -> bool:
    """Tell whether two texts have the same words, and numbers that are the same but for the last digits."""
    if [part.split() for part in NUMBER.split(stored)] != [part.split() for part in NUMBER.split(now)]:
        return False
    return all(_near(one, other) for one, other in zip(NUMBER.findall(stored), NUMBER.findall(now), strict=True))


def _near(stored: str, now: str) -> bool:
    one, other = (float(text.replace(",", "")) for text in (stored, now))
    digits = stored.partition("e")[0].partition(".")[2]
    step = 10.0 ** -len(digits) * (10.0 ** int(stored.partition("e")[2] or 0))
    return abs(one - other) <= max(CLOSE * abs(one), 1.001 * step)


def _texts(outputs: list[Output]) -> list[list[str]]:
    return [one["text"] if "text" in one else one["data"]["text/plain"] for one in outputs]


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


if __name__ == "__main__":
    main()

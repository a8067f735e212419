"""Twelve forms of output with ten hostile names each: what bytes they hold."""

import csv
import io
import json
import re

import numpy as np
import pytest

from ood_toolkit.cli.listing import fact_lines
from ood_toolkit.learning.discovery.report import summary
from ood_toolkit.report import Report
from ood_toolkit.report.cells import csv_cell, csv_rows, json_text, markdown_cell, plain
from ood_toolkit.report.comparison_tables import differences_grids, spread_grid, text_of
from ood_toolkit.report.latex import latex_cell
from ood_toolkit.report.published import comparison_text
from ood_toolkit.report.results import Answers, Row
from ood_toolkit.report.run_folder import read_run
from ood_toolkit.report.table import described

VALUES = {"auroc": 0.5, "fpr95_id": 0.25, "aupr_in": 0.125}


def report(name):
    """Give a report of two rows and a skipped one, with a name in every place where data can stand."""
    header = {
        "protocol": "native", "id": [{"name": name, "images": 3, "validation_images": 2}],
        "ood": {name: 2, "plain": 2}, "model": name, "prompts": name, "validation": {name: name}, "notes": [name],
    }  # fmt: skip
    rows = [Row("ood", name, name, ood, model=name, metrics=VALUES, notes=(name,)) for ood in (name, "plain")]
    return Report([*rows, Row("ood", f"{name}!", name, name, model=name, status="skipped", notes=(name,))], header)


def paired_of(name):
    side = {"run": name, "model": name, "scorer": name, "decider": ""}
    numbers = dict.fromkeys(["auroc", "difference", "low", "high", "p_holm"], 0.25)
    more = {f"fpr95_id{key}": 0.5 for key in ("", "_difference", "_low", "_high", "_p_holm")}
    return [{"id": name, "ood": name, **side, "against": {**side, "run": "other"}, **numbers, **more}] * 2


def spreads_of(name):
    return [
        {"kind": "ood", "id": name, "ood": name, "scorer": name, "decider": name, "runs": 2, "mean": VALUES,
         "std": VALUES}
    ] * 2  # fmt: skip


def published_of(name):
    told = {"kind": "ood", "ood": name, "scorer": name, "model": name, "metric": "auroc", "measured": 1.0,
            "published": 2.0, "difference": 1.0, "verdict": "within tolerance", "method": name, "source": name,
            "published_model": name, "published_protocol": name, "secondary": False, "note": name}  # fmt: skip
    return [told]


def found_of(name):
    cluster = {"name": name, "size": 3, "nearest_class": name, "words": [name, name], "class": name, "purity": 0.5}
    return summary({"looked_at": {"kept": 1, "images": 2}, "scorer": name}, [cluster], name, 80, False)


FORMS = {
    "table": lambda name: report(name).table(80),
    "coloured table": lambda name: report(name).table(40, color=True),
    "comparison": lambda name: text_of(paired_of(name), differences_grids(paired_of(name)), "table", 100, False),
    "spread": lambda name: text_of(
        spreads_of(name), [spread_grid(spreads_of(name), list(VALUES))], "table", None, False
    ),
    "published": lambda name: comparison_text(published_of(name), 100, False),
    "discovery": found_of,
    "listing": lambda name: described([{"name": name, "what": name, "sets": {name: [name]}}], 60, True),
    "facts": lambda name: "\n".join(fact_lines({"name": name, name: {"a": [name] * 4}})),
    "csv": lambda name: report(name).to_csv(),
    "comparison csv": lambda name: text_of(paired_of(name), differences_grids(paired_of(name)), "csv", None, False),
    "scores": lambda name: csv_rows([["id", "score"], [name, 1.5], [f" {name}", -2]]),
    "markdown": lambda name: report(name).to_markdown(),
    "comparison markdown": lambda name: text_of(
        paired_of(name), differences_grids(paired_of(name)), "markdown", 1, False
    ),
    "latex": lambda name: report(name).to_latex(),
    "comparison latex": lambda name: text_of(paired_of(name), differences_grids(paired_of(name)), "latex", 1, False),
    "json": lambda name: report(name).to_json(),
    "comparison json": lambda name: text_of(paired_of(name), differences_grids(paired_of(name)), "json", None, False),
}
OURS = re.compile("\x1b\\[[012]m")


@pytest.mark.parametrize("form", FORMS)
def test_no_byte_of_a_name_is_a_command(form, hostile):
    text = OURS.sub("", FORMS[form](hostile)) if form in ("coloured table", "listing") else FORMS[form](hostile)
    written = text.encode()  # a file name's stray bytes are no half characters either
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", written)
    assert not re.search("[\x80-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]", text)


@pytest.mark.parametrize("form", ["csv", "comparison csv", "scores"])
def test_a_row_of_csv_is_a_line_without_formulas(form, hostile):
    text = FORMS[form](hostile)
    rows = list(csv.reader(io.StringIO(text)))
    assert len(rows) == text.count("\n") == {"csv": 4, "comparison csv": 3, "scores": 3}[form]
    assert {len(row) for row in rows} == {len(rows[0])}
    for cell in (cell for row in rows for cell in row):
        assert re.fullmatch(r"-?[\d.e-]+", cell) or not re.match(r"\s*[=+\-@]", cell)
        assert not re.search(r";\s*[=+\-@]", cell)


@pytest.mark.parametrize("form", ["markdown", "comparison markdown"])
def test_a_row_of_markdown_is_a_line_of_as_many_cells(form, hostile):
    lines = [line for line in FORMS[form](hostile).splitlines() if line.startswith("|")]
    assert len(lines) == (8 if form.startswith("comparison") else 4)  # that has a table for each metric
    bars = [len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) for line in lines]
    assert len(set(bars)) == 1
    assert not [line for line in lines if re.search(r"<\w|(?<!\\)(?:\\\\)*(`|\]\()", line)]


@pytest.mark.parametrize("form", ["latex", "comparison latex"])
def test_a_row_of_latex_is_a_line_of_as_many_cells_in_ascii(form, hostile):
    text = FORMS[form](hostile)
    assert text.isascii()
    table = text[text.index(r"\toprule") : text.index(r"\bottomrule")].splitlines()
    rows = [line for line in table if not line.startswith(("\\toprule", "\\midrule"))]
    assert len(rows) == 3
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(re.findall(r"(?<!\\)&", rows[0]))}
    assert all(row.endswith(r" \\") and not row.startswith(("[", "*")) for row in rows)
    bare = re.sub(r"\\[\\{}]|\\textbackslash\{\}", "", text)
    assert bare.count("{") == bare.count("}")
    assert not re.search(r"(?<!\\)[#]|(?<!\\)%(?! (OOD|AUROC|FPR95))", text)


@pytest.mark.parametrize("form", ["json", "comparison json"])
def test_json_reads_back_as_the_true_name(form, hostile):
    text = FORMS[form](hostile)
    assert text.isascii()
    found = json.loads(text)
    assert (found["rows"][0] if form == "json" else found[0])["scorer"] == hostile


def test_a_run_folder_keeps_the_true_names(hostile, tmp_path):
    name = hostile.replace("\x00", "")  # no file name holds it, and NumPy's strings end at it
    made = report(name)
    ids = np.array([name, f"{name}/2", "3"])
    made = Report(made.rows, made.header, {(name, "test"): Answers(ids, {name: np.arange(3.0)})})
    made.save(tmp_path / "run")
    read = read_run(tmp_path / "run")
    assert (read.rows[0].scorer, read.rows[0].notes, read.header["notes"]) == (name, (name,), [name])
    assert read.answers[name, "test"].ids.tolist() == ids.tolist()
    assert list(read.answers[name, "test"].scores) == [name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("né 한 \U0001f468\u200d\U0001f469", "né 한 \U0001f468\u200d\U0001f469"),
        ("\x1b[2J", r"\x1b[2J"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),
        ("a\tb\nc", r"a\tb\nc"),
        ("\u202ex\u2028y\ufeff", r"\u202ex\u2028y\ufeff"),
        ("caf\udce9", r"caf\udce9"),
    ],
)
def test_text_for_a_terminal(text, expected):
    assert plain(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("=1", "'=1"),
        ("  +1", "'  +1"),
        ("\t@x", "\\t@x"),
        ("a;-1", "a;'-1"),
        ("-", "'-"),
        ("\uff1d1", "'\uff1d1"),
        ("a=b", "a=b"),
        (-1.5, -1.5),
        (np.float32(-2), np.float32(-2)),
        (np.int64(-3), np.int64(-3)),
        (None, None),
        (True, True),
    ],
)
def test_cells_of_csv(value, expected):
    assert csv_cell(value) == expected
    assert type(csv_cell(value)) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class_names", "class_names"),
        ("_a_ *b* `c`", r"\_a\_ \*b\* \`c\`"),
        ("a\\|b", r"a\\\|b"),
        ("[x](y) [1, 2]", r"\[x\](y) [1, 2]"),
        ("<b>&amp; a & b", "&lt;b&gt;&amp;amp; a & b"),
        ("# head", r"\# head"),
        ("-", "-"),
    ],
)
def test_text_for_markdown(text, expected):
    assert markdown_cell(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("żółć", r"\.{z}\'{o}\l{}\'{c}"),
        ("Ångström", r"\r{A}ngstr\"{o}m"),
        ("α ± Ω", r"$\alpha$ $\pm$ $\Omega$"),
        ("中ą", "{[}U+4E2D][U+0105]"),
        ("a--b---c", "a-{}-b-{}-{}-c"),
        ('"x" <y>|', r"{\char34}x{\char34} \textless{}y\textgreater{}\textbar{}"),
        ("[1]", "{[}1]"),
        ("*", "{*}"),
        ("\x1b", r"\textbackslash{}x1b"),
    ],
)
def test_text_for_latex(text, expected):
    assert latex_cell(text) == expected


def test_json_has_no_nan_and_numbers_of_numpy():
    assert json.loads(json_text({"a": float("nan"), 1: np.float32(0.5), "b": (np.int64(2), "\x7f")})) == {
        "a": None, "1": 0.5, "b": [2, "\x7f"],
    }  # fmt: skip
    assert "\x7f" not in json_text("\x7f")

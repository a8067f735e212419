"""Tables of LaTeX in documents of several encodings, where there is a LaTeX."""

import shutil
import subprocess

import pytest

from ood_toolkit.report import Report
from ood_toolkit.report.results import Row

LETTERS = (
    "żółć Ångström é ñ č ő ü ç ą đ þ ǘ ế ß", "α β Ω ± × ≥ ≤ → ° µ § © – — ‘a’ “b” … ·",
    "a--b---c ?` !` <<x>> ''q'' ,,z",
    "*", "[1]", "中文 \U0001f600 ﬁ ½", "\\% & # _ {} ~ ^ $", "\x1b[2J\n\\\\",
)  # fmt: skip


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
@pytest.mark.parametrize(
    "preamble", ["", "[utf8]{inputenc}", "[latin1]{inputenc}", "[ascii]{inputenc}", "[T1]{fontenc}"]
)
def test_tables_compile_in_any_encoding(preamble, hostile_names, tmp_path):
    names = (*hostile_names, *LETTERS)
    rows = [Row("ood", name, name, name, metrics={"auroc": 0.5}, notes=(name,)) for name in names]
    header = {"protocol": "native", "id": [{"name": hostile_names[1], "images": 3}], "ood": dict.fromkeys(names, 2)}
    package = rf"\usepackage{preamble}" if preamble else ""
    text = rf"\documentclass{{article}}{package}\usepackage{{booktabs}}\begin{{document}}"
    (tmp_path / "t.tex").write_text(f"{text}\n{Report(rows, header).to_latex()}\n\\end{{document}}", encoding="ascii")
    done = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-800:]

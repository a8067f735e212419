from ood_toolkit.report import Report
from ood_toolkit.report.results import Row

METRICS = {"auroc": 0.5, "fpr95_id": 0.25, "aupr_in": 0.125}
HEADER = {"id": [{"name": "i", "images": 3}], "ood": {"a_b": 2}}


def report(*scorers, oods=("a_b",), notes=()):
    return Report([Row("ood", s, "i", o, metrics=METRICS, notes=notes) for s in scorers for o in oods], HEADER)


def test_markdown_is_a_table():
    assert report("msp", notes=("said",)).to_markdown() == (
        "- ID i: 3 test images\n- OOD a_b (2)\n\n**OOD detection (%)**\n\n"
        "| scorer | OOD set | AUROC | FPR95(ID) | AUPR-in |\n| --- | --- | ---: | ---: | ---: |\n"
        "| msp | a_b | 50.00 | 25.00 | 12.50 |\n\n- msp: said\n"
    )


def test_markdown_escapes_bars():
    lines = report("x|y").to_markdown().splitlines()
    assert r"| x\|y | a_b | 50.00 | 25.00 | 12.50 |" in lines


def test_latex_is_a_booktabs_table_of_equal_columns():
    text = report("msp", "energy", oods=("a", "b")).to_latex()
    lines = text.splitlines()
    assert lines[1] == r"\begin{tabular}{llrrr}"
    assert lines[-1] == r"\end{tabular}"
    assert text.count(r"\midrule") == 2
    rows = [line for line in lines if line.endswith(r"\\")]
    assert len(rows) == 5
    assert {line.count("&") for line in rows} == {4}
    assert rows[1] == r"msp & a & 50.00 & 25.00 & 12.50 \\"


def test_latex_escapes_its_signs():
    text = report(r"a_b&c%d$e#f{g}h~i^j\k").to_latex()
    assert r"a\_b\&c\%d\$e\#f\{g\}h\textasciitilde{}i\^{}j\textbackslash{}k" in text
    assert "FPR95(ID)" in text


def test_a_report_without_results_is_no_table():
    nothing = Report([Row("ood", "knn", "i", "o", status="skipped", notes=("needs train",))], HEADER)
    assert nothing.to_latex() == ""
    assert nothing.to_markdown().endswith("- knn: skipped: needs train\n")
    assert nothing.to_csv().count("\n") == 2

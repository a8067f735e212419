import pytest

from ood_toolkit.report import Report
from ood_toolkit.report.results import Row

pytestmark = pytest.mark.quick

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
    assert lines[lines.index(r"\bottomrule") + 1] == r"\end{tabular}"
    assert lines[-1] == "}"
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


HEAD = HEADER | {
    "protocol": "mcm", "model": "m", "prompts": "a {}", "notes": ["run note"], "validation": {"i": "its own"},
    "id": [{"name": "i", "images": 3, "validation_images": 7, "accuracy": 0.5, "ece": 0.25}], "preset": {"name": "p"},
}  # fmt: skip


def test_every_form_says_protocol_counts_model_and_notes():
    made = Report([Row("ood", "msp", "i", "a_b", model="m", metrics=METRICS, notes=("said",), n_id=3, n_ood=2)], HEAD)
    for text in (made.to_markdown(), made.to_latex(), made.table()):
        for part in ("protocol mcm", "3 test images", "(2)", "7 images", "model m", "prompts", "run note", "msp: said"):
            assert part in text
    latex = made.to_latex()
    assert latex.index(r"\end{tabular}") < latex.index("protocol mcm")


def test_csv_says_of_the_run_in_its_last_columns():
    made = Report([Row("ood", "msp", "i", "a_b", model="m", metrics=METRICS, notes=("said",), n_id=3, n_ood=2)], HEAD)
    names, values = (line.split(",") for line in made.to_csv().splitlines())
    assert names[:11] == [
        "kind",
        "scorer",
        "id",
        "ood",
        "decider",
        "model",
        "status",
        "notes",
        "n_id",
        "n_ood",
        "seconds",
    ]
    assert names[11:] == [*METRICS, "protocol", "n_val", "validation", "accuracy", "prompts", "preset", "run_notes"]
    assert values[-7:] == ["mcm", "7", "its own", "0.5", "a {}", "p", "run note"]


def test_csv_says_of_each_model_what_is_its_own():
    parts = [HEAD | {"model": name, "prompts": f"{name} {{}}"} for name in ("one", "two")]
    shared = {key: value for key, value in HEAD.items() if key not in ("model", "prompts")}
    rows = [
        Row("ood", "msp", of, "a_b", model=name, metrics=METRICS) for name in ("one", "two") for of in ("i", "union")
    ]
    lines = Report(rows, {**shared, "models": parts}).to_csv().splitlines()
    assert [line.split(",")[-3] for line in lines] == ["prompts", "one {}", "one {}", "two {}", "two {}"]
    assert [line.split(",")[-6] for line in lines] == ["n_val", "7", "", "7", ""]

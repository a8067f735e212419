"""A report of some of its scorers: their rows, tests and published values, and no others."""

import pytest

from ood_toolkit.errors import ScorerError
from ood_toolkit.report import Report
from ood_toolkit.report.results import Row
from ood_toolkit.report.some_scorers import only

SPECS = ("msp", "energy", "knn:k=100")


@pytest.fixture
def report():
    rows = [Row("ood", spec, "i", "o", metrics={"auroc": 0.9}) for spec in SPECS]
    tests = [
        {"scorer": spec, "against": {"scorer": other}, "id": "i", "ood": "o", "auroc": 0.9, "difference": 0.0,
         "low": 0.0, "high": 0.0, "p": 1.0, "p_holm": 1.0}
        for spec in SPECS for other in SPECS if spec != other
    ]  # fmt: skip
    return Report(rows, {"protocol": "native", "paired": tests, "published": [{"scorer": spec} for spec in SPECS]})


@pytest.mark.parametrize("specs", [["msp"], ["knn:k=100", "msp"], list(SPECS)])
def test_rows_tests_and_published_values_are_of_these_scorers(report, specs):
    found = only(report, specs)
    kept = [spec for spec in SPECS if spec in specs]  # in the order of the run
    assert [row.scorer for row in found.rows] == kept
    assert [one["scorer"] for one in found.header["published"]] == kept
    tested = [(test["scorer"], test["against"]["scorer"]) for test in found.header["paired"]]
    assert tested == [(spec, other) for spec in kept for other in kept if spec != other]
    assert len(report.rows) == len(SPECS)


@pytest.mark.parametrize(("specs", "hint"), [(["MSP"], "'msp'"), (["msp", "knn:k=10"], "'knn:k=100'")])
def test_an_unknown_scorer_is_refused(report, specs, hint):
    with pytest.raises(ScorerError, match=f"no scorer {specs[-1]!r} in this run; did you mean {hint}"):
        only(report, specs)

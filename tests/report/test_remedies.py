"""What skipped scorers lacked is told with where it comes from, on screens and not in papers."""

import re

import pytest

from ood_toolkit.api.registry import get_registry
from ood_toolkit.report import Report
from ood_toolkit.report.remedies import SOURCES, remedies
from ood_toolkit.report.results import Row

HEADER = {"protocol": "native"}


def skipped(*needs, scorer="knn"):
    return Row("ood", scorer, "i", "o", status="skipped", notes=(f"needs {', '.join(needs)}",))


@pytest.mark.parametrize(
    ("needs", "part"),
    [
        (("train",), "train: ID training images: import the ID set with --split train"),
        (("text:no", "zero_shot"), 'text:no: "no" texts: digits-clip or clipn:ARCH/FILE have them'),
        (("text:opposites",), "text:opposites: --texts opposites=FILE"),
        (("logits in food101",), "logits: import logits, or the class texts (--text)"),
        (("extra:mine",), "extra:mine: a model that gives mine, with --keep mine"),
    ],
)
def test_each_need_says_where_it_comes_from(needs, part):
    ok = Row("ood", "msp", "i", "o", metrics={"auroc": 0.9})
    report = Report([ok, skipped(*needs), skipped(*needs, scorer="vim")], HEADER)
    text = report.table(None)
    assert text.count(part) == 1
    assert len(remedies(report.rows)) == 1 + len(needs)
    assert all(part not in paper for paper in (report.to_markdown(), report.to_latex(), report.to_csv()))


def test_nothing_is_said_where_nothing_was_skipped():
    failed = Row("ood", "bad", "i", "o", status="failed", notes=("needs must",))
    assert remedies([Row("ood", "msp", "i", "o", metrics={"auroc": 0.9}), failed]) == []


def test_every_need_of_the_built_in_scorers_has_a_source():
    needs = {need for about in get_registry().about_components("scorers") for need in about.get("needs", [])}
    assert needs
    assert {need for need in needs if not re.match("text:|extra:", need)} <= set(SOURCES)

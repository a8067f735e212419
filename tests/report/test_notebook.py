"""What notebooks show: valid, small, and with nothing in it that names from data could add."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from ood_toolkit import Detector, Outputs, bench, get_registry
from ood_toolkit.report import Report
from ood_toolkit.report.results import Row

pytestmark = pytest.mark.quick

NAME = "<script>alert(1)</script>\x1b[31m\u202e\"'&amp;"
OPEN = {"div", "p", "br", "strong", "table", "caption", "thead", "tbody", "tr", "th", "td"}


class Tags(HTMLParser):
    """Collects tags and text, and checks that what is opened is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], set(), ""

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        assert all(name == "style" for name, _ in attrs)
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def read(shown):
    html = shown._repr_html_()
    parsed = Tags()
    parsed.feed(html)
    assert (parsed.open, parsed.seen - OPEN) == ([], set())
    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e]", html)
    assert len(html) < 20_000
    return parsed.text


@pytest.fixture
def named():
    """Give outputs whose classes have harmful names."""
    draw = np.random.default_rng(0)
    return Outputs.from_logits(draw.normal(size=(60, 3)), draw.integers(0, 3, 60), [NAME, "b", "c"])


def test_outputs_say_what_they_hold(named):
    text = read(named)
    assert "60" in text
    assert "<script>alert(1)</script>\\x1b[31m\\u202e\"'&amp;, b, c" in text
    assert "logits" in text
    many = Outputs.from_logits(np.zeros((2, 1000)) + np.arange(1000), None, [f"n{i}" for i in range(1000)])
    assert "n9, ..." in read(many)


def test_nothing_is_derived_to_show_outputs(named):
    before = set(vars(named))
    named._repr_html_()
    assert set(vars(named)) - before <= {"has_labels"}


def test_a_detector_says_what_it_promises(named):
    made = Detector.fit("msp", named)
    text = read(made)
    for part in ("Detector: msp", made.rule, f"{made.threshold:.6g}", "60 images", made.digest):
        assert part in text
    assert "3, one for each predicted class" in read(Detector.fit("msp", named, rule="conformal:by=predicted"))


def test_every_scorer_shows_itself_fitted_or_not(named):
    registry = get_registry()
    for name in registry.names("scorers"):
        scorer = registry.get("scorers", name)()
        assert name in read(scorer)
    classwise = registry.scorer("classwise:rule=mean")
    assert "fittedyes" not in read(classwise)
    assert "rulemean" in read(classwise)
    assert "fittedyes" in read(classwise.fit(named))


def test_a_report_shows_its_tables(named):
    draw = np.random.default_rng(1)
    report = bench("msp,energy", named, {NAME: Outputs.from_logits(draw.normal(size=(40, 3)))}, named, id_name=NAME)
    text = read(report)
    assert text.count("<script>alert(1)</script>") >= 3
    for row in report.rows:
        assert f"{100 * row.metrics['auroc']:.2f}" in text
    rows = [Row("ood", f"s{place:02}", "i", "o", metrics={"auroc": place / 40}) for place in range(40)]
    matrix = Report(rows, {"protocol": "native", "id": [{"name": "i", "images": 1}], "ood": {"o": 1}})
    assert "<strong>97.50</strong>" in matrix._repr_html_()
    assert "s39" in read(matrix)


def test_showing_a_scorer_loads_no_torch():
    program = (
        "import sys; from ood_toolkit import get_registry; get_registry().scorer('msp')._repr_html_();"
        "print([m for m in ('torch', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

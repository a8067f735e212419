"""How plots look, as far as it can be measured: nothing overlaps or is cut, names are as they are, lines differ."""

from dataclasses import replace

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.colors import to_rgb

from ood_toolkit.errors import DataError
from ood_toolkit.report import Report
from ood_toolkit.report.cells import plain
from ood_toolkit.report.plot.plots import KINDS, Plots
from ood_toolkit.report.plot.style import COLUMN, MOST, SERIES
from ood_toolkit.report.results import Answers, Row

HOSTILE = "_under $x^2$ \\frac{a}{b} & % \x1b[31mred\u202e <script>alert(1)</script> 한국어"


def draw(report, kind, **more):
    return getattr(report.plot, kind.replace("-", "_"))(**more)


def renamed(report, scorer, known, ood):
    """Give a run of two scorers with other names of scorers and sets."""
    rows, answers = [], {}
    specs = {"msp": scorer, "energy": f"{scorer} 2"}
    for row in report.rows:
        if row.scorer in specs:
            rows.append(replace(row, scorer=specs[row.scorer], id=known, ood=ood if row.kind == "ood" else row.ood))
    for (_, key), said in report.answers.items():
        scores = {specs[spec]: values for spec, values in said.scores.items() if spec in specs}
        accepted = {specs[spec]: values for spec, values in said.accepted.items() if spec in specs}
        classes = np.array([f"{known} {name}" for name in said.prediction])
        copy = Answers(said.ids, scores, {}, classes, said.confidence, said.right, said.truth, accepted)
        answers[known, f"ood:{ood}" if key == "ood:near" else key] = copy
    rows = [row for row in rows if row.kind != "ood" or row.n_ood == 70]
    return Report(rows, {**report.header, "id": [{"name": known, "images": 80}], "ood": {ood: 70}}, answers)


def overlapping(texts):
    boxes = [(one.get_text(), one.get_window_extent().padded(-0.5)) for one in texts]
    return [
        (a, b) for place, (a, box) in enumerate(boxes) for b, other in boxes[place + 1 :] if box.overlaps(other)
    ]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "names", [("msp", "known", "near"), ("knn:k=50:base=another-score", "a-set-with-a-long-name", "far-images-of-food")]
)
def test_no_text_overlaps_another_or_leaves_the_figure(report, shown, kind, names):
    ax = draw(renamed(report, *names), kind)
    assert ax.figure.get_figwidth() == COLUMN
    texts = shown(ax)
    assert overlapping(texts) == []
    frame = ax.figure.bbox.padded(1)
    for one in texts:
        box = one.get_window_extent()
        assert frame.x0 <= box.x0 <= box.x1 <= frame.x1, one.get_text()
        assert frame.y0 <= box.y0 <= box.y1 <= frame.y1, one.get_text()


@pytest.mark.parametrize("kind", KINDS)
def test_names_from_data_are_text_and_nothing_else(report, shown, tmp_path, kind):
    ax = draw(renamed(report, HOSTILE, HOSTILE, HOSTILE), kind)
    texts = [one for one in shown(ax) if "mathdefault" not in one.get_text()]
    assert plain(HOSTILE).replace(" ", "") in "".join("".join(one.get_text().split()) for one in texts)
    assert not any(one.get_parse_math() for one in texts if "$" in one.get_text())
    Plots.save(ax, tmp_path / "a.svg")
    text = (tmp_path / "a.svg").read_text()
    assert "<script" not in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_lines_differ_in_grey_without_their_colours():
    looks = [(str(one.dash), one.marker) for one in SERIES]
    assert len(set(looks)) == len({dash for dash, _ in looks}) == len({marker for _, marker in looks}) == MOST
    light = sorted(np.dot(to_rgb(one.color), (0.2126, 0.7152, 0.0722)) for one in SERIES)
    assert light[-1] < 0.65  # all are seen on white


def many(count):
    draw = np.random.default_rng(0)
    test, ood = draw.normal(1, 1, (count, 60)), draw.normal(0, 1, (count, 40))
    specs = [f"s{place}" for place in range(count)]
    answers = {
        ("i", key): Answers(np.arange(len(scores[0])).astype(str), dict(zip(specs, scores, strict=True)))
        for key, scores in (("test", test), ("ood:o", ood))
    }
    rows = [
        Row("ood", spec, "i", "o", seconds=0.1 + place, metrics={"auroc": 1 - place / count})
        for place, spec in enumerate(specs)
    ]
    return Report(rows, {"protocol": "native", "id": [{"name": "i", "images": 60}], "ood": {"o": 40}}, answers)


def test_of_many_scorers_the_best_are_drawn_and_the_legend_says_so(shown):
    report = many(20)
    ax = report.plot.roc()
    assert len(ax.get_legend().get_texts()) == MOST
    assert ax.get_legend().get_title().get_text() == "AUROC (%), best 8 of 20 scorers"
    assert overlapping(shown(ax)) == []
    with pytest.raises(DataError, match="at most 8 lines in one plot, got 9; name fewer"):
        report.plot.roc(scorers=[f"s{place}" for place in range(9)])
    ax = report.plot.pareto()
    assert overlapping(shown(ax)) == []
    assert ax.get_title("left") == "▽ 19 scorers lie lower"
    inside, ahead, below = (np.asarray(one.get_offsets()) for one in ax.collections)
    assert inside.tolist() == ahead.tolist() == [[0.1, 100.0]]
    assert below.tolist() == [[0.1 + place, ax.get_ylim()[0]] for place in range(1, 20)]


def test_axes_that_are_given_are_drawn_in_and_given_back(report):
    figure, (left, right) = pyplot.subplots(1, 2)
    size = figure.get_size_inches().tolist()
    assert report.plot.roc(ax=left, color="red", linewidth=3) is left
    assert report.plot.hist(ax=right, alpha=0.5) is right
    assert figure.get_size_inches().tolist() == size
    lines = [line for line in left.lines if len(line.get_xdata()) > 2]
    assert {(line.get_color(), line.get_linewidth()) for line in lines} == {("red", 3)}
    assert {patch.get_alpha() for patch in right.patches} == {0.5}
    assert len(pyplot.get_fignums()) == 1


def test_a_plot_that_is_refused_leaves_no_figure(report):
    with pytest.raises(DataError):
        report.plot.roc(ood="nowhere")
    with pytest.raises(AttributeError):
        report.plot.roc(nonsense=3)
    assert pyplot.get_fignums() == []


def test_what_one_draws_with_stays_as_it_was(report, tmp_path):
    before = dict(pyplot.rcParams)
    Plots.save(report.plot.roc(), tmp_path / "a.png")
    assert dict(pyplot.rcParams) == before


def test_a_legend_of_curves_hides_none_of_them(shown):
    report = many(8)
    for key, said in report.answers.items():
        said.scores |= {spec: -scores if key[1] == "test" else scores for spec, scores in said.scores.items()}
    ax = report.plot.roc()  # worse than chance: the curves run where the legend usually is
    frame = ax.get_window_extent()
    assert ax.get_legend().get_window_extent().y0 >= frame.y1
    assert (ax.get_title("left"), ax.get_legend().get_title().get_text()) == ("", "i against o, AUROC (%)")
    assert overlapping(shown(ax)) == []


def test_a_legend_stands_inside_where_there_is_room(report):
    ax = report.plot.roc(ood="far", scorers="msp")
    assert ax.get_legend().get_window_extent().y1 < ax.get_window_extent().y1

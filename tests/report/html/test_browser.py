"""The page in a real browser: a run on pictures and one on real vectors."""

import json

import numpy as np
import pytest

from ood_toolkit import bench, metrics
from ood_toolkit.api.registry import get_registry
from ood_toolkit.benchmark.run import Told, run
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.report.html.page import html_page
from ood_toolkit.report.images_of_rows import cases_of

HOSTILE = [
    "</script><script>window.owned=1</script>",
    "<img src=x onerror=window.owned=1>",
    '"\' onfocus=window.owned=1 autofocus="',
    "\u202egnp.exe",
    "\x1b[31mred",
]
RATES = (
    "Object.fromEntries([...document.querySelectorAll('[data-rate]')].map((e) => [e.dataset.rate, e.firstChild.data]))"
)
COUNTS = """Object.fromEntries([...document.querySelectorAll('#confusion [data-group]')].map((row) =>
    [row.dataset.group, [...row.querySelectorAll('[data-count]')].map((cell) => cell.textContent)]))"""
DRAWN = "['histogram', 'roc', 'pr'].every((id) => document.querySelector(`#${id} svg path`))"
ROWS = "[...document.querySelectorAll('#summary tbody tr')].map((row) => row.querySelector('th').textContent)"


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Digits with pictures: the report, and its page."""
    folder = tmp_path_factory.mktemp("digits")
    settings = Settings(scorers="msp,classwise,energy", limit=80, store=folder / "store")
    return written(run(settings, get_registry(), Told(), gallery=4), folder)


@pytest.fixture(scope="module")
def vectors(clip, tmp_path_factory):
    """Real vectors of CIFAR-10 and Food-101, and half of the latter as a second set."""
    x, food = clip["cifar10"], clip["food101"]
    sets = {"food101": food, "half": food[np.arange(0, len(food), 2)]}
    report = bench("classwise,msp,mcm", x[np.arange(200, 500)], sets, x[np.arange(200)], id_name="cifar10")
    return written(report, tmp_path_factory.mktemp("vectors"))


def written(report, folder):
    (folder / "page.html").write_text(html_page(report))
    return report, folder / "page.html"


@pytest.fixture
def opened(browser, request):
    report, file = request.getfixturevalue(request.param)
    browser.open(file)
    browser.until(DRAWN)
    return report, browser


def choose(browser, place):
    """Choose a case as a user does."""
    browser.run(f"document.querySelector('#summary tr[data-case=\"{place}\"] button').click()")
    browser.until(f"document.querySelector('#summary tr.shown').dataset.case === '{place}' && {DRAWN}")


def move(browser, place):
    browser.run(f"""(() => {{ const slider = document.getElementById('threshold'); slider.value = {place};
        slider.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()""")


def set_field(browser, name, value, event):
    browser.run(f"""(() => {{ const field = document.getElementById('{name}'); field.value = '{value}';
        field.dispatchEvent(new Event('{event}', {{ bubbles: true }})); }})()""")


def said_by_python(case, cut):
    """What the page must say at a threshold, computed from the scores alone."""
    (inside, outside), right = case.scores, case.test.right
    accepted, missed = inside >= cut, outside >= cut
    passing = int(accepted.sum()) + int(missed.sum())
    rates = {
        "accepted": metrics.id_accepted(accepted),
        "detected": metrics.ood_detected(missed),
        "fpr": missed.mean(),
        "precision": accepted.sum() / passing if passing else None,
        "f1": metrics.f1_uncertain(~accepted, ~right) if (~right).any() or (~accepted).any() else None,
    }
    groups = {"right": accepted[right], "wrong": accepted[~right], "ood": missed}
    counts = {k: [f"{int(v.sum()):,}", f"{int((~v).sum()):,}"] for k, v in groups.items() if len(v)}
    return {k: "–" if v is None else f"{100 * v:.2f} %" for k, v in rates.items()}, counts


@pytest.mark.parametrize("opened", ["digits", "vectors"], indirect=True)
def test_the_threshold_moves_the_numbers_to_those_of_python(opened):
    report, browser = opened
    for place, case in list(enumerate(cases_of(report)))[1::3]:
        choose(browser, place)
        stops = json.loads(browser.run("document.getElementById('data').textContent"))["cases"][place]["positions"]["t"]
        own = int(browser.run("document.getElementById('threshold').value"))
        assert float(stops[own]) == case.test.cuts[case.row.scorer]
        last = len(stops) - 1
        for stop in dict.fromkeys([own, 0, last // 4, last // 2, 3 * last // 4, last]):
            move(browser, stop)
            rates, counts = said_by_python(case, float(stops[stop]))
            assert browser.run(RATES) == rates
            assert browser.run(COUNTS) == counts
    assert (browser.requests(), browser.complaints()) == ([], [])


@pytest.mark.parametrize("opened", ["digits"], indirect=True)
def test_keys_and_the_pointer_move_the_threshold(opened):
    _, browser = opened
    where = "Number(document.getElementById('threshold').value)"
    browser.run("document.getElementById('threshold').focus()")
    before = browser.run(where)
    for kind in ("keyDown", "keyUp"):
        browser.send("Input.dispatchKeyEvent", type=kind, key="ArrowRight", code="ArrowRight", windowsVirtualKeyCode=39)
    assert browser.run(where) == before + 1
    assert "% of ID accepted" in browser.run("document.getElementById('threshold').getAttribute('aria-valuetext')")
    browser.run("document.getElementById('histogram').scrollIntoView({ block: 'center', behavior: 'instant' })")
    box = browser.run(
        "(({ x, y, width }) => ({ x, y, width }))(document.querySelector('#histogram svg').getBoundingClientRect())"
    )
    for kind, share in (("mousePressed", 0.3), ("mouseMoved", 0.6), ("mouseReleased", 0.6)):
        browser.send("Input.dispatchMouseEvent", type=kind, x=box["x"] + share * box["width"], y=box["y"] + 40,
                     button="left", buttons=1, clickCount=1)  # fmt: skip
        if kind == "mousePressed":
            early = browser.run(where)
    assert 0 < early < browser.run(where)
    last = browser.run("Number(document.getElementById('threshold').max)")
    browser.run("document.getElementById('spread').click()")
    browser.until("document.querySelector('#histogram svg').textContent.includes('spread evenly')")
    for kind in ("mousePressed", "mouseReleased"):
        browser.send("Input.dispatchMouseEvent", type=kind, x=box["x"] + 0.5 * box["width"], y=box["y"] + 40,
                     button="left", buttons=1, clickCount=1)  # fmt: skip
    assert browser.run(where) == pytest.approx(last / 2, abs=0.02 * last)
    assert browser.complaints() == []


@pytest.mark.parametrize("opened", ["vectors"], indirect=True)
def test_the_summary_sorts_and_filters(opened):
    report, browser = opened
    shown = [row for row in report.rows if row.kind != "misclassification"]
    assert browser.run(ROWS) == [row.scorer for row in shown]
    click = "document.querySelector('#summary button[data-key={}]').click()"
    browser.run(click.format("auroc"))
    assert browser.run(ROWS) == [row.scorer for row in sorted(shown, key=lambda row: -row.auroc)]
    assert browser.run("document.querySelector('th[aria-sort=descending]').textContent") == "AUROC"
    browser.run(click.format("auroc"))
    assert browser.run(ROWS) == [row.scorer for row in sorted(shown, key=lambda row: row.auroc)]
    browser.run(click.format("fpr95_id"))
    assert browser.run(ROWS) == [row.scorer for row in sorted(shown, key=lambda row: row.fpr95_id)]
    for name, value, event in (("filter-scorer", "m", "input"), ("filter-ood", "half", "change")):
        set_field(browser, name, value, event)
    assert sorted(browser.run(ROWS)) == ["mcm", "msp"]
    assert browser.run("document.getElementById('found').textContent") == f"2 of {len(shown)} rows"
    cells = browser.run(
        "[...document.querySelectorAll('#summary td[data-key=auroc]')].map((cell) => cell.firstChild.data)"
    )
    assert cells == [f"{100 * row.auroc:.2f}" for row in sorted(shown, key=lambda r: r.fpr95_id)
                     if row.ood == "half" and "m" in row.scorer]  # fmt: skip
    assert browser.complaints() == []


@pytest.mark.parametrize("opened", ["vectors"], indirect=True)
def test_classes_are_ordered_and_found(opened):
    report, browser = opened
    choose(browser, 0)
    case, shown = cases_of(report)[0], "[...document.querySelectorAll('#class-accepted svg .role-axis-label text')]"
    named = f"{shown}.map((text) => text.textContent).filter((text) => !text.endsWith('%'))"
    accepted = {
        name: case.test.accepted["classwise"][case.test.prediction == name].mean() for name in case.test.classes
    }
    cuts = dict(zip(case.test.classes, case.test.class_cuts["classwise"], strict=True))
    for order, value in (("accepted", accepted.__getitem__), ("theta", lambda name: -cuts[name]), ("name", str)):
        set_field(browser, "class-order", order, "change")
        expected = sorted(case.test.classes, key=lambda name: (value(name), name))
        browser.until(f"JSON.stringify({named}) === {json.dumps(json.dumps(expected, separators=(',', ':')))}")
    set_field(browser, "class-filter", "o", "input")
    browser.until(f'JSON.stringify({named}) === \'["automobile","dog","frog","horse"]\'')
    set_field(browser, "class-filter", "none such", "input")
    browser.until("!document.querySelector('#class-accepted svg')")
    assert browser.run("document.getElementById('class-page').textContent") == "0 classes"
    assert browser.complaints() == []


@pytest.mark.parametrize("opened", ["vectors"], indirect=True)
def test_scorers_stand_against_each_other(opened):
    report, browser = opened
    choose(browser, 0)
    browser.until("document.querySelector('#scatter svg path')")
    names = "[...document.querySelectorAll('#against option')].map((option) => option.textContent)"
    assert browser.run(names) == ["msp", "mcm"]
    set_field(browser, "against", browser.run("document.getElementById('against').options[1].value"), "change")
    browser.until("document.querySelector('#scatter svg')?.textContent.includes('mcm')")
    drawn = browser.run("document.querySelectorAll('#scatter svg .mark-symbol path').length")
    row = report.rows[0]
    assert drawn == min(row.n_id, 400) + min(row.n_ood, 400)
    browser.until("document.querySelector('#cost svg')?.textContent.includes('seconds')")
    assert (browser.requests(), browser.complaints()) == ([], [])


@pytest.mark.parametrize("opened", ["digits"], indirect=True)
def test_errors_have_their_pictures(opened):
    report, browser = opened
    loaded = (
        "[...document.querySelectorAll('#galleries img')].every((image) => image.complete && image.naturalWidth > 0)"
    )
    browser.until(loaded)
    missed = browser.run("""[...document.querySelectorAll('[data-kind=missed] .tile')].map((tile) =>
        [tile.querySelector('img').alt, tile.querySelector('.id').textContent])""")
    case = cases_of(report)[0]
    order = np.argsort(np.where(case.ood.accepted["msp"], -case.scores[1], np.inf), kind="stable")[:4]
    assert missed == [
        [f"OOD image, taken for {case.ood.prediction[row]}", str(case.ood.ids[row])] for row in order
    ]  # fmt: skip
    assert browser.run("document.getElementById('errors-said').hidden")
    assert browser.complaints() == []


@pytest.mark.parametrize("opened", ["vectors"], indirect=True)
def test_vectors_have_no_pictures_and_the_page_says_so(opened):
    _, browser = opened
    assert browser.run("document.querySelectorAll('#galleries img').length") == 0
    assert "imported vectors have none" in browser.run("document.getElementById('errors-said').textContent")


def test_names_are_text_wherever_they_stand(browser, make_report, tmp_path):
    report = make_report(names=HOSTILE, ids=HOSTILE, ood=HOSTILE[0])
    report.header["command"] = ["bench", HOSTILE[1]]
    browser.open(written(report, tmp_path)[1])
    browser.until(DRAWN)
    browser.until("document.querySelector('#class-scores svg text')")
    for place in range(len(cases_of(report))):
        choose(browser, place)
    assert browser.run("window.owned") is None
    assert browser.run("document.querySelectorAll('script').length") == 3
    assert browser.run("document.querySelectorAll('img, [onfocus], [onerror]').length") == 0
    options = browser.run("[...document.querySelectorAll('#ood option')].map((option) => option.textContent)")
    assert options == [HOSTILE[0], "far"]
    labels = browser.run("[...document.querySelectorAll('#class-accepted svg text')].map((text) => text.textContent)")
    assert any(label.startswith("\\u202egnp") for label in labels)
    assert any(label.startswith("<img src=x") for label in labels)
    seen = browser.run("document.body.innerText")
    assert not set("\u202e\x1b") & set(seen)
    assert (browser.requests(), browser.complaints()) == ([], [])


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1280, True)])
def test_nothing_is_wider_than_the_screen_and_colours_follow_it(browser, digits, width, dark):
    browser.open(digits[1], width, dark=dark)
    browser.until(DRAWN)
    assert browser.run("document.documentElement.scrollWidth") <= width
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 3 * 64) == dark
    unnamed = "(e) => !e.labels?.length && !e.textContent.trim() && !e.ariaLabel"
    named = f"[...document.querySelectorAll('input, select, button')].filter({unnamed}).length"
    assert browser.run(named) == 0
    assert browser.run("[...document.querySelectorAll('.chart svg')].every((svg) => svg.getAttribute('aria-label'))")
    assert (browser.requests(), browser.complaints()) == ([], [])

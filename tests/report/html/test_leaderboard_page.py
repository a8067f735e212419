"""The page of a leaderboard in a browser: what it shows is what the command computes, also of what is filtered."""

import json
import re

import numpy as np
import pytest

from ood_toolkit.report.html.leaderboard import leaderboard_page
from ood_toolkit.report.leaderboard.asked import Asked
from ood_toolkit.report.leaderboard.board import board_of
from ood_toolkit.report.leaderboard.entries import Contribution, Images, Pair, Result, Who

HOSTILE = "</script><img src=x onerror=window.owned=1>\u202e\x1b[31m"
PAIRS = [Pair("known", name) for name in ("close", "away", HOSTILE)]
SHOWN = r"""[...document.querySelectorAll('#board tbody tr')].map((row) => [row.querySelector('b').textContent,
    ...[...row.querySelectorAll('td:not(.text)')].slice(0, 2).map(
        (cell) => cell.innerText.split(/\s+/).slice(0, 2).join(' '))])"""


def contribution(seed):
    """Give a run of drawn AUROCs: two models, four scorers, of which two are tied, and one that lacks a set."""
    draw = np.random.default_rng(seed)
    results = []
    for model in ("small", HOSTILE):
        for spec, supervision, cost in (
            ("msp", "zero-shot", "logits"), ("knn", "training", "train"), (f"klm:{HOSTILE}", "few-shot", "features"),
        ):  # fmt: skip
            for pair in PAIRS:
                metrics = {"auroc": float(draw.random()), "fpr95_id": float(draw.random())}
                lacks = (model, spec, pair, seed) == ("small", "knn", PAIRS[1], 1)
                who = Who(model, spec)
                results.append(Result(who, pair, None if lacks else metrics, "failed: it broke", cost, supervision))
                if spec == "msp":
                    results.append(Result(Who(model, "tied"), pair, metrics, "", cost, supervision))
    published = [
        {"scorer": "msp", "model": "small", "kind": "ood", "id": "known", "ood": pair.ood, "metric": "auroc",
         "published": 77.7, "same_images": True, "verdict": "other model", "method": HOSTILE, "published_model": "ViT",
         "published_protocol": "mcm", "source": HOSTILE, "secondary": False}
        for pair in PAIRS
    ]  # fmt: skip
    images = {(model, pair): (Images("id", 10), Images(pair.ood, 20)) for model in ("small", HOSTILE) for pair in PAIRS}
    groups = {"near": ["close"], "far": ["away", HOSTILE]}
    notes = [f"doubtful: {HOSTILE}"]
    return Contribution(f"run-{seed}", "native", seed, results, images, {}, {}, {}, groups, published, notes)


def expected(part, **asked):
    """Give what the command shows of a part."""
    board = board_of([contribution(0), contribution(1)], Asked(**asked))
    (found,) = [one for one in board.parts if one.name == part]
    rows = []
    for one in found.standings:
        ranks = "–" if one.rank is None else f"{one.rank.value:.2f} {one.rank.low:.1f}–{one.rank.high:.1f}"
        auroc = one.measures["auroc"]
        ends = "" if auroc.low is None else f" {100 * auroc.low:.1f}–{100 * auroc.high:.1f}"
        rows.append([str(one.place or "–"), ranks, f"{100 * auroc.value:.2f}{ends}"])
    return rows


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    file = tmp_path_factory.mktemp("board") / "index.html"
    file.write_text(leaderboard_page(board_of([contribution(0), contribution(1)], Asked())), encoding="utf-8")
    return file


def choose(browser, **fields):
    for field, value in fields.items():
        browser.run(f"""(() => {{ const field = document.getElementById({json.dumps(field)});
            if (field.type === 'checkbox') field.checked = {json.dumps(value)}; else field.value = {json.dumps(value)};
            field.dispatchEvent(new Event('input', {{ bubbles: true }})); }})()""")


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, {}),
        ({"filter-model": "small"}, {"models": ["small"]}),
        ({"filter-supervision": "zero-shot"}, {"supervision": ["zero-shot"]}),
        ({"filter-cost": "train"}, {"costs": ["train"]}),
        ({"filter-name": "TIE"}, {"scorers": ["tied"]}),
    ],
)
def test_filters_rank_anew_as_the_command_does(browser, page, fields, asked):
    browser.open(page)
    places = browser.run("[...document.querySelectorAll('#part option')].map((option) => option.textContent)")
    assert places == ["near", "far", "all OOD sets"]
    for place, part in enumerate(places):
        choose(browser, part=str(place), **fields)
        assert browser.run(SHOWN) == expected(part, **asked)
    assert (browser.requests(), browser.complaints()) == ([], [])


def test_heads_sort_and_name_the_protocol(browser, page):
    browser.open(page)
    heads = browser.run("[...document.querySelectorAll('#board thead th:not(.text)')].map((one) => one.innerText)")
    assert all(words.split("\n")[-1].strip() == "native" for words in heads)
    browser.run("document.querySelector('#board button[data-key=fpr95_id]').click()")
    state = browser.run("document.querySelector('#board button[data-key=fpr95_id]').closest('th').ariaSort")
    cells = "[...document.querySelectorAll('#board tbody tr')].map((row) => row.cells[6].innerText)"
    column = [text.split()[0] for text in browser.run(cells)]
    numbers = [float(text) for text in column if text != "–"]
    assert state == "ascending"
    assert numbers == sorted(numbers)
    assert column[-1] == "–", "what has no value comes last"


def test_names_are_text(browser, page):
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"<script", text)) == 2
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text)
    browser.open(page)
    assert browser.run("window.owned") is None
    assert browser.run("document.querySelectorAll('img, [onerror]').length") == 0
    seen = browser.run("document.body.innerText")
    assert seen.count("</script><img src=x") > 5
    assert not set("\u202e\x1b") & set(seen)
    assert "published" in seen
    assert (browser.requests(), browser.complaints()) == ([], [])


@pytest.mark.parametrize(("width", "dark"), [(390, False), (390, True), (1280, False), (1280, True)])
def test_nothing_is_wider_than_the_screen_and_colours_follow_it(browser, page, width, dark):
    browser.open(page, width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") <= width
    ground = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 3 * 64) == dark
    unnamed = "(e) => !e.labels?.length && !e.textContent.trim() && !e.ariaLabel"
    assert browser.run(f"[...document.querySelectorAll('input, select, button')].filter({unnamed}).length") == 0

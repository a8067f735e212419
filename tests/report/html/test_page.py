"""The page as a file: nothing of a run gets out of its place, and nothing but the page's own scripts may run."""

import html
import json
import re
import sys

import pytest

from ood_toolkit.errors import DataError
from ood_toolkit.report.html.library import charts_library
from ood_toolkit.report.html.page import embedded, html_page, script_hash

HOSTILE = [
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"'><svg onload=alert(1)>",
    "\u202egnp.exe\u2066",
    "\x1b]0;PWNED\x07\x1b[31mred<!--",
]


@pytest.fixture(scope="module")
def hostile_page(make_report):
    return html_page(make_report(names=HOSTILE, ids=HOSTILE, ood=HOSTILE[0]))


def parts(page):
    """Give the policy, the data and the scripts of a page."""
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1))
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    return policy, scripts[0], scripts[1:]


def test_the_policy_lets_the_own_scripts_run_and_nothing_be_asked_for(hostile_page):
    policy, _, scripts = parts(hostile_page)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules == {
        "default-src": "'none'",
        "script-src": " ".join(map(script_hash, scripts)),
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert scripts[0] == charts_library()
    assert "eval" not in policy


def test_names_of_a_run_end_no_element(hostile_page):
    assert len(re.findall(r"<script", hostile_page, re.IGNORECASE)) == 3
    assert len(re.findall(r"</script", hostile_page, re.IGNORECASE)) == 3
    _, data, scripts = parts(hostile_page)
    rest = hostile_page
    for script in scripts:
        rest = rest.replace(script, "")
    assert not re.search(r"<(img|svg)\b|onerror=alert\(1\)>|<!--", rest)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", rest)
    assert not re.search("[<>&\u2028\u2029]", data)
    held = json.loads(data)
    assert HOSTILE[0] in held["names"][0]
    assert "\\u202egnp.exe\\u2066" in held["names"][0]
    assert held["cases"][0]["ood"] == HOSTILE[0]
    title = re.search(r"<h1[^>]*>(.*?)</h1>", hostile_page, re.DOTALL).group(1)
    assert html.unescape(title) == held["title"] == f"id against {HOSTILE[0]}, far"


def test_the_page_names_no_other_place(hostile_page):
    _, data, scripts = parts(hostile_page)
    own = hostile_page.replace(scripts[0], "").replace(data, "")
    assert re.findall(r"https?://[^\s\"']+", own) == []
    assert re.findall(r"\b(?:src|href)=\"(?!#)[^\"]*", own) == []


def test_embedded_values_read_back():
    value = {"a": ["</script>", "\u2028&<!--", 1.5, None], "b": "\ud800"}
    assert json.loads(embedded(value)) == value
    with pytest.raises(ValueError, match="JSON"):
        embedded([float("nan")])


def test_without_the_extra_one_line_names_it(oodkit, monkeypatch, tmp_path, drawn):
    drawn.save(tmp_path / "run")
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    monkeypatch.setattr("ood_toolkit.report.html.library.find_spec", lambda name: None)
    for words in (("report", tmp_path / "run"), ("bench", "--ood", "letters")):
        oodkit(*words, "--html", tmp_path / "page.html").is_refused("pip install 'ood-toolkit[html]'")
    assert not (tmp_path / "page.html").exists()
    charts_library.cache_clear()
    with pytest.raises(DataError, match="html"):
        html_page(drawn)

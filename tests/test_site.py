"""The site: its navigation leaves nothing out, its links hold, and every public name and scorer has its place."""

import base64
import json
import re
from collections import Counter

import pytest
from assembly import assemble
from checks import asked_outside, not_found
from chooser import Measurements, cost_of, scorers_by_situation, situation_of
from docstrings import as_markdown, as_rst
from evidence import Measured, read_evidence
from navigation import Entry, read_sections
from notebook_pages import read_page
from places import ROOT, moved, outside_code, pages, with_dark_pictures
from reference import public_names, reference_pages

import ood_toolkit
from ood_toolkit.api import builtin

INDEX = ROOT / "docs" / "index.md"
BUILTIN = list(builtin.register_scorers())


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OODKIT_NO_PLUGINS", "1")
        assemble(folder)
    return folder


def test_every_page_of_the_repository_is_in_the_navigation_once():
    targets = [entry.target for section in read_sections(INDEX.read_text()) for entry in section.entries]
    linked = Counter((INDEX.parent / target).resolve().relative_to(ROOT).as_posix() for target in targets)
    assert linked == Counter(set(pages()) - {"docs/index.md"})


def test_every_entry_of_the_navigation_says_what_it_is_for():
    assert [e.title for s in read_sections(INDEX.read_text()) for e in s.entries if len(e.what) < 10] == []


def test_sections_are_headings_with_lists():
    text = (
        "# T\n\n- [no](no.md): before\n\n## One\n\n- [A b](a.md): what\n  it is.\n- [C](../c.md)\n\n## Two\n\nNone.\n"
    )
    (section,) = read_sections(text)
    assert (section.title, section.slug) == ("One", "one")
    assert section.entries == (Entry("A b", "a.md", "what it is."), Entry("C", "../c.md", ""))


def test_every_public_name_is_in_the_reference_once():
    found = Counter(re.findall(r"^\.\. [\w:]+:: (ood_\S+)$", "\n".join(reference_pages().values()), re.MULTILINE))
    modules = [f"ood_toolkit.{name}" for name in ("metrics", "testing", "sklearn")]
    public = {*modules, *(f"ood_toolkit.{name}" for name in ood_toolkit.__all__)}
    for module in modules:
        public |= {f"{module}.{name}" for name in __import__(module, fromlist=["__all__"]).__all__}
    assert found == Counter(public)
    assert set(found) - {*modules, "ood_toolkit.errors", "ood_toolkit.__version__"} == set(public_names())


def slug(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def test_every_link_of_the_assembled_pages_leads_somewhere(site):
    wrong = []
    for page in site.rglob("*.md"):
        text = page.read_text()
        targets = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))
        for path, _, anchor in (target.partition("#") for target in targets if not re.match(r"\w+:", target)):
            file = page.parent / path if path else page
            headings = map(slug, re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)) if anchor else ()
            if not file.is_file() or (anchor and anchor not in headings):
                wrong.append(f"{page.relative_to(site)}: {path}#{anchor}")
    assert wrong == []


def test_every_assembled_page_is_in_a_list_of_pages(site):
    listed = {"index"}
    for page in site.rglob("*.md"):
        for block in re.findall(r"```\{toctree\}\n:hidden:\n\n(.*?)\n```", page.read_text(), re.DOTALL):
            for line in block.splitlines():
                name = re.sub(r".*<(.+)>$", r"\1", line)
                file = site / name[1:] if name.startswith("/") else page.parent / name
                listed.add(file.resolve().relative_to(site.resolve()).as_posix())
    assert {page.relative_to(site).with_suffix("").as_posix() for page in site.rglob("*.md")} == listed


def test_every_scorer_has_a_page_with_its_formula_needs_and_parameters(site):
    registry = ood_toolkit.get_registry()
    assert {page.stem for page in (site / "scores").glob("*.md")} == {*BUILTIN, "index"}
    for name in BUILTIN:
        text, made = (site / "scores" / f"{name}.md").read_text(), registry.scorer(name)
        assert all(f"- `{need}`: " in text for need in made.needs), name
        assert all(f"\n| `{key}` | " in text for key in made.parameters()), name
        assert "\nSource: " in text, name


def test_the_measured_rows_of_a_scorer_are_on_its_page(site):
    rows = [row for row in read_evidence() if row.name == "neglabel"]
    assert {row.scorer for row in rows} == {"neglabel", "neglabel:groups=1"}
    text = (site / "scores" / "neglabel.md").read_text()
    assert all(f"| `{row.scorer}` | {row.setting} | {' | '.join(row.values.values())} |" in text for row in rows)


TABLES = """<!-- vectors: oodkit bench --scorers all --id cifar10-words --ood food101-words --ci -->
```text
ID cifar10: 401 test images

AUROC, FPR95(ID)

                                   FPR95
              AUROC                 (ID)
 scorer     food101              food101
 ───────────────────────────────────────
 msp          90.47 [88.1, 92.4]*   61.20 [53.6, 72.2]
 classwise-   93.02 [91.0, 94.6]    47.40 [33.0, 59.6]
 entropy

ID

 scorer             accepted   right  seconds
 ────────────────────────────────────────────
 msp                   97.76  91.63*    0.000
 classwise-entropy         -       -    0.001

 scorer     OOD set   AUROC
 ──────────────────────────
 msp        letters   97.40
```
<!-- end -->

| score | ResNet-56 | ResNet-20 | right, ResNet-56 | right, ResNet-20 |
|---|---:|---:|---:|---:|
| `neco:maxlogit=false` | 80.18 | 77.16 | 72.79 | 73.31 |

After.
"""


def test_evidence_is_what_the_tables_print(tmp_path):
    page = tmp_path / "scores.md"
    page.write_text(TABLES)
    assert read_evidence(page) == [
        Measured(
            "msp",
            "CLIP, cifar10",
            {"AUROC": "90.47", "FPR95(ID)": "61.20", "ID accepted": "97.76", "ID right": "91.63"},
        ),
        Measured(
            "classwise-entropy",
            "CLIP, cifar10",
            {"AUROC": "93.02", "FPR95(ID)": "47.40", "ID accepted": "-", "ID right": "-"},
        ),
        Measured("neco:maxlogit=false", "ResNet-56, cifar10", {"AUROC": "80.18", "ID right": "72.79"}),
        Measured("neco:maxlogit=false", "ResNet-20, cifar10", {"AUROC": "77.16", "ID right": "73.31"}),
    ]


def test_a_dash_is_no_number():
    row = Measured("adaneg", "CLIP, cifar10", {"AUROC": "99.12", "ID right": "-"})
    assert (row.value("AUROC"), row.value("ID right"), row.printed("FPR95(ID)"), row.name) == (
        99.12,
        None,
        "-",
        "adaneg",
    )


def test_every_table_of_the_page_is_read():
    rows = read_evidence()
    assert {row.setting for row in rows} == {
        "CLIP, cifar10",
        "CLIP, food101",
        "ResNet-56, cifar10",
        "ResNet-20, cifar10",
    }
    assert {"msp", "knn", "neglabel:groups=1", "classwise-entropy", "react"} <= {row.scorer for row in rows}
    assert not [row for row in rows if len(row.values) not in (2, 5) or not 0 <= row.value("AUROC") <= 100]


def test_scores_are_ordered_by_settings_measured_then_by_their_mean():
    def row(scorer, setting, auroc):
        return Measured(scorer, setting, {"AUROC": auroc})

    known = Measurements.of([row("a", "x", "90"), row("b", "x", "80"), row("b", "y", "70"), row("b:k=2", "x", "99")])
    assert sorted(["c", "a", "b"], key=known.order) == ["b", "a", "c"]
    assert known.values("b", "AUROC") == {"x": 80.0, "y": 70.0}
    assert known.values("b", "ID right") == {}
    assert known.cells("a", "AUROC", 1) == ["90.0", "–"]


@pytest.mark.parametrize(
    ("name", "title", "cost"),
    [
        ("energy", "Logits alone", "logits only"),
        ("classwise", "Logits and ID validation images", "logits only"),
        ("mcm", "CLIP without training data", "logits only"),
        ("neglabel", "CLIP with its text tower", "texts"),
        ("tag", "CLIP with its text tower", "texts"),
        ("negprompt", "CLIP with texts of your own, or with few labelled images", "texts"),
        ("clipn-atd", "CLIP with texts of your own, or with few labelled images", "texts"),
        ("l-mcm", "CLIP with its patches", "features"),
        ("adaneg", "A stream of images", "texts"),
        ("gradnorm", "Features and the head of a classifier", "features"),
        ("react", "Features after a ReLU, and the head", "features"),
        ("knn", "Training images", "training set"),
        ("mahalanobis", "Training images with labels", "training set"),
    ],
)
def test_situation_and_cost_follow_from_what_a_scorer_declares(name, title, cost):
    scorer = ood_toolkit.get_registry().scorer(name)
    assert (situation_of(scorer).title, cost_of(scorer)) == (title, cost)


def test_every_scorer_has_one_situation(monkeypatch):
    monkeypatch.setenv("OODKIT_NO_PLUGINS", "1")
    found = [scorer.name for scorers in scorers_by_situation().values() for scorer in scorers]
    assert sorted(found) == sorted(BUILTIN)


def test_links_follow_a_page_to_its_place():
    text = (
        "[a](metrics.md#x) [b](../README.md) ![c](pictures/roc.svg) [`msp`](commands.md#msp) [d](#e) [f](https://g.h)\n"
    )
    made, files = moved(text + "`[not](metrics.md)`\n", "docs/scores.md", "sections/s.md", {"msp"})
    assert made == (
        "[a](../metrics.md#x) [b](../overview.md) ![c](../pictures/roc.svg) [`msp`](../scores/msp.md) [d](#e) "
        "[f](https://g.h)\n`[not](metrics.md)`\n"
    )
    assert files == {"docs/pictures/roc.svg"}


def test_a_link_that_names_a_file_bears_the_title_of_the_page():
    text = "[docs/metrics.md](docs/metrics.md) [a.md file](docs/metrics.md#x) [deploy.md](docs/deploy.md#y)"
    made, _ = moved(text, "README.md", "overview.md")
    assert made == "[](metrics.md) [a.md file](metrics.md#x) [](deploy.md#y)"


def test_a_link_to_a_file_that_is_not_there_is_told_in_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr("assembly.pages", lambda: ["README.md"])
    monkeypatch.setattr("assembly.moved", lambda *_: ("", {"docs/pictures/none.svg", "LICENSE"}))
    with pytest.raises(SystemExit, match=r"^README\.md: .*got docs/pictures/none\.svg; mend the link$"):
        assemble(tmp_path)


def test_a_notebook_is_a_page_that_links_its_file(tmp_path, site):
    png = b"\x89PNG\r\n\x1a\n" + bytes(4) + b"IHDR" + (640).to_bytes(4, "big")
    shown = {"data": {"image/png": base64.b64encode(png).decode(), "text/plain": ["a line"]}}
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "\n", "Words."]},
        {"cell_type": "code", "source": ["print(1)\n", "2"], "outputs": [{"text": ["1\n"]}, shown]},
    ]
    file = tmp_path / "a.ipynb"
    file.write_text(json.dumps({"cells": cells}))
    assert read_page(file) == (
        "# Title\n\nA notebook with what its cells show: [a.ipynb](a.ipynb)\n\nWords.\n\n"
        "```python\nprint(1)\n2\n```\n\n"
        f"```text\n1\n```\n\n![a line](data:image/png;base64,{shown['data']['image/png']}){{width=320px}}\n"
    )
    for page in (name for name in pages() if name.endswith(".ipynb")):
        assert (site / page.removeprefix("docs/")).read_text() == (ROOT / page).read_text()


def test_a_notebook_links_pages_and_itself():
    text = "[a](a.ipynb) [b](b.ipynb) [c](../metrics.md#x)\n"
    made, files = moved(text, "docs/notebooks/a.ipynb", "notebooks/a.md")
    assert (made, files) == ("[a](a.ipynb) [b](b.md) [c](../metrics.md#x)\n", set())


def test_a_picture_with_a_dark_twin_has_both():
    text = "![a](pictures/report.png) ![b](pictures/roc.svg) `![c](pictures/report.png)`"
    assert with_dark_pictures(text, "docs/report.md") == (
        "![a](pictures/report.png){.only-light} ![a](pictures/report-dark.png){.only-dark} ![b](pictures/roc.svg) "
        "`![c](pictures/report.png)`"
    )


@pytest.mark.parametrize("page", pages())
def test_what_stands_in_angle_brackets_is_code_and_does_not_vanish_as_a_tag(page):
    tags = []

    def look(part):
        tags.extend(re.findall(r"<[a-zA-Z/][^<>]*>", part))
        return part

    outside_code(re.sub(r"<!--.*?-->", "", (ROOT / page).read_text(), flags=re.DOTALL), look)
    assert set(tags) <= {"<br>"}


def test_code_is_left_as_it_is():
    assert outside_code("a `a` a\n```sh\na\n```\na\n", str.upper) == "A `a` A\n```sh\na\n```\nA\n"


def test_docstrings_read_as_they_were_typed():
    text = "Give `x_` of h_k, 2 * |y|, T*.\n\n    S = a_ + b\n\n>>> f(1)\n2"
    links = {"x_": "ood_toolkit.x_"}
    assert as_rst(text, links.get) == (
        "Give :py:obj:`x_ <ood_toolkit.x_>` of h\\_k, 2 \\* \\|y\\|, T\\*.\n\n::\n\n    S = a_ + b\n\n>>> f(1)\n2"
    )
    assert as_markdown(text) == (
        "Give `x_` of h_k, 2 \\* \\|y\\|, T\\*.\n\n```text\nS = a_ + b\n```\n\n```pycon\n>>> f(1)\n2\n```"
    )
    assert as_rst("`a`s") == "``a``\\ s"


def test_what_a_page_would_fetch_is_found(tmp_path):
    (tmp_path / "good.html").write_text('<a href="https://a.b">c</a><link rel="canonical" href="https://a.b">')
    assert asked_outside(tmp_path) == []
    (tmp_path / "bad.html").write_text(
        '<script src="https://a.b/c.js"></script><link rel="stylesheet" href="//d.e/f.css">'
    )
    (tmp_path / "bad.css").write_text("@import url(https://a.b/c.css); a {background: url('http://d.e/f.png')}")
    assert len(asked_outside(tmp_path)) == 4


def test_what_the_search_lacks_is_found(tmp_path):
    (tmp_path / "searchindex.js").write_text(
        'Search.setIndex({"objects":{"ood_toolkit":[[0,0,1,"","Gate"]]},"terms":{"conform":[1]},"titleterms":{"neglabel":0}})'
    )
    assert not_found(tmp_path, ("Gate", "conformal", "neglabel")) == []
    assert not_found(tmp_path, ("Nothing",)) == ["Nothing"]


def test_the_citation_is_of_this_version_and_invents_no_person():
    lines = (ROOT / "CITATION.cff").read_text().splitlines()
    assert f"version: {ood_toolkit.__version__}" in lines
    assert lines[lines.index("authors:") + 1] == "  - name: ood_toolkit developers"
    assert not [line for line in lines if "family-names" in line or "given-names" in line]


def test_the_names_that_others_use_lead_to_scorers():
    text = (ROOT / "docs" / "coming-from.md").read_text()
    rows = re.findall(r"^\| `[^|]+\| `([^`|]+)`", text, re.MULTILINE)
    made = [ood_toolkit.get_registry().scorer(spec) for spec in rows if not spec.startswith("--")]
    assert len(made) > 45
    assert {"maxlogit", "vim", "ash-b", "relation"} <= {scorer.name for scorer in made}


def test_pictures_are_made_by_scripts_small_and_where_they_help():
    folder = ROOT / "docs" / "pictures"
    scripts = "".join((ROOT / "docs" / name).read_text() for name in ("pictures.py", "screenshots.py"))
    assert [file.name for file in folder.iterdir() if f'"{file.stem.removesuffix("-dark")}"' not in scripts] == []
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1_500_000
    for page in ("README.md", "docs/quickstart.md", "docs/which-score.md"):
        assert re.search(r"!\[[^]]+\]\((?:docs/)?pictures/", (ROOT / page).read_text()), page

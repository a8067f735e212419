"""Listings: tables of a line each, what is looked for in them, and all of one thing."""

import json
import re

import pytest

from ood_toolkit.api.explanation import explained, paper
from ood_toolkit.api.registry import get_registry
from ood_toolkit.errors import SpecError


def lines(done):
    assert (done.code, done.err) == (0, "")
    return done.out.splitlines()


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")


@pytest.mark.parametrize("columns", [80, 110, 120])
@pytest.mark.parametrize("kind", ["scorers", "combiners", "datasets", "models"])
def test_each_thing_has_one_line(oodkit, monkeypatch, columns, kind):
    monkeypatch.setenv("COLUMNS", str(columns))
    names = [row["name"] for row in oodkit(kind, "--json").read]
    table = lines(oodkit(kind))
    rows = table[table.index(next(line for line in table if "──" in line)) + 1 :]
    assert len(rows) == len(names)
    assert [line.split()[0] for line in rows] == names
    assert max(map(len, table)) <= columns


def test_columns_are_left_out_only_where_there_is_no_room(oodkit, monkeypatch):
    heads = {}
    for columns in (80, 95, 110):
        monkeypatch.setenv("COLUMNS", str(columns))
        table = lines(oodkit("scorers"))
        heads[columns] = table[2].split()
        (line,) = [line for line in table if line.startswith(" knn ")]
        assert line.endswith("2204.06507")
        assert ("ICML 2022" in line) == (columns == 110)
    full = ["name", "group", "needs", "paper"]
    assert heads == {80: ["name", "needs", "paper"], 95: full, 110: full}
    monkeypatch.setenv("COLUMNS", "80")
    assert "group" in lines(oodkit("scorers", "--group", "thresholds"))[2]  # these alone have room


def test_scorers_have_group_needs_and_paper(oodkit, wide):
    (line,) = [line for line in lines(oodkit("scorers")) if line.startswith(" knn ")]
    assert re.split(" {2,}", line.strip()) == ["knn", "classical", "features,train", "ICML 2022, 2204.06507"]
    sets = [re.split(" {2,}", line.strip()) for line in lines(oodkit("datasets"))]
    assert ["digits", "embedded", "CC BY 4.0", "1,077", "360", "360", "10"] in sets


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--group", "thresholds"], {"classwise", "classwise-entropy", "mean", "grid"}),
        (["--group", "thresholds", "--needs", "val_labels"], {"grid"}),
        (["--needs", "text", "--needs", "logits"], {"tag", "prompt-average"}),
        (["--needs", "text:no"], {"clipn-ctw", "clipn-atd"}),
        (["2204.06507"], {"knn"}),
        (["DJURISIC", "iclr"], {"ash-p", "ash-b", "ash-s"}),
        (["--group", "clip", "say no"], {"clipn-ctw", "clipn-atd", "lsn"}),
        (["djurisic", "--needs", "head", "--group", "classical"], {"ash-p", "ash-b", "ash-s", "lts"}),
    ],
)
def test_scorers_are_found_by_group_needs_and_words(oodkit, words, expected):
    assert {row["name"] for row in oodkit("scorers", *words, "--json").read} == expected
    assert {row["name"] for row in oodkit("scorers", "--json", *words).read} == expected


def test_words_find_data_sets_and_models_too(oodkit):
    assert [row["name"] for row in oodkit("datasets", "handwrit", "--json").read][:1] == ["digits"]
    assert any("timm" in row["name"] for row in oodkit("models", "timm", "--json").read)
    nothing = oodkit("scorers", "no such thing at all")
    count = len(get_registry().names("scorers"))
    assert (nothing.code, nothing.out, nothing.err) == (0, "", f"none of the {count} scorers fits\n")
    assert oodkit("scorers", "nothing", "--json").read == []


def test_all_of_a_scorer_is_told(oodkit):
    about = oodkit("scorers", "show", "knn", "--json").read
    assert about["needs"] == ["features", "train"]
    assert about["parameters"] == {"k": {"default": "50", "meaning": "Which neighbour."}}
    assert about["grid"] == {"k": ["50", "100", "200", "500", "1000"]}
    assert "-||h - h_(k)||^2" in about["text"]
    assert "reference code ranks" in about["text"]
    assert "arXiv 2204.06507" in about["source"]
    text = oodkit("scorers", "show", "knn").out
    for part in (
        "-||h - h_(k)||^2",
        "  k = 50  Which neighbour.",
        "grid: k = 50, 100",
        "source: KNN",
        "plugin: built-in",
    ):
        assert part in text


@pytest.mark.parametrize("kind", ["scorers", "combiners"])
def test_everything_can_be_shown_and_its_parameters_mean_something(kind):
    registry = get_registry()
    for row in registry.about_components(kind):
        if registry.provider(kind, row["name"]) != "built-in":
            continue
        about = explained(registry, kind, row["name"])
        assert about["text"]
        assert about["source"]
        assert [name for name, told in about["parameters"].items() if not told["meaning"]] == []
        json.dumps(about)


def test_a_spec_stands_for_its_name_and_a_wrong_one_is_refused(oodkit):
    assert explained(get_registry(), "scorers", "knn:k=3")["parameters"]["k"]["default"] == "50"
    oodkit("scorers", "show", "knnn").is_refused("unknown scorer 'knnn'; did you mean 'knn'")
    oodkit("combiners", "show", "votes").is_refused("did you mean 'vote'")
    with pytest.raises(SpecError):
        explained(get_registry(), "combiners", "msp")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("KNN, deep neighbours: Sun, Ming, Zhu and Li, ICML 2022, arXiv 2204.06507.", "ICML 2022, 2204.06507"),
        ("LTS: Djurisic, Machine Vision and Applications 2025, arXiv 2409.01175.",
         "2025, 2409.01175"),
        ("GEN: Liu and Zach, CVPR 2023 (no arXiv version).", "CVPR 2023"),
        ("SHE: Zhang et al., ICLR 2023, OpenReview KkazG4lgKL.", "ICLR 2023"),
        ("Entropy: as in Macêdo et al., arXiv 1908.05569.", "1908.05569"),
        ("One threshold: UST-ETRI seminar on thresholds.", "UST-ETRI seminar"),
        ("Mine", "Mine"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_paper_is_where_it_was_published(source, expected):
    assert paper(source) == expected


def test_the_help_of_bench_has_headings_and_every_option_once(oodkit):
    from ood_toolkit.cli.bench import HEADINGS, command

    text = oodkit("bench", "--help").out
    placed = [name for names in HEADINGS.values() for name in names]
    assert len(placed) == len(set(placed))
    assert {one.name for one in command.params} == set(placed)
    at = [text.index(f"\n{heading}:\n") for heading in HEADINGS]
    assert at == sorted(at)
    for one in command.params:
        assert len(re.findall(rf"^  {one.opts[0]}\b(?!-)", text, re.MULTILINE)) == 1, one.opts
    assert "Other options:\n  -h, --help" in text


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell, capsys, monkeypatch):
    from ood_toolkit.cli import main

    monkeypatch.setenv("_OODKIT_COMPLETE", f"{shell}_source")
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 0
    assert f"_OODKIT_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_shells_complete_what_stands_below_a_command(capsys, monkeypatch):
    from ood_toolkit.cli import main

    for words, at, expected in (("oodkit sc", 1, {"score", "scorers"}), ("oodkit scorers ", 2, {"show"})):
        for name, value in (("_OODKIT_COMPLETE", "bash_complete"), ("COMP_WORDS", words), ("COMP_CWORD", str(at))):
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit):
            main([])
        assert {line.partition(",")[2] for line in capsys.readouterr().out.splitlines()} == expected

"""Further texts: negatives mined from words, banks from files, and the list of what was mined."""

import json

import numpy as np
import pytest

pytestmark = pytest.mark.quick

WORDS = ("zebra", "teapot", "cloud", "a grey rug", "seven of nine")
SMALL = ("--ood", "patches", "--limit", 40)


@pytest.fixture
def words(tmp_path):
    (tmp_path / "words.txt").write_text("\n".join(WORDS) + "\n")
    return tmp_path / "words.txt"


@pytest.fixture
def imported(oodkit, tmp_path):
    """Import an ID set with candidates for negatives, and an OOD set that lies where one candidate does."""
    rng = np.random.default_rng(0)
    text, candidates = rng.normal(size=(3, 8)), rng.normal(size=(20, 8))
    labels = np.arange(60) % 3
    images = text[labels] + 0.5 * rng.normal(size=(60, 8))
    np.savez(tmp_path / "id.npz", embeddings=images, labels=labels, classes=["ant", "bee", "cat"])
    np.savez(tmp_path / "text.npz", text=text, classes=["ant", "bee", "cat"])
    np.savez(tmp_path / "more.npz", embeddings=candidates, names=[f"word {i}" for i in range(20)])
    np.savez(tmp_path / "ood.npz", embeddings=candidates[3] + 0.5 * rng.normal(size=(40, 8)))
    more = ("--texts", f"candidates={tmp_path / 'more.npz'}")
    assert oodkit("import", "toys", tmp_path / "id.npz", "--text", tmp_path / "text.npz", *more).code == 0
    assert oodkit("import", "odd", tmp_path / "ood.npz").code == 0
    return tmp_path


HOSTILE = ("\x1b[2Jclear", "a\tb", "a\nb", "\u202egnp", "=1+1", "\x1b]0;title\x07", "\x9b31m", "\u2028", "|", "<b>")


def test_words_and_names_that_are_commands_are_printed_as_escapes(oodkit, imported):
    more = np.random.default_rng(1).normal(size=(len(HOSTILE), 8))
    np.savez(imported / "more.npz", embeddings=more, names=list(HOSTILE))
    names = ["\x1b[31mant", "bee\r\n", "@cat"]
    for file in ("id.npz", "text.npz"):
        np.savez(imported / file, **dict(np.load(imported / file)) | {"classes": names})
    words = ("--text", imported / "text.npz", "--texts", f"candidates={imported / 'more.npz'}")
    assert oodkit("import", "toys", imported / "id.npz", *words, "--replace").code == 0
    assert oodkit("bench", "--scorers", "neglabel:share=1.0", "--id", "toys", "--ood", "odd").code == 0
    key = oodkit("negatives").out.split()[0]
    shown = oodkit("negatives").out + oodkit("negatives", key).out
    assert not set(shown) & set("\x1b\x07\x9b\r\u202e\u2028")
    lines = oodkit("negatives", key).out.splitlines()
    assert (len(lines), {line.count("\t") for line in lines}) == (len(HOSTILE), {1})
    kept = oodkit("negatives", key, "--json").read
    assert ({row["word"] for row in kept["negatives"]}, kept["classes"]) == (set(HOSTILE), names)


@pytest.mark.parametrize(
    "change",
    [{"negatives": ["x"]}, {"negatives": "x"}, {"classes": 5}, {"candidates": "many"}, {"quantile": "x", "share": []}],
)
def test_a_damaged_list_is_told_in_one_line_and_verified(oodkit, imported, change):
    oodkit("bench", "--scorers", "neglabel", "--id", "toys", "--ood", "odd")
    (file,) = (imported / "store" / "negatives").iterdir()
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    done = oodkit("negatives", file.stem)
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("expected a list of negatives, got contents of another form; delete it\n")
    assert (oodkit("negatives").code, oodkit("store", "verify").code) == (0, 1)


def test_what_was_mined_is_listed_and_printed(oodkit, imported):
    run = oodkit("bench", "--scorers", "neglabel:share=0.5", "--id", "toys", "--ood", "odd", "--format", "json").read
    row = next(row for row in run["rows"] if row["kind"] == "ood")
    assert row["status"] == "ok"
    key = row["notes"][0].rpartition(" ")[2].rstrip(")")
    assert row["notes"][0] == f"10 negatives, mined from 20 words (oodkit negatives {key})"
    (listed,) = oodkit("negatives", "--json").read
    assert listed["name"].startswith(key)
    assert "10 of 20 words (imported), for ant, bee, cat" in oodkit("negatives").out
    printed = [line.split("\t") for line in oodkit("negatives", key).out.splitlines()]
    assert [word for _, word in printed] == [
        row["word"] for row in oodkit("negatives", key, "--json").read["negatives"]
    ]
    assert [float(value) for value, _ in printed] == sorted(float(value) for value, _ in printed)
    assert "of each kind the 50 % least similar to the classes, by the 95 % quantile" in oodkit("negatives", key).err
    oodkit("negatives", "zz").is_refused("negatives 'zz': expected the start of one key, none fit")


def test_texts_chosen_by_images_are_listed_with_why(oodkit, imported):
    assert oodkit("import", "toys", imported / "id.npz", "--split", "train").code == 0
    asked = ("--scorers", "neglabel:mine=inter:count=4,adaneg:mine=inter:count=4", "--id", "toys", "--ood", "odd")
    run = oodkit("bench", *asked, "--format", "json").read
    rows = [row for row in run["rows"] if row["kind"] == "ood"]
    assert [row["status"] for row in rows] == ["ok", "ok"]
    (key,) = {note.rpartition(" ")[2].rstrip(")") for row in rows for note in row["notes"] if "pass mine=inter" in note}
    told = oodkit("negatives", key)
    assert "less similar to the mean training image of every class than the class's own text" in told.err
    assert "columns: mean gap, least gap, class of the least, word" in told.err
    printed = [line.split("\t") for line in told.out.splitlines()]
    gaps = [float(gap) for gap, *_ in printed]
    assert len(gaps) == 4
    assert gaps == sorted(gaps, reverse=True)
    assert all(0 < float(least) <= float(gap) for gap, least, *_ in printed)
    assert {name for *_, name, _ in printed} <= {"ant", "bee", "cat"}
    held = oodkit("negatives", key, "--json").read
    assert [row["word"] for row in held["negatives"]] == [word for *_, word in printed]
    assert "rule inter" in oodkit("negatives").out
    gate = imported / "gate"
    spec = "neglabel:mine=inter:count=4"
    assert oodkit("fit", spec, "--id", "toys", "--allow-same", "-o", gate).code == 0
    assert f"(oodkit negatives {key})" in oodkit("inspect", gate).out.replace("\n", " ")


def test_no_list_yet_is_an_empty_list(oodkit):
    assert oodkit("negatives").out == ""
    assert oodkit("negatives", "--json").read == []


def test_words_of_ones_own_are_mined_and_a_group_alone_has_no_words_encoded(oodkit, words):
    def first(scorers, *more):
        run = oodkit("bench", "--scorers", scorers, *SMALL, *more, "--format", "json").read
        return next(row for row in run["rows"] if row["scorer"].startswith("neglabel"))

    mined = first("neglabel:share=0.4", "--negatives", words)
    assert mined["notes"][0].startswith("2 negatives, mined from 5 words")
    assert mined["notes"][-1] == "2 negatives are few, less than 2,000: take share=1 and groups=1"
    assert first("clip")["notes"] == ["needs text:negatives"]


def test_a_bank_from_texts_serves_the_scores_that_ask_for_it(oodkit, words):
    asked = ("bench", "--scorers", "eoe,negprompt,id-like", *SMALL, "--format", "json")
    before = {row["scorer"]: row["status"] for row in oodkit(*asked, "--texts", f"outliers={words}").read["rows"]}
    assert before == {"eoe": "ok", "negprompt": "skipped", "id-like": "skipped"}
    both = ("--texts", f"outliers={words}", "--texts", f"negatives={words}")
    assert {row["status"] for row in oodkit(*asked, *both).read["rows"]} == {"ok"}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--negatives", "gone.txt"), "--negatives: expected wordnet or a file with one word a line, got 'gone.txt'"),
        (("--texts", "negatives=gone.txt"), "--texts: no such file: gone.txt"),
    ],
)
def test_files_that_are_not_there_are_refused_at_once(oodkit, options, said):
    oodkit("bench", "--scorers", "negprompt,neglabel", *options).is_refused(said)


def test_texts_that_nobody_asks_for_are_refused_before_anything_is_encoded(oodkit, words, tmp_path):
    oodkit("bench", "--scorers", "eoe,msp", "--texts", f"outlier={words}").is_refused(
        "--texts: no scorer of this run asks for text:outlier; they ask for outliers"
    )
    oodkit("bench", "--scorers", "msp", "--texts", f"any={words}").is_refused("asks for text:any")
    oodkit("bench", "--scorers", "msp", "--negatives", words).is_refused(
        "--negatives: no scorer of this run has negatives"
    )
    (tmp_path / "empty").write_text("# nothing\n")
    oodkit("bench", "--scorers", "neglabel", "--negatives", tmp_path / "empty").is_refused(
        "expected a word a line, got none"
    )


@pytest.mark.parametrize("given", ["x", "=file", "bank="])
def test_a_bank_needs_a_name_and_a_file(oodkit, given):
    done = oodkit("bench", "--texts", given)
    assert done.code == 2
    assert "--texts: expected BANK=FILE" in done.err


def test_texts_of_an_import_go_with_the_texts_of_its_classes(oodkit, imported):
    done = oodkit("import", "other", imported / "id.npz", "--texts", f"negatives={imported / 'more.npz'}")
    assert done.code == 2
    assert "--texts: goes with --text" in done.err
    np.savez(imported / "wrong.npz", numbers=np.ones(3))
    more = ("--text", imported / "text.npz", "--texts", f"negatives={imported / 'wrong.npz'}")
    oodkit("import", "other", imported / "id.npz", *more).is_refused("expected embeddings of texts", "numbers")
    np.savez(imported / "narrow.npz", text=np.ones((3, 5)))
    more = ("--text", imported / "text.npz", "--texts", f"negatives={imported / 'narrow.npz'}")
    oodkit("import", "other", imported / "id.npz", *more).is_refused("text:negatives: expected width 8, got 5")


def test_ready_negatives_of_an_import_are_used_as_they_are(oodkit, imported):
    more = ("--text", imported / "text.npz", "--texts", f"negatives={imported / 'more.npz'}", "--replace")
    assert oodkit("import", "toys", imported / "id.npz", *more).code == 0
    run = oodkit("bench", "--scorers", "neglabel", "--id", "toys", "--ood", "odd", "--format", "json").read
    row = next(row for row in run["rows"] if row["kind"] == "ood")
    assert row["status"] == "ok"
    assert not any("mined" in note for note in row["notes"])
    assert json.loads(oodkit("negatives", "--json").out) == []

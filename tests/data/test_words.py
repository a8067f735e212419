import gzip
import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ood_toolkit.data import words
from ood_toolkit.data.wordnet import Synset, list_text, main, read_synsets, word_lists, written_word
from ood_toolkit.data.words import (
    CSP_HEADS,
    DIGEST,
    SHIPPED,
    Word,
    conjugated,
    read_words,
    shipped_lists,
    wordnet_words,
)
from ood_toolkit.errors import DataError
from ood_toolkit.scorers.csp import WITHOUT

SHARED = {
    "noun.Tops": (50, 50, 50, 50),
    "noun.act": (5890, 5897, 5888, 5889),
    "noun.artifact": (10328, 10345, 10322, 10324),
    "noun.attribute": (2728, 2729, 2727, 2727),
    "noun.body": (1976, 1978, 1976, 1976),
    "noun.cognition": (2766, 2775, 2764, 2764),
    "noun.communication": (5074, 5090, 5072, 5072),
    "noun.event": (996, 998, 994, 994),
    "noun.feeling": (411, 413, 411, 411),
    "noun.group": (2407, 2407, 2401, 2402),
    "noun.location": (2946, 2959, 2941, 2942),
    "noun.motive": (41, 41, 41, 41),
    "noun.object": (1500, 1501, 1498, 1499),
    "noun.person": (9627, 9619, 9606, 9606),
    "noun.phenomenon": (628, 629, 628, 628),
    "noun.plant": (7630, 7631, 7627, 7630),
    "noun.possession": (997, 998, 993, 996),
    "noun.process": (719, 719, 719, 719),
    "noun.quantity": (1193, 1195, 1193, 1193),
    "noun.relation": (411, 411, 410, 410),
    "noun.shape": (328, 331, 327, 327),
    "noun.state": (3410, 3413, 3405, 3409),
    "noun.substance": (2923, 2926, 2901, 2922),
    "noun.time": (930, 933, 913, 930),
    "adj.all": (9985, 10007, 9935, 9963),
    "adj.pert": (3394, 3400, 3383, 3390),
    "adj.ppl": (60, 60, 60, 60),
}
"""Words here, words of NegLabel's file, words in both, and in both once NegLabel's stray signs are gone."""


def published(folder, file):
    return {line for line in (folder / f"{file}.txt").read_text("utf-8").splitlines() if line}


def cleaned(found):
    return {word.lstrip("[").replace('"', "") for word in found}


def test_the_shipped_list_is_the_one_that_is_named():
    text = gzip.decompress(SHIPPED.read_bytes())
    assert hashlib.sha256(text).hexdigest() == DIGEST
    assert list_text(shipped_lists()).encode() == text
    assert SHIPPED.stat().st_size < 350_000
    assert gzip.compress(text, mtime=0)[4:8] == SHIPPED.read_bytes()[4:8] == bytes(4)


def test_files_and_words_are_in_order_and_words_are_plain():
    lists = shipped_lists()
    assert list(lists) == list(SHARED)
    assert {file: len(found) for file, found in lists.items()} == {file: row[0] for file, row in SHARED.items()}
    for found in lists.values():
        assert list(found) == sorted(set(found))
        assert all(word == " ".join(word.lower().split()) and word.isascii() and len(word) > 1 for word in found)
        assert not any(set(word) & set('_"[]()#\t') for word in found)
    assert "supervision" in lists["noun.act"]
    assert "vitamin b1" in lists["noun.substance"]
    assert "hand-held" in lists["adj.ppl"]


def test_the_overlap_with_the_published_lists(data):
    folder = data / "names" / "neglabel"
    if not folder.is_dir():
        pytest.skip("the word lists of NegLabel are absent from the folder of real data")
    lists, theirs = shipped_lists(), {path.stem: published(folder, path.stem) for path in folder.glob("*.txt")}
    assert set(theirs) == set(lists)
    for file, found in lists.items():
        ours, clean = set(found), cleaned(theirs[file])
        row = (len(ours), len(theirs[file]), len(ours & theirs[file]), len(ours & clean))
        assert (file, row) == (file, SHARED[file])
    ours, every = set().union(*lists.values()), set().union(*theirs.values())
    assert (len(ours), len(every), len(ours & every)) == (69_916, 70_000, 69_767)
    assert (len(cleaned(every)), len(ours & cleaned(every))) == (69_978, 69_850)
    assert sum(word != "".join(cleaned({word})) for word in every) == 106


def test_a_word_of_several_files_is_of_the_first():
    found = wordnet_words()
    assert len(found) == 69_916 == len({word.text for word in found})
    assert (len(found.nouns), len(found.adjectives)) == (58_488, 11_428)
    assert [word.text for word in found] == [*found.nouns, *found.adjectives]
    files = list(SHARED)
    assert sorted(files.index(word.file) for word in found) == [files.index(word.file) for word in found]
    lists = shipped_lists()
    for word in list(found)[::97]:
        assert word.file == next(file for file in files if word.text in lists[file])
        assert word.part == word.file.partition(".")[0]
    assert sum(len(set(lists["adj.ppl"]) & set(lists[file])) for file in files[:24]) > 0


def test_files_are_left_out_before_a_word_is_given_to_one():
    found, lists = wordnet_words(WITHOUT), shipped_lists()
    assert (len(found.nouns), len(found.adjectives)) == (47_261, 9_276)
    left = set(SHARED) - set(WITHOUT)
    assert {word.file for word in found} == left
    assert {word.text for word in found} == set().union(*(lists[file] for file in left))
    moved = {word.text for word in wordnet_words() if word.file == "noun.person"} & {word.text for word in found}
    assert len(moved) > 100
    with pytest.raises(DataError, match=r"expected files among noun.Tops, .*, got noun.animal$"):
        wordnet_words(["noun.animal"])


def test_another_list_is_refused(tmp_path, monkeypatch):
    whole = gzip.compress(b"# noun.act\nact\n", mtime=0)
    for content, said in (
        (whole, "got other words"), (b"", "got other words"),
        (b"no gzip", "not readable"), (whole[:-5], "not readable"),
        (whole[:12] + b"\xff" * 6 + whole[18:], "not readable"),
    ):  # fmt: skip
        other = tmp_path / "words.txt.gz"
        other.write_bytes(content)
        monkeypatch.setattr(words, "SHIPPED", other)
        with pytest.raises(DataError, match=f"{said}.*install the package again"):
            shipped_lists.__wrapped__()


def test_words_need_neither_torch_nor_numpy():
    program = (
        "import sys; from ood_toolkit.data.words import wordnet_words; wordnet_words();"
        "print([m for m in ('torch', 'numpy', 'click') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_licence_lies_beside_the_list():
    text = SHIPPED.with_name("LICENSE-WordNet").read_text()
    for line in ("WordNet 3.0 Copyright 2006 by Princeton University.  All rights reserved.", 'PROVIDED "AS IS"'):
        assert line in text


def test_words_of_ones_own(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_bytes("\ufeff# a comment\nred  panda \n\n  # another\r\nÉclair\nred panda\nC# sharp\n".encode())
    found = read_words(file)
    assert found.entries == (
        Word("red panda", "noun", "mine.txt"),
        Word("Éclair", "noun", "mine.txt"),
        Word("C# sharp", "noun", "mine.txt"),
    )
    assert (found.nouns, found.adjectives) == (("red panda", "Éclair", "C# sharp"), ())
    assert read_words(str(file)) == found


def test_files_that_are_no_lists_are_refused_in_one_line(tmp_path):
    cases = {"empty": b"", "comments": b"# only\n\n", "latin": "a\nÉclair".encode("latin-1")}
    said = {"empty": "got none", "comments": "got none", "latin": "line 2: expected text in UTF-8, got byte 0xc9"}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=said[name]) as caught:
            read_words(tmp_path / name)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="absent: no such file; expected a readable text file"):
        read_words(tmp_path / "absent")
    with pytest.raises(DataError, match="expected a readable text file"):
        read_words(tmp_path)


def test_conjugated_adjectives_are_drawn_one_by_one():
    adjectives = wordnet_words(WITHOUT).adjectives
    phrases = conjugated(adjectives)
    assert len(CSP_HEADS) == len(set(CSP_HEADS)) == 14
    random.seed(0)  # CSP's code draws from the module's own state
    drawn = [random.choice([f"{{}} {head}" for head in CSP_HEADS]) for _ in adjectives]
    assert list(phrases) == [form.format(word) for form, word in zip(drawn, adjectives, strict=True)]
    assert phrases[:3] == conjugated(adjectives[:3])
    assert conjugated(["red", "wide", "soft"]) == ("red creature", "wide area", "soft vista")
    assert conjugated(adjectives, seed=1) != phrases
    state = random.getstate()
    conjugated(adjectives)
    assert random.getstate() == state
    counts = [sum(phrase.endswith(f" {head}") for phrase in phrases) for head in CSP_HEADS]
    assert min(counts) > 0.8 * len(adjectives) / 14


NOUN_DATA = """  1 A licence, at the top.
00000100 04 n 02 Battle_of_X 0 X_battle 1 001 @ 00000200 n 0000 | a battle; "it was | fierce"
00000200 04 n 01 act 0 000 | something done
00000300 05 n 01 cat 0 000 | an animal
00000400 13 n 01 bread 0 000 | food
00000500 10 n 01 A 3 000 | a letter
00000600 03 n 01 entity 0 000 | anything
00000700 04 n 01 act 2 000 | part of a play
"""
ADJECTIVE_DATA = """  1 A licence, at the top.
00000100 00 a 02 abaxial 0 dorsal 4 002 ;c 00000100 n 0000 ! 00000200 a 0101 | away from the axis
00000200 00 a 01 adaxial 0 001 ! 00000100 a 0101 | towards the axis
00000300 00 a 01 open 0 001 ! 00000500 a 0101 | first of a pair
00000400 00 s 01 open 1 001 & 00000500 a 0000 | like another
00000500 00 a 01 awake(p) 0 002 ! 00000300 a 0101 & 00000400 s 0000 | second of the pair
00000600 01 a 01 Alpine 0 001 ! 00000700 a 0101 | of the Alps
00000700 44 a 0a held(a) 0 b 0 c 0 d 0 e 0 f 0 g 0 h 0 i 0 j 0 000 | ten words
"""


def write_dict(folder, nouns=NOUN_DATA, adjectives=ADJECTIVE_DATA):
    (folder / "data.noun").write_text(nouns)
    (folder / "data.adj").write_text(adjectives)
    return folder


def test_a_synset_is_read():
    synsets = Synset.parse(NOUN_DATA.splitlines()[1]), Synset.parse(ADJECTIVE_DATA.splitlines()[1])
    assert synsets[0] == Synset(100, "noun.act", ("battle of x", "x battle"))
    assert synsets[1] == Synset(100, "adj.all", ("abaxial", "dorsal"), (200,))
    assert [synset.opens_a_pair for synset in synsets] == [False, True]
    assert written_word("galore(ip)") == "galore"
    assert written_word("New_York") == "new york"


def test_the_lists_hold_first_words_and_the_second_of_each_pair(tmp_path):
    assert word_lists(write_dict(tmp_path)) == {
        "noun.Tops": ("entity",),
        "noun.act": ("act", "battle of x"),
        "adj.all": ("adaxial", "awake", "open"),
        "adj.pert": ("alpine",),
        "adj.ppl": ("held",),
    }


def test_the_script_writes_the_list_and_says_whether_it_is_the_shipped_one(tmp_path):
    output = tmp_path / "words.txt.gz"
    done = CliRunner().invoke(main, [str(write_dict(tmp_path)), "--output", str(output)])
    assert done.exit_code == 0
    assert "not the shipped list" in done.output
    text = gzip.decompress(output.read_bytes()).decode()
    assert text.startswith("# noun.Tops\nentity\n# noun.act\nact\nbattle of x\n# adj.all\n")


def test_folders_that_are_no_wordnet_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"data.noun: expected a data file of WordNet 3.0"):
        word_lists(tmp_path)
    write_dict(tmp_path, nouns=NOUN_DATA + "00000800 99 n 01 odd 0 000 | of no file\n")
    with pytest.raises(DataError, match="line 9: expected a synset, got '00000800 99"):
        list(read_synsets(tmp_path / "data.noun"))
    done = CliRunner().invoke(main, [str(tmp_path), "--output", str(tmp_path / "out.gz")])
    assert done.exit_code == 1
    assert "Error: " in done.output
    assert not (tmp_path / "out.gz").exists()


def test_wordnet_gives_the_shipped_list_again():
    folder = os.environ.get("OODKIT_WORDNET")
    if not folder:
        pytest.skip("OODKIT_WORDNET names no folder of a WordNet 3.0 database")
    assert words.digest_of(list_text(word_lists(Path(folder))).encode()) == DIGEST

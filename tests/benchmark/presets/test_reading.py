"""Preset files are checked key by key, and what is wrong is said in one line."""

import re
from pathlib import Path

import pytest

from ood_toolkit.benchmark.presets import find_preset, read_preset
from ood_toolkit.errors import DataError

pytestmark = pytest.mark.quick

GOOD = """
description = "Digits against letters and patches."
sources = ["a paper"]
protocol = "mcm"
averaging = "all sets"
class_names = "own"

[id]
name = "digits"

[[ood]]
name = "letters"
images = 720
group = "near"

[[ood]]
name = "patches"

[[published]]
method = "MCM"
model = "digits-clip"
source = "a paper"
protocol = "mcm"
tolerance = { auroc = 0.4 }
values.letters = { auroc = 97.5, fpr95_id = 8 }
means.near = { auroc = 97.5 }
"""


@pytest.fixture
def read(tmp_path):
    def make(text):
        file = tmp_path / "tiny.toml"
        file.write_text(text)
        return read_preset(file)

    return make


def test_shifted_sets_are_read(read):
    text = GOOD.replace("[[ood]]", '[[csid]]\nname = "blurred"\nimages = 9\n\n[[csid]]\nname = "art"\n\n[[ood]]', 1)
    preset = read(text)
    assert [(part.name, part.images) for part in preset.csid] == [("blurred", 9), ("art", None)]
    assert preset.settings()["csid"] == ("blurred", "art")
    assert "csid" not in read(GOOD).settings()
    for old, new, said in (
        ('"art"', '"patches"', "expected each OOD and covariate-shifted set once, and not as ID, got one twice"),
        ('"art"', '"digits"', "expected each OOD and covariate-shifted set once, and not as ID, got one twice"),
        ("images = 9", 'group = "near"', "csid 1: unknown key 'group'"),
    ):
        with pytest.raises(DataError, match=said):
            read(text.replace(old, new))


def test_a_preset_is_read_whole(read):
    preset = read(GOOD + "means.all = { auroc = 98 }\nsecondary = true\n")
    assert (preset.name, preset.id.name, preset.id.images, preset.protocol) == ("tiny", "digits", None, "mcm")
    assert [(part.name, part.images, part.group) for part in preset.ood] == [
        ("letters", 720, "near"),
        ("patches", None, ""),
    ]
    (row,) = preset.published
    assert sorted(row.numbers()) == [
        ("mean", "all", "auroc", 98),
        ("mean", "near", "auroc", 97.5),
        ("ood", "letters", "auroc", 97.5),
        ("ood", "letters", "fpr95_id", 8),
    ]
    assert row.secondary
    assert (row.allowed("auroc"), row.allowed("fpr95_id")) == (0.4, None)
    assert preset.settings() == {
        "ids": ("digits",),
        "groups": {"near": ("letters",), "": ("patches",)},
        "protocol": "mcm",
    }
    assert (preset.expected("ood", "letters"), preset.expected("mean", "near")) == (720, 720)
    assert preset.expected("mean", "all") is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('protocol = "mcm"\naver', 'protocoll = "mcm"\naver', "unknown key 'protocoll'; did you mean 'protocol'?"),
        ('protocol = "mcm"\naver', 'aver', "tiny.toml: protocol is missing: expected the name of a protocol"),
        ('protocol = "mcm"\naver', 'protocol = "mmc"\naver', "protocol: unknown name 'mmc'; did you mean 'mcm'?"),
        ('sources = ["a paper"]', "sources = []", "sources: expected a list of at least one text, got []"),
        ('sources = ["a paper"]', "", "sources is missing"),
        ('source = "a paper"\n', "", "published 1 (MCM): source is missing: expected where the numbers stand"),
        ('source = "a paper"\n', 'source = " "\n', "source: expected where the numbers stand, got ' '"),
        ('method = "MCM"\n', "", "published 1: method is missing"),
        ("auroc = 97.5, fpr", "auroc = 100.1, fpr", "letters: expected auroc in percent from 0 to 100, got 100.1"),
        ("auroc = 97.5, fpr", "auroc = nan, fpr", "letters: expected auroc in percent from 0 to 100, got nan"),
        ("auroc = 97.5, fpr", "auroc = true, fpr", "letters: expected auroc in percent from 0 to 100, got True"),
        ("fpr95_id = 8", "fpr95_ood = 8", "letters: protocol mcm has no metric 'fpr95_ood'; did you mean 'fpr95_id'?"),
        ("fpr95_id = 8", "fpr95 = 8", "letters: protocol mcm has no metric 'fpr95'; did you mean 'fpr95_id'?"),
        ("values.letters", "values.leters", "values: unknown 'leters'; did you mean 'letters'?"),
        ("means.near", "means.far", "means: unknown 'far'"),
        ("{ auroc = 97.5, fpr95_id = 8 }", "97.5", "letters: expected metrics such as { auroc = 94.4 }, got 97.5"),
        ("tolerance = { auroc = 0.4 }", "tolerance = { auroc = 0 }", "expected auroc or fpr95 in points above 0"),
        ("tolerance = { auroc = 0.4 }", "tolerance = { aupr = 1 }", "expected auroc or fpr95 in points above 0"),
        ('class_names = "own"', 'class_names = "mine"', "class_names: expected imagenet-openai or own, got 'mine'"),
        ('class_names = "own"', 'class_names = "own"\nval_split = 1', "val_split: expected a share"),
        ('class_names = "own"', 'class_names = "own"\nprompts = ["a photo"]', "prompts: expected a list of templates"),
        ('class_names = "own"', 'class_names = "own"\ninterpolation = "nearest"', "interpolation: expected bilinear"),
        ('class_names = "own"', 'class_names = "own"\nresize = "224"', "resize: expected a number of pixels"),
        ('name = "patches"', 'name = "letters"', "tiny.toml: expected each OOD set once, got one twice"),
        ('name = "patches"', 'nam = "patches"', "ood 2: unknown key 'nam'; did you mean 'name'?"),
        ("images = 720", "images = 0", "ood 1: images: expected a number of images, got 0"),
        ('name = "digits"', "", "id: expected a table with the name of a data set, got {}"),
        ("[id]", "[id", "not TOML in UTF-8"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(read, old, new, said):
    assert GOOD.count(old) >= 1
    with pytest.raises(DataError) as caught:
        read(GOOD.replace(old, new, 1))
    assert said in str(caught.value)
    assert str(caught.value).startswith("preset ")
    assert "\n" not in str(caught.value)


def test_a_row_without_numbers_is_refused(read):
    start, _, _ = GOOD.partition("values.letters")
    with pytest.raises(DataError, match=r"published 1 \(MCM\): expected values or means, got neither"):
        read(start)


def test_presets_are_found_by_name_and_by_path(tmp_path):
    file = tmp_path / "tiny.toml"
    file.write_text(GOOD)
    assert find_preset(str(file)).name == "tiny"
    assert find_preset("mcm-hard").name == "mcm-hard"
    with pytest.raises(DataError, match="unknown preset 'mcm-herd'; did you mean 'mcm-hard'"):
        find_preset("mcm-herd")
    with pytest.raises(DataError, match=r"absent\.toml: no such file"):
        find_preset(str(tmp_path / "absent.toml"))
    (tmp_path / "tiny.txt").write_text(GOOD)
    with pytest.raises(DataError, match=r"end in \.toml"):
        find_preset(str(tmp_path / "tiny.txt"))


def test_the_example_of_the_docs_is_a_preset(read):
    page = (Path(__file__).parents[3] / "docs" / "presets.md").read_text()
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    preset = read(example)
    assert (preset.id.images, preset.published[0].values["letters"]["auroc"]) == (360, 97.64)
    assert preset.preprocessing() == {"interpolation": "bilinear", "resize": "224"}

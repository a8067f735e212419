import pytest

from ood_toolkit.errors import StoreError
from ood_toolkit.store.negatives import Negatives

ABOUT = {"model": "m", "classes": ["ant"], "candidates": 9}


def test_a_list_is_found_by_the_start_of_its_key_and_kept_once(tmp_path):
    kept = Negatives(tmp_path)
    first = kept.write(ABOUT, ["x", "ÿ"], [0.1, 0.2])
    assert kept.write(ABOUT, ["x", "ÿ"], [0.1, 0.2]) == first
    other = kept.write({**ABOUT, "share": 0.5}, ["x"], [0.1])
    assert sorted(kept.listed()) == sorted([first, other])
    key, found = kept.read(first[:9])
    assert (key, found["negatives"], found["classes"]) == (
        first,
        [{"word": "x", "similarity": 0.1}, {"word": "ÿ", "similarity": 0.2}],
        ["ant"],
    )


@pytest.mark.parametrize("start", ["", "zz", "0"])
def test_no_such_list_or_several_are_refused(tmp_path, start):
    kept = Negatives(tmp_path)
    for place in range(40):  # several keys start with 0
        kept.write({"place": place}, ["x"], [0.1])
    with pytest.raises(StoreError, match=r"expected the start of one key, (none|\d+) fit"):
        kept.read(start)


@pytest.mark.parametrize(
    "content",
    [
        "", "{}", "[]", '{"negatives": 3}', '{"negatives": [{"word": "x"}]}', "\x00", '{"negatives": ["x"]}',
        '{"negatives": "x"}', '{"negatives": [null]}', '{"negatives": [7]}', '{"negatives": [{"word": [], "a": 1}]}',
        '{"negatives": [], "classes": 5}', '{"negatives": [], "candidates": "9"}', '{"negatives": [], "share": "x"}',
        '{"negatives": [], "quantile": []}', '{"negatives": [], "share": 1%s}' % ("0" * 400),
    ],
)  # fmt: skip
def test_a_damaged_list_is_named(tmp_path, content):
    kept = Negatives(tmp_path)
    key = kept.write(ABOUT, ["x"], [0.1])
    (kept.folder / f"{key}.json").write_text(content)
    with pytest.raises(StoreError, match="expected a list of negatives"):
        kept.read(key)

"""What cannot be ranked together is refused in a line that names the runs and what differs."""

import pytest

from ood_toolkit.errors import DataError
from ood_toolkit.report.leaderboard.asked import Asked
from ood_toolkit.report.leaderboard.board import board_of
from ood_toolkit.report.leaderboard.entries import contribution_of
from ood_toolkit.report.run_folder import read_run

pytestmark = pytest.mark.quick


def refused(*reports):
    """Give the line with which reports, as runs of these names, are refused."""
    runs = [contribution_of(f"run-{place}", report) for place, report in enumerate(reports)]
    with pytest.raises(DataError) as caught:
        board_of(runs, Asked())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_protocols_do_not_mix(make_run):
    said = refused(make_run("one", specs="msp"), make_run("other", specs="msp", protocol="mcm"))
    assert "expected runs of one protocol, got native in run-0 and mcm in run-1" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ood": {"close": 39, "away": 30, "apart": 50}}, "close: expected the same images in every run, got 40"),
        ({"ood": {"close": 40, "far off": 30, "apart": 50}, "groups": {"near": ["close"]}}, "expected one group in"),
        (
            {"groups": {"near": ["close", "away"], "far": ["apart"]}},
            "away: expected one group in every run, got far",
        ),
    ],
)
def test_other_images_and_groups_are_named(make_run, change, said):
    line = refused(make_run("one", specs="msp"), make_run("other", specs="msp", **change))
    assert said in line
    assert "run-0" in line
    assert "run-1" in line


def test_images_of_as_many_other_ids_differ(make_run):
    first, second = make_run("one", specs="msp"), make_run("other", specs="msp")
    ids = second.answers["known", "ood:apart"].ids
    second.answers["known", "ood:apart"].ids = ids.copy()
    second.answers["known", "ood:apart"].ids[3] = "apart/999"
    assert "apart: expected the same images in every run, got 50 in run-0 and others in run-1" in refused(first, second)


def test_another_draw_under_the_same_seed_is_refused_and_under_another_not(make_run):
    first = make_run("one", 0, specs="msp,energy")
    board_of([contribution_of("a", first), contribution_of("b", make_run("one", 1, specs="msp,energy"))], Asked())
    drawn = make_run("other", 1, specs="msp,energy")
    drawn.header["seed"] = 0
    assert "known: expected the same images in every run, got 67 in run-0 and others in run-1" in refused(first, drawn)


def test_seeds_draw_from_the_same_images(make_run):
    first, second = make_run("one", 0, specs="msp"), make_run("other", 1, specs="msp")
    ids = second.answers["known", "val"].ids.copy()
    ids[0] = "known/999"
    second.answers["known", "val"].ids = ids
    assert "known: expected the same images in every run, got 90 in run-0 and others in run-1" in refused(first, second)


@pytest.mark.parametrize(
    ("key", "value"),
    [("val_split", 0.5), ("weights", "ab12"), ("templates", {"known": ["a {}"]}), ("encoder", {"precision": "bf16"})],
)
def test_a_model_has_one_setting(make_run, key, value):
    line = refused(make_run("one", 0, specs="msp"), make_run("one", 1, specs="msp", about={key: value}))
    named = "precision" if key == "encoder" else key
    assert f"one on known: expected the same {named} in every run, got " in line
    assert "in run-0 and " in line


def test_imported_arrays_of_a_model_are_the_same(make_run):
    runs = [make_run("one", seed, specs="msp", about={"imported": {"close/test": f"sha{seed}"}}) for seed in (0, 1)]
    assert "close/test of model one: expected the same imported arrays" in refused(*runs)


def test_a_result_stands_once(make_run):
    line = refused(make_run("one", specs="msp,energy"), make_run("one", specs="energy,mcm"))
    assert (
        "energy of one on known against close, seed 0: expected one result, got one in run-0 and one in run-1" in line
    )


def test_what_shares_no_set_or_seed_is_not_ranked(make_run):
    here, there = {"close": 40, "away": 30}, {"apart": 50}
    runs = make_run("one", specs="msp", ood=here, groups={}), make_run("other", specs="msp", ood=there, groups={})
    line = refused(*runs)
    assert line.startswith("nothing to rank: no scorer has a result on all sets and seeds (run-0 has known against")
    assert "run-1 has known against apart, seed 0" in line
    seeds = make_run("one", 0, specs="msp"), make_run("other", 1, specs="msp")
    assert "no scorer has a result on all" in refused(*seeds)


def test_one_entry_alone_is_no_ranking(make_run):
    run = make_run("one", specs="msp")
    assert "nothing to rank: run-0 have one scorer of one model, msp" in refused(run)


@pytest.mark.parametrize("value", [None, 1.5, -0.1])
def test_a_number_that_is_none_is_refused(saved, changed, tmp_path, value):
    def spoil(held):
        held["rows"][0]["metrics"]["auroc"] = value

    spoilt = changed(saved["one", 0], tmp_path / "spoilt", spoil)
    with pytest.raises(DataError, match=r"spoilt: msp on known against close: auroc: expected a number"):
        contribution_of(str(spoilt), read_run(spoilt))


def test_a_header_of_anybody_is_read(saved, changed, tmp_path):
    def spoil(held):
        held.update(templates=[], encoder=3, ready=7, imported="x", seed="first", weights=[1])

    spoilt = changed(saved["one", 0], tmp_path / "spoilt", spoil)
    run = contribution_of("spoilt", read_run(spoilt))
    assert run.seed is None
    assert board_of([run], Asked()).seeds == (None,)


def test_a_header_without_an_id_set_is_refused_by_what_it_lacks(saved, changed, tmp_path):
    def spoil(held):
        held["id"] = []
        held["rows"] = [{**row, "status": "skipped"} for row in held["rows"]]

    spoilt = changed(saved["one", 0], tmp_path / "spoilt", spoil)
    with pytest.raises(DataError, match="nothing to rank"):
        board_of([contribution_of("spoilt", read_run(spoilt))], Asked())


def test_trained_heads_are_told_apart(make_run):
    heads = [{"heads": {"known": f"{name}/known/head.safetensors"}, "shots": {"known": 4}} for name in ("a", "b")]
    runs = [contribution_of(str(place), make_run("one", specs="msp", about=about)) for place, about in enumerate(heads)]
    board = board_of(runs, Asked())
    found = {(one.entry.who.head, one.entry.supervision) for part in board.parts for one in part.standings}
    assert found == {("a", "few-shot"), ("b", "few-shot")}

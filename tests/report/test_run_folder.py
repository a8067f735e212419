import io
import json
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ood_toolkit.benchmark.members import Member
from ood_toolkit.benchmark.runner import bench
from ood_toolkit.errors import DataError
from ood_toolkit.report.report import joined
from ood_toolkit.report.results import Answers, Row
from ood_toolkit.report.run_folder import read_run, write_run

pytestmark = pytest.mark.quick


def same(one, two):
    """Compare answers, array by array."""
    assert one.ids.tolist() == two.ids.tolist()
    assert one.cuts == two.cuts
    for name in ("prediction", "confidence", "right", "truth", "classes"):
        a, b = getattr(one, name), getattr(two, name)
        assert (a is None) == (b is None)
        assert a is None or a.tolist() == b.tolist(), name
    for name in ("scores", "accepted", "class_cuts"):
        a, b = getattr(one, name), getattr(two, name)
        assert {k: v.tolist() for k, v in a.items()} == {k: v.tolist() for k, v in b.items()}
    assert one.streamed.keys() == two.streamed.keys()
    for ood, held in one.streamed.items():
        assert {k: v.tolist() for k, v in held.items()} == {k: v.tolist() for k, v in two.streamed[ood].items()}


def check_read(report, folder):
    report.save(folder)
    run = read_run(folder)
    assert run.rows == [replace(row, notes=tuple(row.notes)) for row in report.rows]
    assert run.header == json.loads(json.dumps(dict(report.header)))
    assert run.answers.keys() == report.answers.keys()
    for key, said in report.answers.items():
        same(run.answers[key], said)
    return run


def test_a_run_is_read_as_it_was_written(make_outputs, tmp_path):
    test, val, ood = make_outputs(60, seed=1), make_outputs(50, seed=2), make_outputs(40, seed=3)
    sets = {"a/b": ood, "..": ood[:9], "a:b:c": ood[:7]}
    report = bench("msp,classwise,knn", test, sets, val, id_name="i:d", groups={"near": ["a/b", ".."]})
    run = check_read(report, tmp_path / "run")
    assert run.header["groups"] == {"near": ["a/b", ".."]}
    assert next(row.status for row in run.rows if row.scorer == "knn") == "skipped"


def test_thresholds_are_those_that_decided(make_outputs, tmp_path):
    test, val, ood = make_outputs(60, seed=1), make_outputs(50, seed=2), make_outputs(40, seed=3)
    bench("msp,classwise,classwise:rule=conformal:target=0.99", test, {"o": ood}, val).save(tmp_path / "run")
    answers = read_run(tmp_path / "run").answers
    for key in ("test", "ood:o"):
        said = answers["id", key]
        for spec, cut in said.cuts.items():
            assert ((said.scores[spec] >= cut) == said.accepted[spec]).all()
    said = answers["id", "test"]
    assert said.cuts["classwise"] == 0
    assert list(said.class_cuts) == ["classwise", "classwise:rule=conformal:target=0.99"]
    assert said.classes.tolist() == list(test.class_names)
    taken = said.class_cuts["classwise"][[said.classes.tolist().index(name) for name in said.prediction]]
    np.testing.assert_allclose(said.scores["classwise"] + taken, said.scores["msp"], atol=1e-12)
    assert np.isneginf(said.class_cuts["classwise:rule=conformal:target=0.99"]).any()  # too few to promise


def test_members_combinations_and_models_are_found(make_outputs, tmp_path):
    def member(own, other):
        return Member(
            {own: make_outputs(30, seed=4), other: make_outputs(30, seed=5)},
            {own: make_outputs(22, seed=6), other: make_outputs(22, seed=7)},
            {"o": make_outputs(18, seed=8)},
        )

    reports = [
        bench("msp,energy:temperature=2", members={"a": member("a", "b"), "b": member("b", "a")},
              combiners="vote", about={"model": name})
        for name in ("m/1", "m:2")
    ]  # fmt: skip
    check_read(reports[0], tmp_path / "one")
    run = check_read(joined(reports), tmp_path / "two")
    assert {key[:2] for key in run.answers} >= {("m:2", "vote+msp"), ("m/1", "vote+msp"), ("m/1", "b")}


def test_scores_of_streams_are_read(tmp_path):
    said = Answers(np.array(["x", "y"]), {"msp": np.array([0.5, np.inf])})
    said.streamed = {"o": {"s": np.array([1.0, 2.0])}}
    header = {"protocol": "native", "id": [{"name": "i", "images": 2}], "ood": {"o": 2}}
    write_run(tmp_path / "run", header, [], {("i", "test"): said})
    same(read_run(tmp_path / "run").answers["i", "test"], said)


def test_numbers_that_are_none_become_nan(tmp_path):
    header = {"protocol": "native", "id": [{"name": "i", "images": 2}], "ood": {}}
    write_run(tmp_path / "run", header, [Row("ood", "s", "i", "o", metrics={"auroc": float("nan")})], {})
    assert np.isnan(read_run(tmp_path / "run").rows[0].auroc)


GOOD = {"schema": 1, "protocol": "native", "id": [{"name": "i", "images": 2}], "ood": {"o": 1}, "rows": []}
ROW = {"kind": "ood", "scorer": "msp", "id": "i"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected JSON"),
        ("{", "expected JSON"),
        (b"\xff\xfe", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        ("[]", "expected a result of schema 1, got a list"),
        ("{}", "expected a result of schema 1, got None"),
        (GOOD | {"schema": 2}, "expected a result of schema 1, got 2"),
        (GOOD | {"rows": {}}, "rows: expected a list, got an object"),
        (GOOD | {"id": "i"}, "id: expected a list of objects with a name"),
        (GOOD | {"id": [{"name": 3}]}, "id: expected a list of objects with a name"),
        (GOOD | {"ood": ["o"]}, "ood: expected the number of images by OOD set, got ['o']"),
        (GOOD | {"protocol": None}, "protocol: expected a name, got None"),
        (GOOD | {"protocol": "x"}, "protocol: unknown name 'x'"),
        (GOOD | {"models": [{}]}, "models: expected a list of objects with a name"),
        (GOOD | {"models": []}, "models: expected a list of objects with a name"),
        ('{"schema": 1, "protocol": "\\ud800"}', "rows: expected a list, got null"),
        (GOOD | {"rows": [ROW | {"metrics": {"auroc": 10**400}}]}, "row 0: auroc: expected a number, got 1000"),
        (GOOD | {"groups": {"near": "o"}}, "groups: expected lists"),
        (GOOD | {"rows": [3]}, "row 0: expected an object with kind, scorer and id"),
        (GOOD | {"rows": [ROW | {"kind": "odd"}]}, "row 0: unknown kind 'odd'"),
        (GOOD | {"rows": [ROW, ROW | {"n_id": "3"}]}, "row 1: n_id: expected a whole number, got text"),
        (GOOD | {"rows": [ROW | {"metrics": {"auroc": "1"}}]}, "row 0: auroc: expected a number, got text"),
    ],
)
def test_a_result_that_is_none_is_one_line(text, said, tmp_path):
    raw = text if isinstance(text, bytes) else (text if isinstance(text, str) else json.dumps(text)).encode()
    (tmp_path / "result.json").write_bytes(raw)
    with pytest.raises(DataError) as caught:
        read_run(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def npz(**arrays):
    held = io.BytesIO()
    np.savez(held, **arrays)
    return held.getvalue()


def pickled():
    held = io.BytesIO()
    np.save(held, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("ids.npy", held.getvalue())
    return packed.getvalue()


IDS = np.array(["a", "b"])


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "expected an .npz file of plain arrays"),
        (b"PK\x03\x04 torn", "expected an .npz file of plain arrays"),
        (npz(ids=IDS)[:-40], "expected an .npz file of plain arrays"),
        (pickled(), "expected a plain array, got other contents (arrays of Python objects are not read)"),
        (npz(x=IDS), "expected the ids of its images under ids, got x"),
        (npz(ids=np.arange(2)), "ids: expected one value an image, got int64 of shape (2,)"),
        (npz(ids=IDS, confidence=np.zeros(3)), "confidence: expected one value an image"),
        (npz(ids=IDS, scorers=np.array(["s"]), scores=np.zeros((1, 3))), "scores: expected 1 rows of 2 values"),
        (npz(ids=IDS, scorers=np.array(["s"])), "scores: expected 1 rows of 2 values, got no array"),
        (npz(ids=IDS, scorers=np.zeros(1)), "scorers: expected a list of names, got float64"),
        (npz(ids=IDS, cuts=np.zeros(2)), "cuts: expected one value a scorer, got float64 of shape (2,)"),
        (npz(ids=IDS, classes=IDS, class_cut_scorers=IDS[:1]), "class_cuts: expected 1 rows of 2 values, got no array"),
    ],
)
def test_scores_that_are_none_are_one_line(raw, said, tmp_path):
    (tmp_path / "result.json").write_text(json.dumps(GOOD))
    (tmp_path / "scores" / "i").mkdir(parents=True)
    (tmp_path / "scores" / "i" / "ood_o.npz").write_bytes(raw)
    with pytest.raises(DataError) as caught:
        read_run(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_name_in_a_result_leads_out_of_the_folder(tmp_path):
    (tmp_path / "scores").mkdir()
    np.savez(tmp_path / "secret.npz", ids=IDS)
    run = tmp_path / "run"
    (run / "scores").mkdir(parents=True)
    names = ["..", "../..", "/", str(tmp_path / "secret")]
    held = GOOD | {"id": [{"name": name, "images": 2} for name in names], "ood": {"../../../secret": 1, "secret": 1}}
    (run / "result.json").write_text(json.dumps(held))
    assert read_run(run).answers == {}


def test_a_name_that_no_file_can_have_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "scores").mkdir()
    (tmp_path / "result.json").write_text(
        json.dumps(GOOD | {"ood": {"o" * 300: 1}, "id": [{"name": "i" * 300, "images": 1}]})
    )

    def is_file(self):
        raise OSError(36, "File name too long")  # as Python 3.13 and older do

    monkeypatch.setattr(Path, "is_file", is_file)
    with pytest.raises(DataError, match=r"expected names that files can have, got the name is too long") as caught:
        read_run(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_none_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    for name in ("none", "file", ""):
        with pytest.raises(DataError, match="expected a run folder, which holds result"):
            read_run(tmp_path / name)


def claiming(sizes, name="{}"):
    """An archive whose directory claims these sizes, in bytes, of members that are a few bytes each."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for place in range(len(sizes)):
            archive.writestr(f"{name.format(place)}.npy", b"x" * 10)
    raw = bytearray(held.getvalue())
    at = -1
    for size in sizes:
        at = raw.index(b"PK\x01\x02", at + 1)
        struct.pack_into("<I", raw, at + 24, size)
    return bytes(raw)


def run_with(tmp_path, raw):
    (tmp_path / "result.json").write_text(json.dumps(GOOD))
    (tmp_path / "scores" / "i").mkdir(parents=True)
    (tmp_path / "scores" / "i" / "ood_o.npz").write_bytes(raw)
    return tmp_path


@pytest.mark.parametrize("size", [2**28 + 1, 2**30 + 1, 2**32 - 2])
def test_an_array_that_claims_too_much_is_not_unpacked(size, tmp_path, monkeypatch):
    raw = claiming([size], "ids")
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *given, **named: pytest.fail("unpacked"))
    with pytest.raises(
        DataError, match=rf"ood_o.npz: ids: .* become {size:,}, over the limit.*OODKIT_READ_LIMIT="
    ) as it:
        read_run(run_with(tmp_path, raw))
    assert "\n" not in str(it.value)


def test_scores_that_compress_well_are_read(tmp_path):
    said = Answers(np.arange(3000).astype(str), {f"s{place}": np.zeros(3000) for place in range(200)})
    header = {"protocol": "native", "id": [{"name": "i", "images": 2}], "ood": {"o": 3000}}
    write_run(tmp_path / "run", header, [], {("i", "test"): said})
    same(read_run(tmp_path / "run").answers["i", "test"], said)


ITEM = {
    "scorer": "msp", "model": "m", "kind": "ood", "ood": "o", "metric": "auroc", "measured": 1.0, "published": 2,
    "difference": None, "tolerance": None, "verdict": "v", "method": "M", "published_model": "m",
    "published_protocol": "mcm", "source": "s", "secondary": False, "note": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"published": {}}, "published: expected a list of objects with scorer, str"),
        ({"published": [ITEM, 3]}, "published: expected a list of objects with scorer, str"),
        ({"published": [ITEM | {"metric": 3}]}, "published: expected a list of objects with metric, str"),
        (
            {"published": [ITEM | {"measured": "1"}]},
            "published: expected a list of objects with measured, number or null",
        ),
        ({"published": [{k: v for k, v in ITEM.items() if k != "note"}]}, "objects with note, str"),
        (
            {"published": [ITEM | {"published": 10**400}]},
            "published: expected a list of objects with published, number",
        ),
        ({"published": [ITEM | {"id": ["i"]}]}, "published: expected a list of objects with id, str"),
        (
            {"published": [ITEM | {"same_images": "yes"}]},
            "published: expected a list of objects with same_images, bool",
        ),
        ({"preset": "tiny"}, "preset: expected an object with a name"),
        ({"preset": {"name": "tiny", "changed": "ood"}}, "preset: expected an object with a name"),
        ({"csid": []}, "csid: expected an object with a name and, under sets"),
        ({"csid": {"name": "i+csid"}}, "csid: expected an object with a name and, under sets"),
        (
            {"csid": {"name": "i+csid", "images": 2, "sets": [{}]}},
            "csid: expected an object with a name and, under sets",
        ),
    ],
)
def test_a_header_that_cannot_be_shown_is_one_line(changed, said, tmp_path):
    (tmp_path / "result.json").write_text(json.dumps(GOOD | {"published": [ITEM]} | changed))
    with pytest.raises(DataError) as caught:
        read_run(tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)

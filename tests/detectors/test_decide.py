import threading
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch

from ood_toolkit import Detector, Head, Outputs, Scorer
from ood_toolkit.detectors.decisions import BELOW, COLUMNS
from ood_toolkit.errors import DetectorError, RowError


@dataclass
class Sour(Scorer):
    """Gives NaN and infinity where the first feature says so."""

    name = "sour"
    needs = frozenset({"features", "logits"})

    def score(self, x):
        first = x.features[:, 0]
        return torch.where(first > 90, float("nan"), torch.where(first < -90, float("inf"), x.max_logit))


@pytest.mark.parametrize("rule", ["tpr:target=0.8", "conformal:by=predicted:target=0.7"])
def test_columns_are_what_an_independent_computation_gives(rule, make_outputs):
    val, x = make_outputs(200), make_outputs(40, seed=5)
    made, found = Detector.fit("msp", val, rule=rule), Detector.fit("msp", val, rule=rule).decide(x)
    z = torch.nn.functional.normalize(x.features.double(), dim=1) @ x.head.weight.double().T * 10
    confidence, predicted = torch.softmax(z, dim=1).max(dim=1)
    cuts = np.full(5, made.threshold) if made.class_thresholds is None else made.class_thresholds
    known = made.score(val)
    np.testing.assert_allclose(found.confidence, confidence, rtol=1e-5)
    np.testing.assert_allclose(found.score, confidence, rtol=1e-5)
    assert found.prediction.tolist() == [x.class_names[c] for c in predicted]
    np.testing.assert_array_equal(found.threshold, cuts[predicted])
    np.testing.assert_array_equal(found.margin, found.score - found.threshold)
    np.testing.assert_array_equal(found.accepted, made.predict(x))
    assert found.p_value.tolist() == [(1 + (known <= s).sum()) / 201 for s in found.score]
    assert found.why.tolist() == ["" if a else BELOW for a in found.accepted]
    assert 0 < found.accepted.sum() < 40
    assert found.id.tolist() == [str(i) for i in range(40)]
    one = next(iter(found))
    assert one == found[0]
    assert one._fields == COLUMNS == tuple(found.to_pandas().columns) == found.columns
    assert type(one.accepted) is bool
    assert found.to_dicts()[3] == dict(zip(COLUMNS, found[3], strict=True))
    with pytest.raises(RowError):
        found[40]


def forms(x):
    """The same features as people have them."""
    import pyarrow as pa

    rows = x.features.numpy()
    return {
        "tensor": x.features,
        "array": rows,
        "list": rows.tolist(),
        "float16": rows.astype(np.float16),
        "big-endian": rows.astype(">f4"),
        "reversed": rows[::-1],
        "frame": pd.DataFrame(rows),
        "column": pd.Series(list(rows)),
        "column of lists": pd.Series(rows.tolist()),
        "arrow": pa.FixedSizeListArray.from_arrays(pa.array(rows.reshape(-1)), rows.shape[1]),
        "arrow lists": pa.array(rows.tolist()),
        "chunked": pa.chunked_array([pa.array(rows[:7].tolist()), pa.array(rows[7:].tolist())]),
    }


FORMS = ["tensor", "array", "list", "float16", "big-endian", "reversed", "frame", "column", "column of lists", "arrow",
         "arrow lists", "chunked"]  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_what_people_have_is_taken(form, make_outputs):
    val, x = make_outputs(80), make_outputs(20, seed=2)
    made = Detector.fit("msp", val)
    wanted = made.decide(x[list(range(19, -1, -1))] if form == "reversed" else x).score
    rtol = 1e-2 if form == "float16" else 1e-6
    np.testing.assert_allclose(made.decide(forms(x)[form]).score, wanted, rtol=rtol)


def test_logits_are_taken_where_they_are_what_the_detector_knows(make_outputs):
    logits = torch.randn(60, 4, generator=torch.Generator().manual_seed(0)) * 3
    made = Detector.fit("msp", Outputs.from_logits(logits, class_names=list("abcd")))
    np.testing.assert_allclose(made.decide(logits.numpy()).score, torch.softmax(logits.double(), 1).amax(1), rtol=1e-6)
    assert set(made.decide(logits.numpy()).prediction) <= set("abcd")


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("text", "expected numbers"),
        ({"a": 1}, "got dict"),
        (np.zeros(8), r"write x\[None\]"),
        (np.zeros((2, 3, 8)), "pictures go to a Gate"),
        ([[1.0, 2.0], [3.0]], "one length"),
        (np.array([["a", "b"]]), "expected numbers"),
        (pd.DataFrame({"a": [1.0], "b": ["x"]}), r"got b; choose with frame\[\[\.\.\.\]\]"),
        (pd.Series(["x", "y"]), "expected"),
        (np.array([[object()] * 8]), "got objects such as object"),
        (np.zeros((2, 9)), "expected features of width 8 or logits of 5 classes, got width 9"),
        (np.zeros((2, 0)), "got width 0"),
        (np.full((2, 9), np.nan), "got width 9"),
    ],
)
def test_what_is_no_matrix_of_this_model_is_refused_with_what_to_do(bad, said, make_outputs):
    with pytest.raises(DetectorError, match=said) as caught:
        Detector.fit("msp", make_outputs()).decide(bad)
    assert "\n" not in str(caught.value)


def test_rows_that_cannot_be_scored_are_rejected_and_the_others_decided(make_outputs):
    made, x = Detector.fit("msp", make_outputs(80)), make_outputs(9, seed=2)
    rows = x.features.numpy().copy()
    rows[1, 3], rows[4, 0], rows[7] = np.nan, -np.inf, 0
    found, good = made.decide(rows), [0, 2, 3, 5, 6, 8]
    assert found.why[[1, 4, 7]].tolist() == [
        "not scored: NaN among its numbers",
        "not scored: infinite numbers",
        "not scored: all zeros, so it has no direction",
    ]
    assert not found.accepted[[1, 4, 7]].any()
    assert np.isnan(found.score[[1, 4, 7]]).all()
    assert found.prediction[[1, 4, 7]].tolist() == [""] * 3
    assert found.to_dicts()[1]["score"] is None
    np.testing.assert_allclose(found.score[good], made.score(x)[good], rtol=1e-6)
    np.testing.assert_array_equal(found.accepted[good], made.predict(x)[good])
    nothing = made.decide(rows[[1, 4]])
    assert (len(nothing), nothing.accepted.any()) == (2, False)
    assert np.isnan(made.p_values(rows)[[1, 4, 7]]).all()
    assert not np.isnan(made.p_values(rows)[good]).any()


def test_a_score_that_is_no_number_rejects_its_row(make_outputs):
    made, x = Detector.fit(Sour(), make_outputs(80)), make_outputs(5, seed=2)
    rows = x.features.numpy().copy()
    rows[1, 0], rows[3, 0] = 99, -99
    found = made.decide(rows)
    assert found.why[[1, 3]].tolist() == ["not scored: sour gives NaN", "not scored: sour gives infinity"]
    assert not found.accepted[[1, 3]].any()
    assert not np.isnan(found.score[[0, 2, 4]]).any()


@pytest.mark.parametrize("nothing", [[], np.empty((0, 8)), torch.empty(0, 8), pd.DataFrame(), iter(())])
def test_no_rows_give_no_decisions(nothing, make_outputs):
    found = Detector.fit("msp", make_outputs()).decide(nothing)
    assert len(found) == 0
    assert list(found) == found.to_dicts() == []
    assert found.to_pandas().shape == (0, 9)


@pytest.mark.parametrize("nothing", [[], np.empty((0, 8)), torch.empty(0, 5)])
def test_no_rows_give_no_scores(nothing, make_outputs):
    made = Detector.fit("classwise", make_outputs())
    for found, kind in ((made.score(nothing), np.float64), (made.predict(nothing), np.bool_)):
        assert (found.shape, found.dtype) == ((0,), kind)


def test_an_iterator_is_decided_chunk_by_chunk(make_outputs):
    made, x = Detector.fit("msp", make_outputs(80)), make_outputs(50, seed=2)
    chunks = [x.features[:20].numpy(), np.empty((0, 8)), x[20:45], x.features[45:]]
    found = made.decide(iter(chunks))
    pd.testing.assert_frame_equal(found.to_pandas(), made.decide(x).to_pandas())
    assert [part.first for part in made.stream(chunks)] == [0, 20, 45]


def test_labels_do_not_reach_the_score(make_outputs):
    seen = []

    @dataclass
    class Peeping(Scorer):
        name = "peeping"
        needs = frozenset({"logits"})

        def score(self, x):
            seen.append((x.labels, "source_labels" in x.extras))
            return x.max_logit

    val = make_outputs(30)
    made = Detector.fit(Peeping(), val)
    for x in (val, val.without_labels()):
        made.decide(x)
        made.score(x)
        made.predict(x)
        made.p_values(x)
    assert set(seen) == {(None, False)}


def test_no_head_is_hashed_or_copied_per_call(make_outputs, monkeypatch, tmp_path):
    Detector.fit("msp", make_outputs(80)).save(tmp_path / "d")
    made, x = Detector.load(tmp_path / "d"), make_outputs(4, seed=1)
    rows = x.features.numpy()
    made.decide(x)  # another head object is hashed once
    made.decide(rows)
    counts = {"hash": 0, "move": 0}

    def counted(name, function):
        def call(*arguments, **named):
            counts[name] += 1
            return function(*arguments, **named)

        return call

    monkeypatch.setattr("hashlib.sha256", counted("hash", __import__("hashlib").sha256))
    monkeypatch.setattr("ood_toolkit.outputs.head.replace", counted("move", __import__("dataclasses").replace))
    before = made.head.weight.data_ptr(), made.head.matrix.data_ptr()
    for _ in range(5):
        made.decide(rows)
        made.decide(x)
        made.decide(Outputs(x.features))
        made.predict(rows)
    assert counts == {"hash": 0, "move": 0}
    assert (made.head.weight.data_ptr(), made.head.matrix.data_ptr()) == before


def test_reading_decisions_names_only_what_is_predicted(make_outputs):
    """Of 20,000 classes one request names one: what a picture costs does not grow with them."""
    made = Detector.fit("msp", make_outputs(80)).decide(make_outputs(6, seed=1))

    asked = []

    class Names(tuple):
        __slots__ = ()

        def __getitem__(self, place):
            asked.append(place)
            return super().__getitem__(place)

        def __iter__(self):
            pytest.fail("all names were walked")

    watched = replace(made, names=Names(made.names))
    assert watched.prediction.tolist() == made.prediction.tolist()
    assert sorted(asked) == sorted(set(made.codes.tolist()))
    assert [watched[row] for row in (*range(6), -1)] == [*made, list(made)[-1]]
    assert watched[4].id == "4"


@pytest.mark.parametrize("spec", ["msp", "neglabel", "classwise", "knn:k=3", "mahalanobis"])
def test_eight_threads_share_one_detector(spec, make_outputs, one_thread):
    val, train = make_outputs(80), make_outputs(100, seed=8)
    made = Detector.fit(spec, val, train)
    batches = [make_outputs(30, seed=seed).features.numpy() for seed in range(8)]
    wanted, wrong = [made.decide(batch).to_dicts() for batch in batches], []
    fresh = Detector.fit(spec, val, train)  # nothing that is derived once has been derived

    def run(place):
        for _ in range(20):
            if fresh.decide(batches[place]).to_dicts() != wanted[place]:
                wrong.append(place)

    threads = [threading.Thread(target=run, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_another_device_gives_the_same(make_outputs):
    made = Detector.fit("classwise:base=(knn:k=3)", make_outputs(80), make_outputs(60, seed=3))
    moved = made.to("cpu")
    assert moved.decide(make_outputs(9)).to_dicts() == made.decide(make_outputs(9)).to_dicts()


def test_a_scorer_without_logits_predicts_nothing():
    rows = torch.randn(60, 6, generator=torch.Generator().manual_seed(0))
    made = Detector.fit("knn:k=2", Outputs(rows[:30]), Outputs(rows[30:]))
    found = made.decide(rows[:4].numpy())
    assert found.prediction.tolist() == [""] * 4
    assert np.isnan(found.confidence).all()
    assert not np.isnan(found.p_value).any()


def test_a_linear_head_and_outputs_of_another_model(make_outputs):
    draw = torch.Generator().manual_seed(0)
    head = Head.linear(torch.randn(4, 6, generator=draw), None, list("abcd"))
    made = Detector.fit("msp", Outputs(torch.randn(50, 6, generator=draw), head=head))
    assert len(made.decide(np.zeros((1, 6), np.float32)).why[0]) in (0, len(BELOW))  # zeros have logits
    with pytest.raises(DetectorError, match="of another model"):
        made.decide(make_outputs(5))
    with pytest.raises(DetectorError, match="needs features"):
        Detector.fit("knn:k=2", make_outputs(30), make_outputs(30, seed=1)).decide(np.zeros((2, 5), np.float32))

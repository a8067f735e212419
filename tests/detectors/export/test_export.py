"""A detector's ONNX file says under onnxruntime what `Detector.decide` says, with one threshold or one a class."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from ood_toolkit import Detector, Head, Outputs
from ood_toolkit.detectors.export import onnx_file
from ood_toolkit.detectors.export.exporting import export
from ood_toolkit.detectors.export.graph import OUTPUTS, Graph
from ood_toolkit.detectors.identity import identity_of
from ood_toolkit.errors import DetectorError, UsageError

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

SPECS = (
    "msp", "maxlogit", "energy:temperature=2", "entropy:normalised=true", "mcm", "neglabel:groups=3:temperature=10",
    "knn:k=5", "mahalanobis",
)  # fmt: skip
RULES = ("tpr", "conformal:target=0.8:by=predicted")


def opened(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def run(path, rows):
    session = opened(path)
    found = session.run(None, {session.get_inputs()[0].name: np.asarray(rows, dtype=np.float32)})
    assert [one.name for one in session.get_outputs()] == list(OUTPUTS)
    assert [one.dtype.name for one in found] == ["int64", "float64", "float64", "bool"]
    return dict(zip(OUTPUTS, found, strict=True))


def check_same(found, expected, near=1e-4):
    np.testing.assert_array_equal(found["prediction"], expected.codes)
    np.testing.assert_allclose(found["confidence"], expected.confidence, rtol=near, atol=near)
    np.testing.assert_allclose(found["score"], expected.score, rtol=near, atol=near)
    clear = ~(np.abs(expected.margin) <= 1e-6)  # NaN, a row that is rejected unscored, is clear
    assert clear.sum() >= 0.7 * len(clear)  # rows that gave their class its threshold have none
    np.testing.assert_array_equal(found["accepted"][clear], expected.accepted[clear])


def exported(detector, tmp_path, **how):
    detector.save(tmp_path / "d.oodkit")
    export(tmp_path / "d.oodkit", tmp_path / "d.onnx", **how)
    return tmp_path / "d.onnx"


@pytest.fixture(scope="session")
def vectors(clip):
    """Give real ID and OOD vectors under a head with negatives, other texts than its classes."""
    made = np.random.default_rng(0).normal(size=(40, clip["cifar10"].head.width)).astype(np.float32)
    near = clip["food101"].embeddings[:40].numpy() + 0.02 * made
    head = clip["cifar10"].head.with_banks({"negatives": near})
    return {name: Outputs(x.features, labels=x.labels, head=head) for name, x in clip.items()}


def in_torch(detector, rows, model=None):
    with torch.no_grad():
        found = Graph(detector, model).eval()(torch.as_tensor(rows))
    return {name: one.numpy() for name, one in zip(OUTPUTS, found, strict=True)}


@pytest.mark.parametrize("spec", SPECS)
def test_real_vectors_are_decided_alike(vectors, tmp_path, spec):
    known = vectors["cifar10"]
    rows = np.concatenate([known.features.numpy(), vectors["food101"].features.numpy()])
    for rule in RULES:
        detector = Detector.fit(spec, known[:250], known[250:], rule=rule)
        expected = detector.decide(rows)
        assert 0 < expected.accepted.sum() < len(rows)
        check_same(in_torch(detector, rows), expected)
    check_same(run(exported(detector, tmp_path, inputs="features"), rows), expected)


@pytest.mark.parametrize("spec", ["classwise:base=mcm", "classwise-entropy", "classwise:base=energy:rule=conformal"])
def test_margins_are_decided_alike(vectors, spec):
    detector = Detector.fit(spec, vectors["cifar10"][:250])
    rows = vectors["cifar10"].features.numpy()
    check_same(in_torch(detector, rows), detector.decide(rows))


def test_a_margin_under_onnxruntime_with_classes_that_take_all_or_nothing(vectors, tmp_path):
    detector = Detector.fit("classwise:base=energy:rule=conformal", vectors["cifar10"][:250])
    detector.scorer.always_[0], detector.scorer.never_[1] = True, True
    path, rows = tmp_path / "d.onnx", vectors["cifar10"].features
    expected = detector.decide(rows.numpy())
    assert expected.accepted[expected.codes == 0].all()
    assert not expected.accepted[expected.codes == 1].any()
    onnx_file.write(path, Graph(detector), rows, expected, {})
    check_same(run(path, rows), expected)


@pytest.fixture(scope="session")
def digits_with_negatives(digits):
    found = digits[0]
    draw = np.random.default_rng(0).normal(size=(20, found.head.width)).astype(np.float32)
    return Outputs(found.features, labels=found.labels, head=found.head.with_banks({"negatives": draw}))


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("spec", SPECS)
def test_a_graph_of_pixels_decides_alike_in_torch(digits_model, digits_with_negatives, digits, spec, rule):
    known = digits_with_negatives
    detector = Detector.fit(spec, known[:100], known[100:], rule=rule, encoder=identity_of(digits_model))
    pixels = torch.stack([digits_model.preprocess(one) for one in digits[1][:40]])
    with torch.no_grad():
        features = digits_model.encode_images(pixels)
    check_same(in_torch(detector, pixels, digits_model), detector.decide(features))


PAGE = Path(__file__).parents[3] / "docs" / "export.md"


def test_digits_are_decided_alike_from_pixels(digits_model, digits, tmp_path, monkeypatch, capsys):
    known = digits[0]
    detector = Detector.fit("msp", known[:100], rule=RULES[1], encoder=identity_of(digits_model))
    path = exported(detector, tmp_path)  # pixels, as the file names its model
    pixels = torch.stack([digits_model.preprocess(one) for one in digits[1]])
    expected = detector.decide(known.features)
    assert expected.accepted.any()
    check_same(run(path, pixels), expected)
    for rows in (1, 7):
        assert run(path, pixels[:rows])["accepted"].shape == (rows,)
        check_same(run(path, pixels[:rows]), detector.decide(known.features[:rows]))

    (code,) = re.findall(r"```py\n(.+?)```", PAGE.read_text(), re.DOTALL)
    path.rename(tmp_path / "digits.onnx")
    digits[1][3].save(tmp_path / "seven.png")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(PAGE), "exec"), {})  # the page's lines, which know nothing of this package
    name, confidence, score, accepted = capsys.readouterr().out.split()
    assert (name, accepted) == (expected.prediction[3], str(expected.accepted[3]))
    assert (confidence, score) == (f"{expected.confidence[3]:.6f}", f"{expected.score[3]:.6f}")
    said = opened(tmp_path / "digits.onnx").get_modelmeta().custom_metadata_map
    assert said["oodkit.digest"] == detector.digest
    assert (said["oodkit.scorer"], said["oodkit.rule"]) == ("msp", RULES[1])
    assert (said["oodkit.inputs"], said["oodkit.model"]) == ("pixels", "digits-clip")
    assert json.loads(said["oodkit.class_names"]) == list(detector.class_names)
    assert json.loads(said["oodkit.preprocessing"]) == dict(digits_model.preprocessing)


@pytest.fixture
def saturated():
    """Give logits whose confidence float32 cannot tell from 1, down to complements of 1e-15."""
    gaps = np.linspace(12, 34, 300)
    logits = np.zeros((300, 4), dtype=np.float32)
    logits[np.arange(300), np.arange(300) % 4] = gaps
    return logits


def test_confidence_does_not_saturate(saturated, tmp_path):
    detector = Detector.fit("msp", Outputs.from_logits(saturated), rule=RULES[1])
    path = exported(detector, tmp_path)
    assert opened(path).get_inputs()[0].name == "logits"
    found, expected = run(path, saturated), detector.decide(saturated)
    assert expected.confidence.min() > 1 - 1e-4
    assert len(np.unique(expected.confidence[1 - expected.confidence > 1e-12])) > 150
    np.testing.assert_allclose(1 - found["confidence"], 1 - expected.confidence, rtol=1e-5, atol=5e-16)
    clear = np.abs(expected.margin) > 1e-15
    np.testing.assert_array_equal(found["accepted"][clear], expected.accepted[clear])
    assert 0 < found["accepted"].sum() < len(saturated)


@pytest.mark.quick
def test_entropy_keeps_the_digits_of_small_ones(saturated):
    detector = Detector.fit("entropy", Outputs.from_logits(saturated))
    found, expected = in_torch(detector, saturated), detector.decide(saturated)
    np.testing.assert_allclose(found["score"], expected.score, rtol=1e-5)


def test_rows_that_cannot_be_scored_are_rejected(make_outputs, tmp_path):
    detector = Detector.fit("msp", make_outputs())
    rows = make_outputs(n=6).features.numpy().copy()
    rows[1, 2], rows[3, 0], rows[4] = np.nan, np.inf, 0
    found, expected = run(exported(detector, tmp_path), rows), detector.decide(rows)
    assert found["prediction"][[1, 3, 4]].tolist() == [-1, -1, -1]
    assert np.isnan(found["score"]).tolist() == [False, True, False, True, True, False]
    check_same(found, expected)


def test_a_linear_head_and_features_alone():
    draw = np.random.default_rng(0)
    features, labels = draw.normal(size=(200, 6)).astype(np.float32), draw.integers(0, 3, 200)
    head = Head.linear(draw.normal(size=(3, 6)), draw.normal(size=3))
    detector = Detector.fit("energy", Outputs(features, labels=labels, head=head), rule=RULES[1])
    check_same(in_torch(detector, features), detector.decide(features))
    detector = Detector.fit("knn:k=3", Outputs(features), Outputs(features[:100] + 0.01))
    check_same(in_torch(detector, features), detector.decide(features))


def test_others_are_refused_with_those_that_can_be_exported(make_outputs, tmp_path):
    detector = Detector.fit("vim", make_outputs(), make_outputs(seed=1))
    with pytest.raises(DetectorError, match=r"^vim.* msp, maxlogit, energy, entropy, mcm, neglabel, knn, mahalanobis"):
        exported(detector, tmp_path)
    detector = Detector.fit("classwise:base=gen", make_outputs())
    with pytest.raises(DetectorError, match=r"^gen.* export knows msp"):
        exported(detector, tmp_path)
    assert [one.name for one in tmp_path.iterdir()] == ["d.oodkit"]


def test_pixels_without_a_model_and_odd_places_are_refused(make_outputs, tmp_path):
    detector = Detector.fit("msp", make_outputs())
    with pytest.raises(DetectorError, match="names no model"):
        exported(detector, tmp_path, inputs="pixels")
    file = tmp_path / "d.oodkit"
    with pytest.raises(DetectorError, match="is the detector itself"):
        export(file, file)
    with pytest.raises(DetectorError, match="folder does not exist"):
        export(file, tmp_path / "no" / "d.onnx")
    (tmp_path / "bad.oodkit").write_bytes(b"none")
    with pytest.raises(DetectorError, match=r"bad\.oodkit"):
        export(tmp_path / "bad.oodkit", tmp_path / "d.onnx")
    assert not (tmp_path / "d.onnx").exists()


def test_what_onnxruntime_scores_otherwise_is_not_written(make_outputs, tmp_path, monkeypatch):
    detector = Detector.fit("maxlogit", make_outputs())
    (tmp_path / "d.onnx").write_bytes(b"before")
    monkeypatch.setattr(onnx_file, "NEAR", -1.0)
    with pytest.raises(DetectorError, match="nothing is written"):
        exported(detector, tmp_path)
    assert (tmp_path / "d.onnx").read_bytes() == b"before"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["d.onnx", "d.oodkit"]


def test_without_the_extra_one_line_names_it(make_outputs, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs onnx, onnxscript, onnxruntime: pip install 'ood-toolkit\[onnx\]'"):
        exported(Detector.fit("msp", make_outputs()), tmp_path)


def test_the_command(oodkit, make_outputs, tmp_path):
    Detector.fit("msp", make_outputs()).save(tmp_path / "d.oodkit")
    done = oodkit("export", tmp_path / "d.oodkit", "--onnx", tmp_path / "d.onnx")
    assert done.code == 0
    assert "features (n, 8) float32 in, prediction, confidence, score, accepted out" in done.out
    assert "names no model" in done.err

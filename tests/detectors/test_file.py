"""The file, format 2: what it holds comes back to the bit, and what is wrong with one is said in one line."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ood_toolkit import Detector, Outputs, Scorer
from ood_toolkit.api.registry import get_registry
from ood_toolkit.detectors.file import KEY, read
from ood_toolkit.detectors.rows import MOST, Rows
from ood_toolkit.errors import DetectorError, NotSavableError, OodkitError

pytestmark = [pytest.mark.usefixtures("no_plugins"), pytest.mark.quick]


@dataclass
class Half(Scorer):
    name = "half"
    needs = frozenset({"logits"})

    def score(self, x):
        return x.max_logit.double() / 2


@pytest.fixture
def registered(monkeypatch):
    """Let the registry know `half`, as a plugin of version 1.2 would; give a switch that takes it away."""
    from ood_toolkit.api.plugins import Plugin, Provided
    from ood_toolkit.api.registry import Registry

    known = get_registry()
    theirs = Plugin("halves", "1.2", None)
    made = Registry(known.plugins)
    made.plugins = [*known.plugins, theirs]
    made._provided = {kind: dict(items) for kind, items in known._provided.items()}
    made._provided["scorers"]["half"] = Provided("half", Half, "halves")
    for module in ("ood_toolkit.detectors.saving", "ood_toolkit.detectors.detector"):
        monkeypatch.setattr(f"{module}.get_registry", lambda: made)

    def take_away():
        made.plugins = known.plugins
        made._provided["scorers"].pop("half")

    return take_away


RULES = ["tpr", "tpr:target=0.8", "conformal", "conformal:by=predicted:target=0.8", "conformal:by=true:target=0.8",
         "pac:target=0.9:delta=0.1", "risk:target=0.3:delta=0.2", "cost", "youden", "mean"]  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("scorer", ["msp", "temperature", "knn:k=3"])
def test_everything_comes_back(rule, scorer, make_outputs, tmp_path):
    val, x = make_outputs(300), make_outputs(50, seed=3)
    encoder = {"model": "m", "weights": "ab", "preprocessing": {"size": 3}}
    made = Detector.fit(scorer, val, make_outputs(80, seed=9), rule, seed=4, encoder=encoder, set="digits")
    made.save(tmp_path / "d")
    loaded = Detector.load(tmp_path / "d")
    assert loaded.calibration == made.calibration
    assert loaded.calibration.set == "digits"
    assert loaded.calibration.seed == 4
    assert loaded.encoder == encoder
    assert loaded.digest == made.digest
    assert loaded.rule == made.rule
    for name in ("score", "place", "prediction", "label"):
        found, known = getattr(loaded.rows, name), getattr(made.rows, name)
        assert found.dtype == known.dtype
        np.testing.assert_array_equal(found, known)
    np.testing.assert_array_equal(loaded.predict(x), made.predict(x))
    assert loaded.decide(x).to_dicts() == made.decide(x).to_dicts()
    assert repr(loaded) == repr(made)
    assert "\n" not in repr(made)
    assert "digits" in repr(made)


def test_rows_are_the_scores_that_are_compared(make_outputs):
    val = make_outputs(60)
    made = Detector.fit("msp", val)
    assert made.rows.score.dtype == np.float64
    np.testing.assert_array_equal(made.rows.score[made.rows.order], made.score(val))
    np.testing.assert_array_equal(made.rows.prediction[made.rows.order], val.prediction.numpy())
    np.testing.assert_array_equal(made.rows.label[made.rows.order], val.labels.numpy())
    np.testing.assert_array_equal(made.rows.right(val.class_names), val.right.numpy()[made.rows.place])


def test_saturated_confidences_stay_apart(tmp_path):
    logits = torch.zeros(40, 3)
    logits[:, 0] = torch.linspace(20, 36, 40)  # 1 - confidence from 4e-9 to 5e-16
    made = Detector.fit("msp", Outputs.from_logits(logits))
    made.save(tmp_path / "d")
    rows = Detector.load(tmp_path / "d").rows
    assert len(np.unique(rows.score)) == 40
    assert len(np.unique(rows.score.astype(np.float32))) < 5


def test_of_very_many_rows_a_sample_is_kept(monkeypatch, make_outputs):
    monkeypatch.setattr("ood_toolkit.detectors.rows.MOST", 50)
    assert MOST == 100_000
    val = make_outputs(90)
    made = Detector.fit("msp", val, rule="conformal:target=0.9", seed=1)
    assert len(made.rows) == made.calibration.n == 50
    assert any("50 of 90 calibration images are kept" in note for note in made.notes)
    assert made.threshold == np.sort(made.rows.score)[5 - 1]  # floor(0.1 * 51)
    assert set(made.rows.score) <= set(made.score(val))
    assert not np.array_equal(made.rows.score, Detector.fit("msp", val, seed=2).rows.score)


def test_a_scorer_that_no_one_registered_is_not_written(make_outputs, tmp_path):
    for scorer in (Half(), get_registry().get("scorers", "classwise")(base=Half())):
        with pytest.raises(NotSavableError, match="half: Half is no registered scorer"):
            Detector.fit(scorer, make_outputs()).save(tmp_path / "d")
    assert list(tmp_path.iterdir()) == []


def test_a_file_names_its_plugin_where_that_is_missing(registered, make_outputs, tmp_path):
    Detector.fit(Half(), make_outputs()).save(tmp_path / "d")
    assert Detector.load(tmp_path / "d").scorer == Half()
    assert read(tmp_path / "d")[0]["versions"]["halves"] == "1.2"
    registered()
    with pytest.raises(
        DetectorError, match=r"d: needs the plugin 'halves' 1\.2, which is not here; install it: unknown"
    ):
        Detector.load(tmp_path / "d")


@pytest.mark.quotes
@pytest.mark.parametrize(
    ("formula", "said"),
    [
        (lambda self, x: x.max_logit.double() / 2 + 0.01, "has changed since: 60 of 60"),
        (lambda self, x: x.logsumexp, "has changed since"),
        (lambda self, x: -x.max_logit / 2, "has changed since"),
        (lambda self, x: x.gone, "no longer runs: AttributeError"),
    ],
)
def test_a_formula_that_changed_is_noticed(formula, said, registered, make_outputs, tmp_path, monkeypatch):
    Detector.fit(Half(), make_outputs(60)).save(tmp_path / "d")
    monkeypatch.setattr(Half, "score", formula)
    with pytest.raises(DetectorError, match=said) as caught:
        Detector.load(tmp_path / "d")
    assert "halves 1.2" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_probe_is_small_and_takes_ready_logits_and_extras(make_outputs, tmp_path):
    wide = Outputs.from_logits(torch.randn(70, 40_000, generator=torch.Generator().manual_seed(0)))
    made = Detector.fit("msp", wide)
    assert len(made.probe.scores) == 26  # 4 MiB of 160 kB rows
    val = make_outputs(90)
    local = Outputs(val.features, labels=val.labels, head=val.head, extras={"local": torch.rand(90)})
    made = Detector.fit("l-mcm", local)
    made.save(tmp_path / "d")
    assert len(Detector.load(tmp_path / "d").probe.scores) == 64
    assert "labels" not in str(sorted(load_file(tmp_path / "d")))


def tried(path):
    """Load a file: what is said of it, and the detector."""
    try:
        return "", Detector.load(path)
    except OodkitError as error:
        return str(error), None


@pytest.mark.parametrize("cases", [400])
def test_damage_anywhere_is_one_line(cases, make_outputs, tmp_path):
    """Flip, cut, insert and repeat bytes: a file either says that it is damaged or decides as before."""
    val = make_outputs(40)
    made = Detector.fit("classwise", val, rule="tpr")
    made.save(tmp_path / "d")
    whole, rng, wanted = (tmp_path / "d").read_bytes(), np.random.default_rng(0), made.decide(val).to_dicts()
    refused = 0
    for _ in range(cases):
        content, place = bytearray(whole), int(rng.integers(len(whole)))
        kind = rng.integers(4)
        if kind == 0:
            content[place] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            content = content[:place]
        elif kind == 2:
            content[place:place] = rng.bytes(int(rng.integers(1, 9)))
        else:
            content[place : place + 16] = content[:16]
        (tmp_path / "x").write_bytes(content)
        said, found = tried(tmp_path / "x")
        assert "\n" not in said
        assert said.startswith(f"{tmp_path / 'x'}: ") or found.decide(val).to_dicts() == wanted
        refused += bool(said)
    assert refused > 0.9 * cases


def _rewritten(path, change):
    """Write a file whose header was changed on purpose, with a digest that fits."""
    from ood_toolkit.detectors.file import digest_of

    about, arrays = read(path)
    change(about, arrays)
    save_file(arrays, path, {KEY: json.dumps({**about, "digest": digest_of(about, arrays)})})


@pytest.mark.parametrize(
    "change",
    [
        lambda about, arrays: about.update(calibration={"n": 3}),
        lambda about, arrays: about["calibration"].update(rule="nothing"),
        lambda about, arrays: about["calibration"].update(more=1),
        lambda about, arrays: about["calibration"].update(n=-1),
        lambda about, arrays: about["calibration"].update(fresh="yes"),
        lambda about, arrays: about["calibration"].update(set=["digits"]),
        lambda about, arrays: about["calibration"]["accepted"].update(share=None),
        lambda about, arrays: about["calibration"]["accepted"].update(high={}),
        lambda about, arrays: next(iter(about["calibration"]["by_class"].values())).update(share="0.5"),
        lambda about, arrays: about["calibration"].update(measured={"o": {"share": 0.5, "n": "many"}}),
        lambda about, arrays: about["calibration"].update(measured={"o": {"share": 1.5}}),
        lambda about, arrays: about.update(rows={"items": {"score": {"array": "gone", "numpy": True}}}),
        lambda about, arrays: arrays.update({"rows.score": arrays["rows.score"].flip(0)}),
        lambda about, arrays: arrays.update({"rows.place": arrays["rows.place"] * 0}),
        lambda about, arrays: arrays.update({"rows.label": arrays["rows.label"][:-1].clone()}),
        lambda about, arrays: arrays.update({"head.weight": arrays["head.weight"][:-1].clone()}),
        lambda about, arrays: about.update(threshold="nan"),
        lambda about, arrays: about.update(encoder=3),
        lambda about, arrays: about.update(probe=[]),
        lambda about, arrays: about.pop("calibration"),
        lambda about, arrays: about.update(classes="many"),
    ],
)
def test_a_hostile_header_is_one_line(change, make_outputs, tmp_path):
    Detector.fit("msp", make_outputs(30), rule="conformal:by=predicted:target=0.5").save(tmp_path / "d")
    _rewritten(tmp_path / "d", lambda about, arrays: None)
    Detector.load(tmp_path / "d")
    _rewritten(tmp_path / "d", change)
    with pytest.raises(DetectorError) as caught:
        Detector.load(tmp_path / "d")
    assert str(caught.value).startswith(f"{tmp_path / 'd'}: ")
    assert "\n" not in str(caught.value)


def test_rows_that_contradict_themselves_are_refused():
    score, place = np.array([0.0, 1.0]), np.array([1, 0], np.int32)
    Rows(score, place)
    for bad in ((score[::-1], place), (score * np.nan, place), (score, place * 0), (score[:0], place[:0])):
        with pytest.raises(DetectorError, match="calibration rows"):
            Rows(*bad)

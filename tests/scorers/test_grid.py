import numpy as np
import pytest

from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.entropy import Entropy
from ood_toolkit.scorers.grid import Grid
from ood_toolkit.scorers.maxlogit import MaxLogit

pytestmark = pytest.mark.quick


def best(scores, right, low, high):
    """Try 101 points and keep the first with the best balanced accuracy, counted in whole numbers."""
    merits = []
    for step in range(101):
        theta = low + (high - low) * step / 100
        kept = sum(s >= theta and r for s, r in zip(scores, right, strict=True))
        rejected = sum(s < theta and not r for s, r in zip(scores, right, strict=True))
        merits.append(kept * (len(right) - sum(right)) + rejected * sum(right))
    return low + (high - low) * merits.index(max(merits)) / 100


@pytest.mark.parametrize("base", ["confidence", "maxlogit", "entropy"])
def test_the_threshold_is_the_best_of_101_points(make_outputs, base):
    val, x = make_outputs(500, seed=1), make_outputs(80, seed=3)
    scorer = {"confidence": Grid(), "maxlogit": Grid(MaxLogit()), "entropy": Grid(Entropy(normalised=True))}[base]
    of = {
        "confidence": lambda o: o.confidence,
        "maxlogit": lambda o: o.max_logit.double(),
        "entropy": lambda o: -o.entropy / np.log(5),
    }[base]
    scores, right = of(val).tolist(), (val.prediction == val.labels).tolist()
    low, high = {"confidence": (0, 1), "maxlogit": (min(scores), max(scores)), "entropy": (-1, 0)}[base]
    theta = best(scores, right, low, high)
    fitted = scorer.fit(val)
    assert fitted.threshold_.numpy() == pytest.approx(np.full(5, theta))
    assert fitted.score(x).numpy() == pytest.approx(of(x).numpy() - theta, rel=1e-9, abs=1e-9)
    assert fitted.notes_ == []


def test_an_accurate_model_takes_the_tpr_threshold_and_says_so():
    val = Outputs.from_logits(np.eye(2)[np.arange(40) % 2] * np.arange(1, 41)[:, None] / 10, labels=np.arange(40) % 2)
    scorer = Grid().fit(val)
    assert scorer.threshold_.tolist() == [np.sort(val.confidence.numpy())[2]] * 2
    assert scorer.notes_ == ["validation lacks right or wrong predictions; took the tpr threshold"]


def test_labels_are_needed():
    assert "val_labels" in Grid().needs

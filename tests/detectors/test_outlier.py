import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import ood_toolkit
from ood_toolkit.detectors.outlier import OODDetector
from ood_toolkit.errors import ScorerError

EXPECTED_TO_FAIL: dict[str, str] = {}
"""None of scikit-learn's checks; the docs say so."""


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks([OODDetector(), OODDetector("mahalanobis", rule="conformal", target=0.8)])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


def test_it_is_offered_where_people_look_for_it():
    from ood_toolkit.sklearn import OODDetector as Offered

    assert Offered is OODDetector
    assert "OODDetector" not in ood_toolkit.__all__


DIGITS = load_digits()
ID = DIGITS.target < 8


@pytest.mark.parametrize(
    "scorer", ["knn:k=5", "mahalanobis", "msp", "energy", "vim:dim=20", "classwise", "temperature"]
)
def test_hidden_digits_are_rejected_more_often(scorer):
    x, y = DIGITS.data[ID], DIGITS.target[ID]
    made = OODDetector(scorer, target=None if scorer == "classwise" else 0.9).fit(x[:1000], y[:1000])
    accepted, strange = (made.predict(x[1000:]) == 1).mean(), (made.predict(DIGITS.data[~ID]) == 1).mean()
    assert accepted > 0.75
    assert strange < accepted - 0.2
    assert made.classes_.tolist() == list(range(8))
    assert set(made.decide(x[1000:]).prediction) == set(map(str, range(8)))


@pytest.mark.parametrize("rule", ["tpr", "conformal:by=predicted", "conformal:by=none"])
def test_the_functions_agree(rule):
    x, y = DIGITS.data[ID], np.array([f"digit {c}" for c in DIGITS.target[ID]])
    made = OODDetector("msp", rule=rule, target=0.9).fit(x, y)
    for rows in (DIGITS.data[~ID], x[:50]):
        score, decision = made.score_samples(rows), made.decision_function(rows)
        np.testing.assert_array_equal(decision, score - made.offset_)
        np.testing.assert_array_equal(made.predict(rows) == 1, decision >= 0)
        np.testing.assert_array_equal(made.decide(rows).accepted, decision >= 0)
    assert made.classes_[3] == "digit 3"
    assert (made.detector_.class_thresholds is not None) == ("predicted" in rule)


def test_it_works_in_a_pipeline_and_is_cloned_and_searched():
    x = DIGITS.data[ID]
    pipe = make_pipeline(StandardScaler(), OODDetector("knn:k=3", target=0.9))
    assert set(pipe.fit(x).predict(DIGITS.data[~ID])) == {-1, 1}
    assert clone(pipe).get_params()["ooddetector__target"] == 0.9
    pipe.set_params(ooddetector__scorer="knn:k=1").fit(x)
    assert pipe[-1].detector_.scorer.k == 1
    score = lambda made, rows, y=None: (made.predict(rows) == 1).mean()  # noqa: E731
    search = GridSearchCV(OODDetector(), {"target": [0.5, 0.9]}, scoring=score, cv=3).fit(x)
    assert search.best_params_ == {"target": 0.9}


def test_logits_of_a_classifier():
    x, y = DIGITS.data[ID], DIGITS.target[ID]
    known = LogisticRegression(max_iter=3000).fit(x[:700], y[:700])
    made = OODDetector("energy", inputs="logits", target=0.9).fit(known.decision_function(x[700:]))
    assert (made.predict(known.decision_function(DIGITS.data[~ID])) == -1).mean() > 0.2
    assert "classes_" not in vars(made)


def test_two_classes_have_the_probabilities_of_logistic_regression():
    two = DIGITS.target < 2
    made = OODDetector("msp", random_state=3).fit(DIGITS.data[two], DIGITS.target[two])
    head = made.detector_.head
    z = DIGITS.data[two] @ head.weight.double().numpy().T + head.bias.double().numpy()
    confidence = 1 / (1 + np.exp(-np.abs(z[:, 1] - z[:, 0])))
    np.testing.assert_allclose(made.decide(DIGITS.data[two]).confidence, confidence, rtol=1e-5)


def test_what_is_wrong_is_said():
    x, y = DIGITS.data[ID], DIGITS.target[ID]
    for wrong, said in (
        (OODDetector(inputs="pictures"), "inputs: expected features or logits"),
        (OODDetector(calibration=1.0), "calibration: expected a share"),
        (OODDetector("msp"), "msp: needs logits"),
        (OODDetector(rule="best"), "unknown rule"),
        (OODDetector("knn:k=5000"), "lower k"),
    ):
        with pytest.raises(ScorerError, match=said):
            wrong.fit(x)
    with pytest.raises(ScorerError, match="expected 1443 labels"):
        OODDetector().fit(x, y[:9])
    with pytest.raises(NotFittedError):
        OODDetector().predict(x)


def test_a_seed_decides_the_split():
    x = DIGITS.data[ID]
    one, same, other = (OODDetector(random_state=seed).fit(x).offset_ for seed in (1, 1, 2))
    assert one == same != other

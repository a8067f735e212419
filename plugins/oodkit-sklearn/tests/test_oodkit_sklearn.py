"""The scorer `sklearn` says what the libraries say, turned so that higher is in-distribution."""

import json
import subprocess
import sys

import click
import numpy as np
import oodkit_sklearn
import pytest
import torch
from click.testing import CliRunner
from oodkit_sklearn import BATCHWISE, PYOD, SKLEARN, SklearnScorer

from ood_toolkit import get_registry
from ood_toolkit.errors import NotFittedError, NotSavableError, ScorerError, SpecError
from ood_toolkit.testing import check_scorer, make_problem


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def problem():
    return make_problem(SklearnScorer.needs)


def unit(x):
    rows = x.features.double().numpy()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# -- the contract ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scorer",
    [
        SklearnScorer(options="n_estimators=20"),
        SklearnScorer("LocalOutlierFactor"),
        SklearnScorer("OneClassSVM", "nu=0.1,kernel=rbf"),
        SklearnScorer("EllipticEnvelope", "support_fraction=0.9"),
        SklearnScorer("SGDOneClassSVM", normalise=False),
    ],
    ids=lambda scorer: scorer.spec,
)
def test_sklearn_estimators_conform(scorer):
    assert check_scorer(scorer).exempted == {}


@pytest.mark.parametrize("name", ["LOF", "HBOS", "pyod.KNN", "PCA"])
def test_pyod_detectors_conform(name):
    pytest.importorskip("pyod")
    assert check_scorer(f"sklearn:estimator={name}").exempted == {}


@pytest.mark.parametrize("name", ["ECOD", "COPOD"])
def test_detectors_that_rank_a_batch_say_so(name):
    pytest.importorskip("pyod")
    report = check_scorer(f"sklearn:estimator={name}")
    assert dict(report.exempted) == {"batch-independence": f"{name} ranks images among those they are asked with"}


@pytest.mark.parametrize(("name", "said"), [("ECOD", True), ("COPOD", True), ("KNN", False), ("HBOS", False)])
def test_rows_and_detectors_of_those_say_so_too(name, said, problem):
    pytest.importorskip("pyod")
    from ood_toolkit import Detector, bench

    spec = f"sklearn:estimator={name}"
    report = bench(spec, problem.x[~problem.ood], {"o": problem.x[problem.ood]}, problem.val, problem.train)
    for notes in (report.rows[0].notes, Detector.fit(spec, problem.val, problem.train).notes):
        assert any("depends on the other images in its batch" in note for note in notes) is said


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.quick
def test_isolation_forest_by_hand(problem):
    from sklearn.ensemble import IsolationForest

    scorer = SklearnScorer(options="n_estimators=30,max_samples=64", seed=3)
    got = scorer.fit(problem.val, problem.train).score(problem.x)
    forest = IsolationForest(n_estimators=30, max_samples=64, random_state=3).fit(unit(problem.train))
    np.testing.assert_allclose(got, forest.decision_function(unit(problem.x)), rtol=1e-6)


def test_local_outlier_factor_by_hand(problem):
    from sklearn.neighbors import LocalOutlierFactor

    got = SklearnScorer("LocalOutlierFactor").fit(problem.val, problem.train).score(problem.x)
    by_hand = LocalOutlierFactor(novelty=True).fit(unit(problem.train)).decision_function(unit(problem.x))
    np.testing.assert_allclose(got, by_hand, rtol=1e-4)


def test_features_as_they_are_by_hand(problem):
    from sklearn.svm import OneClassSVM

    got = SklearnScorer("OneClassSVM", "nu=0.2", normalise=False).fit(problem.val, problem.train).score(problem.x)
    rows = [split.features.double().numpy() for split in (problem.train, problem.x)]
    np.testing.assert_allclose(got, OneClassSVM(nu=0.2).fit(rows[0]).decision_function(rows[1]), rtol=1e-6)


@pytest.mark.parametrize("name", ["KNN", "ECOD", "IForest"])
def test_pyod_is_turned(problem, name):
    pytest.importorskip("pyod")
    from importlib import import_module

    cls = getattr(import_module(PYOD[name]), name)
    seeded = {"random_state": 0} if name == "IForest" else {}
    outlying = cls(**seeded).fit(unit(problem.train)).decision_function(unit(problem.x))
    got = SklearnScorer(name).fit(problem.val, problem.train).score(problem.x).numpy()
    np.testing.assert_allclose(got, -outlying, rtol=1e-5)
    ood = problem.ood.numpy()
    assert outlying[ood].mean() > outlying[~ood].mean()
    assert got[ood].mean() < got[~ood].mean()


def test_the_seed_decides(problem):
    def scores(seed):
        return SklearnScorer(options="n_estimators=5", seed=seed).fit(problem.val, problem.train).score(problem.x)

    assert torch.equal(scores(0), scores(0))
    assert not torch.equal(scores(0), scores(1))


def test_an_integer_or_a_list_or_a_word_is_read():
    assert oodkit_sklearn.parsed("a=1, b=[0.5, 'x'],c=auto,d=None,e=-2") == {
        "a": 1,
        "b": [0.5, "x"],
        "c": "auto",
        "d": None,
        "e": -2,
    }
    assert oodkit_sklearn.parsed("") == {}


# -- errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"estimator": "IsolationForrest"},
            "unknown estimator 'IsolationForrest'; did you mean 'IsolationForest'?",
        ),
        ({"estimator": "sklearn.IsolationForest"}, "unknown estimator"),
        ({"options": "n_estimator=5"}, "no parameter 'n_estimator'; did you mean 'n_estimators'?"),
        ({"options": "random_state=5"}, "random_state cannot be given; use seed="),
        ({"estimator": "LocalOutlierFactor", "options": "novelty=False"}, "novelty cannot be given"),
        ({"options": "5"}, "expected key=value"),
        ({"options": "n_estimators"}, "expected key=value"),
        ({"options": "n_estimators=__import__('os')"}, "expected key=value"),
        ({"options": "a=1)+(b"}, "expected key=value"),
        ({"options": "**{}"}, "expected key=value"),
    ],
)
def test_a_wrong_parameter_is_one_line(arguments, message):
    with pytest.raises(ScorerError) as caught:
        SklearnScorer(**arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_that_the_library_refuses_is_one_line(problem):
    scorer = SklearnScorer(options="n_estimators=-5")
    with pytest.raises(ScorerError, match=r"sklearn: IsolationForest: .*n_estimators") as caught:
        scorer.fit(problem.val, problem.train)
    assert "\n" not in str(caught.value)


def test_without_training_images_or_fit(problem):
    with pytest.raises(ScorerError, match="needs train"):
        SklearnScorer().fit(problem.val)
    with pytest.raises(NotFittedError):
        SklearnScorer().score(problem.x)


def test_it_cannot_be_saved(problem):
    with pytest.raises(NotSavableError, match="sklearn: "):
        SklearnScorer(options="n_estimators=5").fit(problem.val, problem.train).state()


def test_pyod_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(oodkit_sklearn, "find_spec", lambda name: None)
    with pytest.raises(ScorerError, match="ECOD is of PyOD, which is not installed"):
        SklearnScorer("ECOD")


# -- as a plugin -----------------------------------------------------------------------------------


@pytest.mark.quick
def test_the_entry_point_provides_it():
    registry = get_registry()
    assert registry.provider("scorers", "sklearn") == "sklearn"
    text = "sklearn:estimator=IsolationForest:options='n_estimators=200,max_samples=64'"
    scorer = registry.scorer(text)
    assert scorer == SklearnScorer(options="n_estimators=200,max_samples=64")
    assert registry.scorer(scorer.spec) == scorer
    with pytest.raises(SpecError, match="did you mean 'estimator'"):
        registry.scorer("sklearn:estimater=LOF")


def test_the_command_lists_what_can_be_named():
    group = click.Group("oodkit")
    oodkit_sklearn.register_commands(group)
    listed = json.loads(CliRunner().invoke(group, ["sklearn-estimators", "--json"]).stdout)
    assert [row["estimator"] for row in listed] == [*SKLEARN, *PYOD]
    assert {row["estimator"]: row["module"] for row in listed}["OneClassSVM"] == "sklearn.svm"
    text = CliRunner().invoke(group, ["sklearn-estimators"]).stdout
    assert len(text.splitlines()) == len(listed)


def test_every_name_leads_to_a_class():
    from importlib import import_module

    from sklearn.base import OutlierMixin
    from sklearn.utils import all_estimators

    assert {name for name, cls in all_estimators() if issubclass(cls, OutlierMixin)} >= set(SKLEARN)
    assert all(hasattr(import_module(module), name) for name, module in SKLEARN.items())
    assert set(PYOD) >= BATCHWISE


def test_importing_it_imports_no_library():
    heavy = "{'torch', 'sklearn', 'pyod', 'numpy'} & set(sys.modules)"
    code = f"import sys, oodkit_sklearn; print(sorted({heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Outlier estimators as scorers, of scikit-learn (Pedregosa et al., JMLR 2011) and PyOD (Zhao et al., 2019)."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from ood_toolkit import Scorer, given, hookimpl, nearest
from ood_toolkit.errors import ScorerError

if TYPE_CHECKING:
    from click import Group
    from torch import Tensor

    from ood_toolkit import Outputs

SKLEARN = {
    "EllipticEnvelope": "sklearn.covariance",
    "IsolationForest": "sklearn.ensemble",
    "LocalOutlierFactor": "sklearn.neighbors",
    "OneClassSVM": "sklearn.svm",
    "SGDOneClassSVM": "sklearn.linear_model",
}
PYOD = {
    name: f"pyod.models.{name.lower()}"
    for name in (
        *("ABOD", "CBLOF", "COPOD", "ECOD", "GMM", "HBOS", "IForest", "INNE", "KDE", "KNN", "KPCA", "LODA", "LOF"),
        *("MCD", "OCSVM", "PCA", "Sampling"),
    )
}
"""The detectors that pass the conformance checks; others fail one, or need a network trained."""
BATCHWISE = frozenset({"COPOD", "ECOD"})
"""PyOD detectors that rank the images they are asked about together with the training images."""
OWN = {"random_state": "use seed=", "novelty": "new images are always what is scored"}


@dataclass
class SklearnScorer(Scorer):
    """What an outlier estimator, fitted on unit rows of training images, says of an image; higher = inlier.

    For scikit-learn that is `decision_function`, for PyOD, where higher is more outlying, its negative.
    """

    estimator: str = "IsolationForest"
    """Its class, such as LocalOutlierFactor, ECOD or pyod.ECOD; `oodkit sklearn-estimators` lists them."""
    options: str = ""
    """Its further parameters, such as "n_estimators=200,max_samples=64"; values: literals or bare words."""
    normalise: bool = True
    """Whether to use unit rows in place of the features as the model emitted them."""
    seed: int = 0
    """What `random_state` is where the estimator takes one."""

    name = "sklearn"
    needs = frozenset({"features", "train"})
    savable = False

    def __post_init__(self) -> None:
        # scikit-learn's without options is right for sure, and a listing need not import the library.
        if self.options or _found(self.estimator)[0] not in SKLEARN:
            self._make()

    @property
    def exempt(self) -> Mapping[str, str]:
        """Conformance checks that the library's own way of scoring cannot meet."""
        if _found(self.estimator)[0] not in BATCHWISE:
            return {}
        return {"batch-independence": f"{self.estimator} ranks images among those they are asked with"}

    def fit(self, val: Outputs, train: Outputs | None = None) -> SklearnScorer:
        """Fit the estimator on the training images; what it refuses is a `ScorerError`."""
        rows = self._rows(given(self, train, "train"))
        try:
            self.estimator_ = self._make().fit(rows)
        except (TypeError, ValueError) as error:
            raise ScorerError(f"sklearn: {self.estimator}: {' '.join(str(error).split())}") from error
        self.notes_ = list(self.exempt.values())
        if self.notes_:
            self.notes_.append("so a score, and a decision, depends on the other images in its batch")
        return self

    def score(self, x: Outputs) -> Tensor:
        """Give the decision function (n,) float64, higher = inlier."""
        import torch

        sign = 1.0 if _found(self.estimator)[0] in SKLEARN else -1.0
        return x.map(lambda chunk: sign * torch.as_tensor(self._decide(chunk)).double().to(chunk.device))

    def _decide(self, x: Outputs) -> Any:
        return self.estimator_.decision_function(self._rows(x))

    def _rows(self, x: Outputs) -> Any:
        return (x.embeddings if self.normalise else x.features).double().cpu().numpy()

    def _make(self) -> Any:
        """Make the estimator, unfitted, with the seed and the options that it takes."""
        name, module = _found(self.estimator)
        if module.startswith("pyod") and find_spec("pyod") is None:
            raise ScorerError(f"sklearn: {name} is of PyOD, which is not installed; pip install pyod")
        cls = getattr(import_module(module), name)
        taken = inspect.signature(cls).parameters
        options = parsed(self.options)
        for key in options:
            if key in OWN:
                raise ScorerError(f"sklearn: options: {key} cannot be given; {OWN[key]}")
            if key not in taken:
                raise ScorerError(f"sklearn: {name} has no parameter {key!r}; {nearest(key, set(taken) - set(OWN))}")
        ours = {"random_state": self.seed, "novelty": True}
        return cls(**options, **{key: value for key, value in ours.items() if key in taken})


def _found(estimator: str) -> tuple[str, str]:
    """Give an estimator's class name and module; without `pyod.` a name is first one of scikit-learn."""
    known = {
        **{f"pyod.{n}": (n, m) for n, m in PYOD.items()},
        **{n: (n, m) for n, m in (PYOD | SKLEARN).items()},
    }
    if estimator not in known:
        raise ScorerError(f"sklearn: unknown estimator {estimator!r}; {nearest(estimator, SKLEARN | PYOD)}")
    return known[estimator]


def parsed(options: str) -> dict[str, Any]:
    """Read `key=value,key=value` without evaluating anything."""
    try:
        call = ast.parse(f"f({options})", mode="eval").body
        named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and not call.args
        if not named or any(keyword.arg is None for keyword in call.keywords):
            raise ValueError("not a row of key=value")
        return {str(k.arg): v.id if isinstance(v := k.value, ast.Name) else ast.literal_eval(v) for k in call.keywords}
    except (SyntaxError, ValueError):
        raise ScorerError(
            f"sklearn: options: expected key=value,key=value with numbers, words or lists, got {options!r}"
        ) from None


@hookimpl
def register_scorers() -> list[type[Scorer]]:
    """Provide the scorer `sklearn`."""
    return [SklearnScorer]


@hookimpl
def register_commands(cli: Group) -> None:
    """Add `oodkit sklearn-estimators`."""
    import json

    import click

    @cli.command("sklearn-estimators")
    @click.option("--json", "as_json", is_flag=True, help="Print the list as JSON.")
    def estimators(as_json: bool) -> None:
        """List the estimators that the scorer `sklearn` can be given, and where they come from."""
        rows = [
            {"estimator": name, "module": module, "installed": find_spec(module.split(".")[0]) is not None}
            for name, module in (SKLEARN | PYOD).items()
        ]
        if as_json:
            click.echo(json.dumps(rows, indent=2))
            return
        for row in rows:
            missing = "" if row["installed"] else "  (not installed)"
            click.echo(f"{row['estimator']:<20}{row['module']}{missing}")

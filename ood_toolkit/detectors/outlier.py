"""`OODDetector`: a detector as scikit-learn's outlier detectors are: `fit`, `predict` (+1 and -1), in a `Pipeline`."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, check_random_state, validate_data

from ood_toolkit.detectors.decisions import Decisions
from ood_toolkit.detectors.detector import Detector
from ood_toolkit.detectors.inputs import as_matrix
from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs.head import Head
from ood_toolkit.outputs.outputs import Outputs

__all__ = ["OODDetector"]

INPUTS = ("features", "logits")


class OODDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    """Tells in-distribution from out-of-distribution rows with any scorer and rule of this package.

    Rows are split, stratified by class: one part is trained on, the other calibrates. With labels and features a
    linear head is trained on the first part (multinomial logistic regression), so that scorers of logits work too.

    Parameters: `scorer`, a spec such as `knn:k=5`, `mahalanobis` or `msp`, or an instance; `rule`, such as `tpr` or
    `conformal:by=predicted`; `target`, the share of ID to accept, None for the rule's own; `calibration`, the share of
    rows that calibrate; `inputs`, whether X holds `features` (n, d) or `logits` (n, k); `random_state`.

    Learned: `detector_` (`Detector`), `offset_`, `classes_` where labels were given, `n_features_in_`.

    >>> import numpy as np
    >>> from ood_toolkit.sklearn import OODDetector
    >>> rows = np.random.default_rng(0).normal(size=(300, 4))
    >>> OODDetector("knn:k=5").fit(rows).predict([[0.0, 0, 0, 0], [9.0, 9, 9, 9]]).tolist()
    [1, -1]
    """

    def __init__(
        self,
        scorer: Any = "knn:k=5",
        *,
        rule: str = "tpr",
        target: float | None = None,
        calibration: float = 0.3,
        inputs: str = "features",
        random_state: Any = 0,
    ) -> None:
        self.scorer = scorer
        self.rule = rule
        self.target = target
        self.calibration = calibration
        self.inputs = inputs
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> OODDetector:  # noqa: N803 (scikit-learn's name)
        """Train and calibrate on X, ID rows (n, d); y (n,) are class labels of any kind, or None.

        Raises `ScorerError` for a parameter out of its range and labels that are not one a row, else `ValueError` as
        scikit-learn does.
        """
        if self.inputs not in INPUTS:
            raise ScorerError(f"inputs: expected {' or '.join(INPUTS)}, got {self.inputs!r}")
        if not 0 < self.calibration < 1:
            raise ScorerError(f"calibration: expected a share between 0 and 1, got {self.calibration}")
        rows = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=2)
        codes, names = self._coded(y, len(rows))
        first, second = self._split(codes, names)
        made = self._outputs(rows, codes, names, first)
        train, val = (made(part) for part in (first, second))
        self.detector_ = Detector.fit(self.scorer, val, train, self.rule, self.target, seed=0)
        # Where each class has its own threshold, score_samples gives margins.
        self.offset_ = self.detector_.threshold if self.detector_.class_thresholds is None else 0.0
        return self

    def _coded(self, y: Any, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Give labels as numbers, and the classes; rows without labels are of one class."""
        if y is None or self.inputs == "logits":
            return np.zeros(n, dtype=np.int64), np.array(["in-distribution"])
        labels = np.asarray(y)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        check_classification_targets(labels)
        if labels.shape != (n,):
            raise ScorerError(f"y: expected {n} labels, one a row, got shape {labels.shape}")
        self.classes_, codes = np.unique(labels, return_inverse=True)
        return codes, self.classes_

    def _split(self, codes: np.ndarray, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Split rows, stratified where each class has rows enough; a lone row trains and calibrates."""
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        many = len(names) > 1 and np.bincount(codes).min() >= 2
        size = max(1, min(len(codes) - 1, round(self.calibration * len(codes))))
        stratified = many and size >= len(names) and len(codes) - size >= len(names)
        first, second = train_test_split(
            np.arange(len(codes)), test_size=size, random_state=seed, stratify=codes if stratified else None
        )
        return np.sort(first), np.sort(second)

    def _outputs(self, rows: np.ndarray, codes: np.ndarray, names: np.ndarray, first: np.ndarray) -> Any:
        """Give what makes outputs of some rows, with the head that was trained on the first part."""
        if self.inputs == "logits":
            return lambda part: Outputs(logits=rows[part])
        present = np.unique(codes[first])
        if len(present) < 2:
            return lambda part: Outputs(rows[part], labels=codes[part])
        known = LogisticRegression(max_iter=1000).fit(rows[first], codes[first])
        weight, bias = known.coef_, known.intercept_
        if len(present) == 2:  # one row of weights tells two classes apart
            weight, bias = np.vstack([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        head = Head.linear(weight, bias, [str(names[c]) for c in present])
        place = np.full(len(names), -1)
        place[present] = np.arange(len(present))
        return lambda part: Outputs(rows[part], labels=place[codes[part]], head=head)

    def decide(self, X: Any) -> Decisions:  # noqa: N803
        """Give the decisions on X, rows (n, d), with reasons and p-values; `DetectorError` for another width."""
        check_is_fitted(self)
        rows = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return self.detector_.decide_rows(as_matrix(rows), is_features=self.inputs == "features")

    def score_samples(self, X: Any) -> np.ndarray:  # noqa: N803
        """Score X (n, d): (n,), higher = more in-distribution; margins where each class has its own threshold."""
        found = self.decide(X)
        return found.score if self.detector_.class_thresholds is None else found.margin

    def decision_function(self, X: Any) -> np.ndarray:  # noqa: N803
        """Give score minus threshold of X (n, d), (n,); 0 and above is "in-distribution"."""
        found: np.ndarray = self.score_samples(X) - self.offset_
        return found

    def predict(self, X: Any) -> np.ndarray:  # noqa: N803
        """Decide on X (n, d): +1 = in-distribution, -1 = not, (n,)."""
        return np.where(self.decide(X).accepted, 1, -1)

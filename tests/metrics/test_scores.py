"""What the metrics accept, and the one-line errors for what they refuse."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from ood_toolkit import metrics
from ood_toolkit.errors import MetricError
from ood_toolkit.metrics.scores import as_flags, as_scores

pytestmark = pytest.mark.quick

TWO_ARRAYS = [
    metrics.auroc,
    metrics.fpr95_id,
    metrics.fpr95_ood,
    metrics.tnr_at_tpr95,
    metrics.aupr_in,
    metrics.aupr_out,
    metrics.ap_in,
    metrics.ap_out,
    metrics.detection_error,
    metrics.aurc,
    metrics.eaurc,
    metrics.evaluate,
]


@pytest.mark.parametrize(
    "values",
    [
        [0.5, -1.0, 2.25],
        (0.5, -1.0, 2.25),
        np.array([0.5, -1.0, 2.25], dtype=np.float16),
        torch.tensor([0.5, -1.0, 2.25]),
        torch.tensor([0.5, -1.0, 2.25], requires_grad=True),
        torch.tensor([0.5, -1.0, 2.25], dtype=torch.float16),
        torch.tensor([0.5, -1.0, 2.25], dtype=torch.bfloat16, requires_grad=True),
        list(torch.tensor([0.5, -1.0, 2.25])),
    ],
)
def test_every_kind_of_array_becomes_the_same_float64(values):
    scores = as_scores(values, "id_scores")
    assert scores.dtype == np.float64
    assert scores.tolist() == [0.5, -1.0, 2.25]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_tensors_on_the_gpu_are_brought_back():
    id_scores = torch.tensor([1.0, 2.0], device="cuda", dtype=torch.float16, requires_grad=True)
    assert metrics.auroc(id_scores, torch.zeros(3, device="cuda")) == 1.0


def test_integers_and_booleans_count_as_scores():
    assert metrics.auroc(torch.tensor([2, 3]), np.array([1, 2], dtype=np.uint8)) == 0.875
    assert metrics.auroc([True, True, False], [False, True]) == pytest.approx(7 / 12, abs=0)


def test_read_only_memory_is_neither_refused_nor_written():
    scores = np.array([3.0, 1.0, 2.0])
    scores.flags.writeable = False
    metrics.evaluate(scores, scores)
    assert scores.tolist() == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("metric", TWO_ARRAYS)
@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ([], "got none"),
        (torch.empty(0), "got none"),
        ([[1.0, 2.0]], r"got shape \(1, 2\)"),
        (3.0, r"got shape \(\)"),
        ([1.0, float("nan"), float("nan")], "got 2 NaN among 3, the first at index 1"),
        (torch.tensor([float("nan")], dtype=torch.float16), "got 1 NaN"),
        ([1.0, [2.0, 3.0]], "got list"),
        (["high", "low"], "expected real numbers"),
        ([None, 1.0], "expected real numbers"),
        (np.array([1j]), "expected real numbers"),
        (torch.tensor([1j]), "expected real numbers"),
    ],
)
def test_unusable_scores_are_refused_in_one_line(metric, bad, says):
    for arguments in [(bad, [1.0, 2.0]), ([1.0, 2.0], bad)]:
        with pytest.raises(MetricError, match=says) as refusal:
            metric(*arguments)
        assert "\n" not in str(refusal.value)
        assert isinstance(refusal.value, ValueError)


def test_errors_name_the_argument():
    with pytest.raises(MetricError, match=r"^ood_scores: "):
        metrics.auroc([1.0], [])
    with pytest.raises(MetricError, match=r"^wrong_scores: "):
        metrics.aurc([1.0], [])
    with pytest.raises(MetricError, match=r"^right_scores: "):
        metrics.eaurc([], [1.0])


def test_infinities_are_the_ends_of_the_order_and_tie_with_themselves():
    inf = float("inf")
    id_scores, ood_scores = [inf, 3.0, -inf, inf], [-inf, inf, 0.0]
    stand_in = {inf: 9.0, -inf: -9.0}
    finite = [[stand_in.get(s, s) for s in scores] for scores in (id_scores, ood_scores)]
    for protocol in metrics.PROTOCOLS:
        assert metrics.evaluate(id_scores, ood_scores, protocol) == metrics.evaluate(*finite, protocol)
    assert metrics.aurc(id_scores, ood_scores) == metrics.aurc(*finite)


def test_minus_zero_ties_with_zero():
    assert metrics.auroc([0.0, -0.0], [-0.0, 0.0]) == 0.5


@pytest.mark.parametrize("flags", [[True, False], [1, 0], [1.0, 0.0], torch.tensor([True, False])])
def test_flags_are_booleans_or_zeros_and_ones(flags):
    assert as_flags(flags, "right").tolist() == [True, False]


@pytest.mark.parametrize("bad", [[0.5, 1.0], [2, 1], [float("nan")], ["yes"], [], [[True]]])
def test_other_flags_are_refused(bad):
    with pytest.raises(MetricError, match=r"^right: "):
        as_flags(bad, "right")


def test_importing_the_metrics_imports_neither_torch_nor_sklearn():
    code = "import sys, ood_toolkit.metrics; print(*({'torch', 'sklearn', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []

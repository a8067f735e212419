"""The points at which published rules read their FPR95."""

import numpy as np
import pytest

from ood_toolkit import metrics
from ood_toolkit.metrics.points import points95

pytestmark = pytest.mark.quick


@pytest.fixture(params=["apart", "tied", "few"])
def scores(request):
    draw = np.random.default_rng(3)
    known, other = draw.normal(1, 1, 207), draw.normal(0, 1, 331)
    return {"apart": (known, other), "tied": (known.round(1), other.round(1)), "few": (known[:3], other[:2])}[
        request.param
    ]


def test_each_point_gives_the_value_of_its_protocols(scores):
    inside, outside = scores
    points = points95(*scores)
    assert {name for point in points for name in point.protocols} == set(metrics.PROTOCOLS)
    for point in points:
        if point.metric == "fpr95_id":
            share = point.ood_accepted / len(outside)
        else:
            share = (len(inside) - point.id_accepted) / len(inside)
        assert share == point.value
        for name in point.protocols:
            assert metrics.evaluate(*scores, name)[point.metric] == point.value


def test_points_are_thresholds_but_for_the_interpolated_one(scores):
    inside, outside = scores
    cuts = [*np.unique(np.concatenate(scores)), np.inf]
    reached = {(int((inside >= cut).sum()), int((outside >= cut).sum())) for cut in cuts}
    for point in points95(*scores):
        if "clipn" in point.protocols:
            assert point.id_accepted == pytest.approx(0.95 * len(inside))
        else:
            assert (point.id_accepted, point.ood_accepted) in reached

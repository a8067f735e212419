import math

import numpy as np
import pytest

from ood_toolkit.errors import OutputsError
from ood_toolkit.learning.discovery import distances
from ood_toolkit.learning.discovery.distances import angular_distances, shared_distances

pytestmark = pytest.mark.quick

RNG = np.random.default_rng(1)


def units(count, width=4):
    rows = RNG.normal(size=(count, width))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def slow_shared(found, neighbours):
    n = len(found)
    near = [sorted(range(n), key=lambda j, i=i: (found[i][j], j))[: neighbours + 1] for i in range(n)]
    weights = []
    for i in range(n):
        both = [j for j in near[i] if i in near[j]]
        total = sum(math.exp(-found[i][j]) for j in both)
        weights.append({j: math.exp(-found[i][j]) / total for j in both})
    blended = [
        {j: sum(weights[m].get(j, 0) for m in near[i][:6]) / len(near[i][:6]) for j in range(n)} for i in range(n)
    ]
    return [
        [
            1 - sum(min(a[j], b[j]) for j in range(n)) / sum(max(a[j], b[j]) for j in range(n))
            for b in blended
        ]
        for a in blended
    ]  # fmt: skip


@pytest.mark.parametrize("neighbours", [3, 8])
def test_shared_distances_are_those_of_the_slow_formula(neighbours):
    found = angular_distances(units(25))
    assert shared_distances(found, neighbours) == pytest.approx(np.array(slow_shared(found, neighbours)), abs=1e-5)


def test_images_of_groups_that_share_no_neighbour_are_at_distance_one():
    rows = np.repeat(np.eye(2), 12, axis=0)
    found = shared_distances(angular_distances(rows), 5)
    assert found[:12, 12:] == pytest.approx(1)
    assert found.diagonal() == pytest.approx(0)


def test_angular_distances_are_euclidean():
    rows = units(6)
    expected = [[math.dist(a, b) for b in rows] for a in rows]
    assert angular_distances(rows) == pytest.approx(np.array(expected), abs=1e-7)


def test_more_images_than_fit_are_refused(monkeypatch):
    monkeypatch.setattr(distances, "MOST", 5)
    with pytest.raises(OutputsError, match="at most 5 images, got 6; take fewer with --limit"):
        angular_distances(units(6))

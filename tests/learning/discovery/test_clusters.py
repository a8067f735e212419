import numpy as np
import pytest

from ood_toolkit.errors import ScorerError
from ood_toolkit.learning.discovery.clusters import Clustering, grown, k_distances, knee

pytestmark = pytest.mark.quick

RNG = np.random.default_rng(2)
MIDDLES = np.array([[0, 0], [10, 0], [0, 10]])
OWNERS = np.repeat([0, 1, 2], [40, 30, 20])
POINTS = np.concatenate([MIDDLES[OWNERS] + RNG.normal(size=(90, 2)) * 0.5, RNG.uniform(-30, 30, size=(10, 2)) + 60])


def between(points):
    return np.linalg.norm(points[:, None] - points[None], axis=2)


def slow_knee(curve):
    best, depth = 0, -1.0
    for i, value in enumerate(curve):
        found = i / (len(curve) - 1) - (value - curve[0]) / (curve[-1] - curve[0])
        if found > depth + 1e-15:
            best, depth = i, found
    return curve[best]


def test_the_knee_is_the_deepest_point_below_the_line_between_the_ends():
    assert knee(np.array([0, 1, 2, 3, 4, 12])) == 4
    for seed in range(5):
        curve = np.sort(np.random.default_rng(seed).gamma(1, size=30))
        assert knee(curve) == slow_knee(curve)
    assert knee(np.full(4, 2.0)) == 2


def test_k_distances_count_the_image_itself_and_are_sorted():
    distances = between(POINTS)
    expected = sorted(sorted(row)[3] for row in distances.tolist())
    assert k_distances(distances, 4) == pytest.approx(expected)


@pytest.mark.parametrize(
    "clustering",
    [Clustering(noise=0.15), Clustering(noise=None), Clustering(eps=2.0), Clustering("hdbscan", min_size=15)],
)
def test_groups_are_found_numbered_by_size_and_strays_are_left_out(clustering):
    found = clustering.find(between(POINTS))
    assert found.labels.max() == 2
    for place, size in enumerate((40, 30, 20)):
        members = np.flatnonzero(found.labels == place)
        assert set(OWNERS[members[members < 90]]) == {place}
        assert len(members) >= 0.8 * size
    assert (found.labels[90:] == -1).sum() >= 9
    assert (found.eps is None) == (clustering.method == "hdbscan")


def test_eps_leaves_the_asked_share_of_images_above_it():
    distances = between(POINTS)
    found = Clustering(noise=0.4, min_samples=5).find(distances)
    curve = k_distances(distances, 5)
    assert (curve > found.eps).mean() == pytest.approx(0.4)
    assert found.eps == pytest.approx(np.quantile(curve, 0.6))


def test_clusters_below_the_least_size_are_dissolved():
    found = Clustering(eps=2.0, min_size=25).find(between(POINTS))
    assert found.labels.max() == 1
    assert (found.labels[70:] == -1).all()


def test_few_images_make_no_cluster():
    found = Clustering(min_size=10).find(np.zeros((9, 9)))
    assert found.labels.tolist() == [-1] * 9


def test_copies_of_one_image_are_one_cluster():
    assert Clustering().find(np.zeros((12, 12))).labels.tolist() == [0] * 12


def test_images_near_to_a_cluster_join_it_and_others_do_not():
    labels = np.where(np.arange(100) % 3 == 0, -1, np.concatenate([OWNERS, np.full(10, -1)]))
    labels[[1, 41]] = 1, 0  # two that are wrong are outvoted
    found = grown(labels, between(POINTS), 0.6)
    lost = np.flatnonzero((labels < 0) & (np.arange(100) < 90))
    joined = lost[found[lost] >= 0]
    assert len(joined) >= 0.8 * len(lost)
    assert (found[joined] == OWNERS[joined]).all()
    assert (found[labels >= 0] == labels[labels >= 0]).all()
    assert (found[90:] == -1).all()  # all ten nearest of a stray are of one cluster, but it is far off


def test_joining_takes_a_share_of_the_votes_and_a_distance_that_the_cluster_has():
    line = np.array([[0.0], [0.1], [1.0], [1.1], [0.55]])
    two = np.array([0, 0, 1, 1, -1])
    assert grown(two, between(line), 0.6, k=1).tolist() == [0, 0, 1, 1, -1]
    assert grown(two, between(line), 0.5, k=1).tolist() == [0, 0, 1, 1, -1]
    line[4] = 0.2
    assert grown(two, between(line), 0.5, k=1).tolist() == [0, 0, 1, 1, 0]
    assert grown(two, between(line), 0.6, k=1).tolist() == [0, 0, 1, 1, -1]
    line[4] = 0.21
    assert grown(two, between(line), 0.5, k=1).tolist() == [0, 0, 1, 1, -1]
    assert grown(np.full(5, -1), between(line), 0.5).tolist() == [-1] * 5


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"method": "kmeans"}, "method=kmeans; expected dbscan or hdbscan"),
        ({"eps": 0}, "eps=0; expected a number above 0"),
        ({"noise": 1}, "noise=1; expected a share from 0 to below 1"),
        ({"min_size": 1}, "min_size=1; expected at least 2"),
    ],
)
def test_what_makes_no_sense_is_refused(given, said):
    with pytest.raises(ScorerError, match=said):
        Clustering(**given)

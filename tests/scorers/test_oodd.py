import numpy as np
import pytest

from ood_toolkit import bench
from ood_toolkit.api.stream import run_apart
from ood_toolkit.errors import ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.energy import Energy
from ood_toolkit.scorers.knn import KNN
from ood_toolkit.scorers.mcm import MCM
from ood_toolkit.scorers.oodd import OODD
from ood_toolkit.testing import check_scorer

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("one_thread")]


def slow(images, base, size, k, batch):
    """An image at a time into a sorted list, then each of the batch against all that the list holds."""
    held, scores = [], []
    for start in range(0, len(images), batch):
        here = range(start, min(start + batch, len(images)))
        held = sorted([*held, *((base[i], i) for i in here)])[:size]
        for i in here:
            cosines = sorted((float(images[i] @ images[j]) for _, j in held), reverse=True)
            scores.append(base[i] - cosines[min(k, len(cosines)) - 1])
    return scores


@pytest.mark.parametrize(("size", "k", "batch"), [(2048, 5, 64), (10, 3, 7), (1, 1, 1), (4, 9, 16), (7, 7, 60)])
@pytest.mark.parametrize("base", [MCM(), Energy()])
def test_equals_loops(base, size, k, batch, make_outputs):
    x = make_outputs(60)
    rows = x.embeddings.double().numpy()
    wanted = slow(rows / np.linalg.norm(rows, axis=1, keepdims=True), base.score(x).tolist(), size, k, batch)
    got = run_apart(OODD(base, queue=size, k=k, batch=batch), x)
    assert got == pytest.approx(wanted, rel=1e-5, abs=1e-5)


def test_golden_values():
    """The second image is stranger and takes the only place; the third is as strange and comes too late."""
    head = Head.zero_shot([[1.0, 0], [-1, 0]], ["right", "left"], 1.0)
    x = Outputs.from_embeddings([[1.0, 0], [0, 1], [0, -1], [0.6, 0.8]], head)
    base = MCM().score(x).double().numpy()
    assert base[1] == base[2] < base[3] < base[0]
    made = run_apart(OODD(queue=1, k=1, batch=1), x)
    assert made == pytest.approx(base - [1, 1, -1, 0.8])
    assert run_apart(OODD(queue=1, k=1, batch=4), x) == pytest.approx(base - [0, 1, -1, 0.8])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"queue": 0}, "oodd: queue: expected a whole number above 0, got 0"),
        ({"k": -1}, "oodd: k: expected a whole number above 0, got -1"),
        ({"batch": 2.5}, "oodd: batch: expected a whole number above 0, got 2.5"),
        ({"base": KNN()}, "oodd: knn learns from ID data; take a score that needs no fitting, such as msp"),
    ],
)
def test_wrong_parameters(given, message):
    with pytest.raises(ScorerError, match=message):
        OODD(**given)


@pytest.mark.parametrize("spec", ["oodd", "oodd:base=energy", "oodd:base=neglabel"])
def test_conformance(spec):
    assert check_scorer(spec).passed


@pytest.mark.parametrize(
    ("spec", "auroc"),
    [("oodd:queue=256", 42.47), ("oodd", 21.19), ("oodd:queue=10", 99.14)],
)
def test_real_vectors_give_the_reference_figure(spec, auroc, clip):
    """CIFAR-10 against Food-101 in the order of seed 0: 42.47 is of an independent computation, as MCM's 91.82 is."""
    test, ood = clip["cifar10"], {"food101": clip["food101"].without_labels()}
    rows = [row for row in bench(["mcm", spec], test, ood).rows if row.kind == "ood"]
    assert [round(100 * row.auroc, 2) for row in rows] == [91.82, auroc]

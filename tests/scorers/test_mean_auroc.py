"""Scores that no peer has give the mean AUROC of an independent computation on real ResNet outputs.

The constants were computed in numpy by the papers' formulas alone, on the files of `logits/resnet_cifar10`: of the
10,000 CIFAR-10 images in the order of `numpy.random.default_rng(0).permutation(10_000)` the first half to learn from,
with predicted labels, and the second as ID; mean in per cent over Tiny ImageNet, Food-101, Caltech-101 and DTD.
"""

import functools

import numpy as np
import pytest

from ood_toolkit.api.registry import get_registry
from ood_toolkit.metrics import auroc
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head

OOD = ("tiny_imagenet_val", "food101", "caltech101", "dtd10")
KNOWN = {
    # spec: ResNet-56, ResNet-20
    "mahalanobis-pp": (84.85, 86.19),
    "vim": (84.83, 85.20),
    "kpca-corp": (82.93, 80.29),
    "cadref": (78.82, 78.79),
    "kpca-cop": (78.39, 80.63),
    "ora": (77.65, 76.99),
    "caref": (76.89, 75.04),
    "neco": (75.15, 75.35),
}


@functools.cache
def sets(folder, network):
    held = np.load(folder / f"{network}_head.npz")
    head = Head.linear(held["weight"], held["bias"], held["classes"].tolist())

    def get(name):
        return Outputs(np.load(folder / f"{network}_{name}.npz")["features"].astype("f4"), head=head)

    whole, order = get("cifar10_test"), np.random.default_rng(0).permutation(10_000)
    train = Outputs(whole[order[:5000]].features, labels=whole[order[:5000]].prediction, head=head)
    return train, whole[order[5000:]], [get(name) for name in OOD]


@pytest.mark.parametrize("network", ["resnet56", "resnet20"])
@pytest.mark.parametrize("spec", KNOWN)
def test_mean_auroc(data, network, spec):
    train, test, ood = sets(data / "logits" / "resnet_cifar10", network)
    scorer = get_registry().scorer(spec).fit(train, train)
    inside = scorer.score(test)
    mean = 100 * np.mean([auroc(inside, scorer.score(x)) for x in ood])
    assert mean == pytest.approx(KNOWN[spec][network == "resnet20"], abs=0.006)

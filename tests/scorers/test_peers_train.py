"""Scores that compare with training features give the AUROC that pytorch-ood 0.4.0 gives on real ResNet features.

The constants were computed with pytorch-ood 0.4.0 on the files of `logits/resnet_cifar10`, features as float32: its
detectors were given to `fit_features` the features and labels of `cifar10_test500_lossless`, and to
`predict_features` those of `cifar10_test` (ID) and `tiny_imagenet_val` or `dtd10` (OOD), with the linear head of the
files; scikit-learn's `roc_auc_score` on the negated scores. Mahalanobis (on L2-normalised features for
`mahalanobis-pp`), RMD, KNN(k=50), NNGuide(k=10), ViM(d=32 or 10), SHE, NCI(alpha=1e-4), fDBD and PNML. It has no
Residual, no Relation, no ORA, NECO, CARef or CADRef, and no kernel PCA.
"""

import functools

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from ood_toolkit.api.registry import get_registry
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head

PEER = [
    # network, spec, AUROC against tiny_imagenet_val, against dtd10
    ("resnet20", "mahalanobis", 0.627250, 0.871853),
    ("resnet20", "mahalanobis-pp", 0.763938, 0.931641),
    ("resnet20", "rmds", 0.724852, 0.727617),
    ("resnet20", "knn", 0.567882, 0.795694),
    ("resnet20", "nnguide:k=10:alpha=1.0", 0.772325, 0.799361),
    ("resnet20", "vim", 0.772545, 0.912351),
    ("resnet20", "vim:dim=10", 0.783139, 0.918445),
    ("resnet20", "she", 0.722308, 0.798113),
    ("resnet20", "nci", 0.777637, 0.865891),
    ("resnet20", "fdbd", 0.771672, 0.864855),
    ("resnet20", "pnml", 0.768887, 0.929761),
    ("resnet56", "mahalanobis", 0.727255, 0.912054),
    ("resnet56", "mahalanobis-pp", 0.772748, 0.909322),
    ("resnet56", "rmds", 0.760055, 0.791889),
    ("resnet56", "knn", 0.581443, 0.775078),
    ("resnet56", "nnguide:k=10:alpha=1.0", 0.771046, 0.771841),
    ("resnet56", "vim", 0.798728, 0.910194),
    ("resnet56", "vim:dim=10", 0.801427, 0.908490),
    ("resnet56", "she", 0.664829, 0.690801),
    ("resnet56", "nci", 0.788188, 0.853855),
    ("resnet56", "fdbd", 0.781530, 0.844874),
    ("resnet56", "pnml", 0.763126, 0.903397),
]


@functools.cache
def outputs(folder, network, name):
    head = np.load(folder / f"{network}_head.npz")
    found = np.load(folder / f"{network}_{name}.npz")
    linear = Head.linear(head["weight"], head["bias"], head["classes"].tolist())
    return Outputs(found["features"].astype("f4"), labels=found.get("labels"), head=linear)


@pytest.mark.parametrize(("network", "spec", "tiny", "dtd"), PEER, ids=lambda value: str(value))
def test_auroc_is_that_of_pytorch_ood(data, network, spec, tiny, dtd):
    get = functools.partial(outputs, data / "logits" / "resnet_cifar10", network)
    train = get("cifar10_test500_lossless")
    scorer = get_registry().scorer(spec).fit(train, train)
    inside = scorer.score(get("cifar10_test")).numpy()
    for name, wanted in (("tiny_imagenet_val", tiny), ("dtd10", dtd)):
        outside = scorer.score(get(name)).numpy()
        truth = np.repeat([1, 0], [len(inside), len(outside)])
        assert roc_auc_score(truth, np.concatenate([inside, outside])) == pytest.approx(wanted, abs=1e-4)

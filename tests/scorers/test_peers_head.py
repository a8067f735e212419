"""Scores on logits and on a head against pytorch-ood 0.4.0, on real outputs of two ResNets.

The constants are AUROC of CIFAR-10 against Tiny ImageNet and against DTD, computed with pytorch-ood 0.4.0 on the files
in `logits/resnet_cifar10`: features as float32, logits from features and head, and of the 10,000 CIFAR-10 images every
third for training, for validation and for testing, from the first, second and third on. Its detectors were called
through `fit_logits`, `fit_features`, `predict_logits`, `predict_features` and `predict_feature_maps` with the
parameters given here, ODIN with eps=0, GradNorm with the weights of the head alone. Three were asked in a way that
avoids what the docstrings name as differences: OpenMax was fitted on the training images that are classified right;
TemperatureScaling was fitted 500 times over, each time from where it had stopped, since one fit ends at about half of
the best temperature; GEN scored logits divided by 4, on both sides, so that no probability is below the 1e-7 it clamps
at.
"""

import numpy as np
import pytest

from ood_toolkit.api.registry import get_registry
from ood_toolkit.metrics import auroc
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head

WEIGHTED = "weighted-energy:weights=(0.1,0.5,1.0,2.0,0.3,1.0,3.0,0.7,-0.4,1.0)"
PEER = {
    "gen": (0.769455, 0.768668, 0.763096, 0.725945),
    "gen:m=5": (0.761125, 0.774224, 0.768499, 0.753542),
    "odin": (0.770333, 0.772743, 0.764284, 0.73244),
    "temperature": (0.754542, 0.77211, 0.755599, 0.745077),
    "klm": (0.653419, 0.675614, 0.65176, 0.659752),
    WEIGHTED: (0.687937, 0.670318, 0.671305, 0.614906),
    "openmax:alpha=1": (0.760681, 0.789414, 0.776619, 0.790356),
    "openmax": (0.746682, 0.762904, 0.765574, 0.781843),
    "openmax:alpha=10": (0.749258, 0.761273, 0.772515, 0.787416),
    "gmm": (0.752977, 0.873698, 0.82021, 0.900836),
    "react": (0.77184, 0.798733, 0.756237, 0.753292),
    "vra:per_feature=true": (0.784374, 0.817722, 0.770969, 0.762399),
    "dice": (0.73181, 0.816063, 0.712476, 0.718076),
    "ash-p": (0.770823, 0.810818, 0.765097, 0.763905),
    "ash-b": (0.738727, 0.842033, 0.691362, 0.757071),
    "ash-s": (0.460437, 0.771456, 0.489199, 0.76069),
    "scale": (0.651887, 0.840215, 0.643869, 0.788203),
    "lts": (0.67192, 0.845891, 0.603704, 0.763995),
    "gradnorm": (0.673179, 0.783708, 0.560343, 0.637004),
}
"""By spec: ResNet-20 against Tiny ImageNet and DTD, then ResNet-56."""


@pytest.fixture(scope="module", params=["resnet20", "resnet56"])
def sets(request, data):
    """Training, validation, testing, and the two OOD sets; the name of the model."""
    folder = data / "logits" / "resnet_cifar10"
    arrays = np.load(folder / f"{request.param}_head.npz")
    names = arrays["classes"].tolist()
    head = Head.linear(arrays["weight"], arrays["bias"], names)

    def load(name):
        held = np.load(folder / f"{request.param}_{name}.npz")
        labels = [names.index(n) for n in held["names"]] if name == "cifar10_test" else None
        return Outputs(held["features"].astype(np.float32), labels=labels, head=head)

    whole = load("cifar10_test")
    return request.param, [whole[start::3] for start in range(3)], [load("tiny_imagenet_val"), load("dtd10")]


@pytest.mark.parametrize("spec", PEER)
def test_equals_pytorch_ood(sets, spec):
    model, (train, val, test), others = sets
    if spec.startswith("gen"):
        test, *others = (Outputs.from_logits(x.logits / 4) for x in (test, *others))
    scorer = get_registry().scorer(spec).fit(val, train)
    inside = scorer.score(test)
    found = [auroc(inside, scorer.score(x)) for x in others]
    wanted = PEER[spec][:2] if model == "resnet20" else PEER[spec][2:]
    assert found == pytest.approx(wanted, abs=1e-4)

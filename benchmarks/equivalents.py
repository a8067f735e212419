"""How alike a spec of this package and a detector of pytorch-ood order images: Spearman's rank correlation.

    pip install pytorch-ood==0.4.0
    python benchmarks/equivalents.py

Both get the same arrays: features of a linear head, drawn at random and never negative, as after a ReLU. Scores of
pytorch-ood are negated, since they are higher for outliers. 1.000000 is the same order; the values may differ by a
rising map. The detectors have their own defaults, and the specs are those of docs/coming-from.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from pytorch_ood import detector
from scipy.stats import spearmanr
from torch import Tensor, nn

from ood_toolkit import Head, Outputs, score

ROWS, WIDTH, CLASSES = 400, 16, 5
draw = torch.Generator().manual_seed(0)
WEIGHT, BIAS = torch.randn(CLASSES, WIDTH, generator=draw), torch.randn(CLASSES, generator=draw)
TRAIN, TEST = (torch.randn(ROWS, WIDTH, generator=draw).relu() for _ in range(2))
LABELS = (TRAIN @ WEIGHT.T + BIAS).argmax(dim=1)
HEAD = Head.linear(WEIGHT, BIAS)


def main() -> None:
    """Print the correlations."""
    known, x = Outputs(features=TRAIN, head=HEAD, labels=LABELS), Outputs(features=TEST, head=HEAD)
    print("| pytorch-ood | here | rank correlation |\n|---|---|---|")
    for spec, (name, theirs) in PAIRS.items():
        ours = score(spec, x, val=known, train=known)
        print(f"| {name} | `{spec}` | {spearmanr(-theirs(), ours).statistic:.6f} |")
    texts = torch.randn(CLASSES, WIDTH, generator=draw)
    theirs = detector.MCM(None, texts).predict_features(TEST)
    ours = score("mcm", Outputs.from_embeddings(TEST, Head.zero_shot(texts, list("abcde"))))
    print(f"| MCM | `mcm` | {spearmanr(-theirs, ours).statistic:.6f} |")


def of_logits(made: Any, *, fitted: bool = False) -> Callable[[], Tensor]:
    """Score logits, after a fit on those of training where it learns."""

    def run() -> Tensor:
        peer = made.fit_logits(TRAIN @ WEIGHT.T + BIAS, LABELS) if fitted else made
        return peer.predict_logits(TEST @ WEIGHT.T + BIAS).detach()

    return run


def of_features(made: Any) -> Callable[[], Tensor]:
    """Score features, after a fit on those of training."""
    return lambda: made.fit_features(TRAIN, LABELS).predict_features(TEST).detach()


def of_maps(made: Any, *, fitted: bool = False) -> Callable[[], Tensor]:
    """Score features as maps of one pixel, copied, since some are changed in place."""

    def run() -> Tensor:
        peer = made.fit_feature_maps(TRAIN.clone()[:, :, None, None], LABELS) if fitted else made
        return peer.predict_feature_maps(TEST.clone()[:, :, None, None]).detach()

    return run


def _linear() -> nn.Linear:
    layer = nn.Linear(WIDTH, CLASSES)
    layer.weight.data, layer.bias.data = WEIGHT, BIAS
    return layer


SAME = nn.Identity()
FLAT = nn.Sequential(nn.Flatten(), _linear())
PAIRS = {
    "msp": ("MaxSoftmax()", of_logits(detector.MaxSoftmax(None))),
    "maxlogit": ("MaxLogit()", of_logits(detector.MaxLogit(None))),
    "energy": ("EnergyBased()", of_logits(detector.EnergyBased(None))),
    "entropy": ("Entropy()", of_logits(detector.Entropy(None))),
    "gen": ("GEN()", of_logits(detector.GEN(None))),
    "temperature": ("TemperatureScaling()", of_logits(detector.TemperatureScaling(None), fitted=True)),
    "klm": ("KLMatching()", of_logits(detector.KLMatching(None), fitted=True)),
    "openmax:tail=25:alpha=10": ("OpenMax()", of_logits(detector.OpenMax(None), fitted=True)),
    "mahalanobis": ("Mahalanobis()", of_features(detector.Mahalanobis(None))),
    "rmds": ("RMD()", of_features(detector.RMD(None))),
    "knn": ("KNN()", of_features(detector.KNN(None))),
    "vim:dim=4": ("ViM(d=4)", of_features(detector.ViM(None, 4, WEIGHT, BIAS))),
    "she": ("SHE()", of_features(detector.SHE(SAME, _linear()))),
    "gmm": ("GMM()", of_features(detector.GMM(None))),
    "fdbd": ("fDBD()", of_features(detector.fDBD(SAME, _linear()))),
    "nci:alpha=0": ("NCI()", of_features(detector.NCI(SAME, _linear()))),
    "pnml": ("PNML()", of_features(detector.PNML(SAME, _linear()))),
    "nnguide:k=10:alpha=1": ("NNGuide()", of_features(detector.NNGuide(SAME, _linear()))),
    "dice:percentile=70": ("DICE(p=0.7)", of_features(detector.DICE(None, WEIGHT, BIAS, 0.7))),
    "lts": ("LTS()", of_features(detector.LTS(SAME, _linear()))),
    "react": ("ReAct()", of_maps(detector.ReAct(SAME, FLAT), fitted=True)),
    "vra:low=1:high=99:per_feature=true": ("VRA()", of_maps(detector.VRA(SAME, FLAT), fitted=True)),
    "ash-p:percentile=65": ('ASH(variant="ash-p")', of_maps(detector.ASH(SAME, FLAT, variant="ash-p"))),
    "ash-b:percentile=65": ('ASH(variant="ash-b")', of_maps(detector.ASH(SAME, FLAT, variant="ash-b"))),
    "ash-s:percentile=65": ("ASH()", of_maps(detector.ASH(SAME, FLAT))),
    "scale:percentile=65": ("SCALE()", of_maps(detector.SCALE(SAME, FLAT))),
}
"""Name, and detector with its defaults, by the spec that stands for it here."""


if __name__ == "__main__":
    main()

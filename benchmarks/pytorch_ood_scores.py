"""Classical scores of pytorch-ood 0.4.0 on ready arrays, under this package's specs, higher = more in-distribution.

`pip install pytorch-ood==0.4.0`. Its detectors get float32 features or logits and parameters equal to those of the
spec. Three are asked in a way that avoids what the docstrings name as differences: ODIN with eps 0, GradNorm by the
weights of the head alone, and TemperatureScaling is fitted anew from where it stopped until it stays there, since one
fit ends short of the best temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from ood_toolkit import Outputs, Scorer, metrics

ROWS = 64
"""Rows that a detector is asked about at once."""
FITS = 500
STILL = 1e-7
"""Relative change of the temperature that counts as none."""
QUARTERED = frozenset({"gen"})
"""Compared on logits / 4, since pytorch-ood takes no probability to be below 1e-7."""

Score = Callable[[Outputs], Tensor]
Made = Callable[[Outputs, Outputs], Score]
"""Fits on ID validation and training outputs, and gives what scores."""


def peers() -> dict[str, Made]:
    """Give, by spec, what fits the detector of the same name."""
    from pytorch_ood import detector as d

    return {
        "msp": _of_logits(lambda val: d.MaxSoftmax(None)),
        "maxlogit": _of_logits(lambda val: d.MaxLogit(None)),
        "energy": _of_logits(lambda val: d.EnergyBased(None)),
        "entropy": _of_logits(lambda val: d.Entropy(None)),
        "gen": _of_logits(lambda val: d.GEN(None, gamma=0.1, M=100)),
        "weighted-energy": _of_logits(lambda val: d.WeightedEBO(None, torch.ones(val.classes))),
        "temperature": _of_logits(_tempered),
        "klm": _of_logits(lambda val: d.KLMatching(None).fit_logits(val.logits.float())),
        "openmax": _openmax,
        "odin": _of_head(lambda head: d.ODIN(head, eps=0.0, temperature=1000.0).predict),
        "gradnorm": _of_head(lambda head: d.GradNorm(head, param_filter=lambda name: name == "weight").predict),
        "knn": _of_features(lambda head, train: d.KNN(None, k=50).fit_features(*_labelled(train))),
        "mahalanobis": _of_features(lambda head, train: d.Mahalanobis(None).fit_features(*_counted(train))),
        "mahalanobis-pp": _of_unit_rows(lambda rows, labels: d.Mahalanobis(None).fit_features(rows, labels)),
        "rmds": _of_features(lambda head, train: d.RMD(None).fit_features(*_counted(train))),
        "gmm": _of_features(lambda head, train: d.GMM(None).fit_features(*_counted(train))),
        "nnguide:k=10:alpha=1.0": _of_features(lambda h, t: d.NNGuide(None, h, k=10).fit_features(*_labelled(t))),
        "vim:dim=256": _of_features(lambda h, t: d.ViM(None, 256, h.weight, h.bias).fit_features(*_labelled(t))),
        "she": _of_features(lambda head, train: d.SHE(None, head).fit_features(*_counted(train))),
        "nci": _of_features(lambda head, train: d.NCI(None, head, alpha=1e-4).fit_features(*_labelled(train))),
        "fdbd": _of_features(lambda head, train: d.fDBD(None, head).fit_features(*_labelled(train))),
        "pnml": _of_features(lambda head, train: d.PNML(None, head).fit_features(*_labelled(train))),
        "dice": _of_features(lambda h, t: d.DICE(None, h.weight, h.bias, p=0.9).fit_features(*_labelled(t))),
        "lts": _of_features(lambda head, train: d.LTS(None, head, p=0.05)),
        "react": _of_maps(lambda head: d.ReAct(None, head, percentile=0.9), fitted=True),
        "vra:per_feature=true": _of_maps(lambda h: d.VRA(None, h, lower_percentile=0.1, upper_percentile=0.9), True),
        "ash-p": _of_maps(lambda head: d.ASH(None, head, variant="ash-p", percentile=0.65)),
        "ash-b": _of_maps(lambda head: d.ASH(None, head, variant="ash-b", percentile=0.65)),
        "ash-s": _of_maps(lambda head: d.ASH(None, head, variant="ash-s", percentile=0.9)),
        "scale": _of_maps(lambda head: d.SCALE(None, head, percentile=0.85)),
    }


def apart(scorer: Scorer, train: Outputs, test: Outputs, ood: Sequence[Outputs]) -> str:
    """Give the largest difference of AUROC, of 1, between a scorer and its peer, fitted on the same outputs."""
    if scorer.spec in QUARTERED:
        train, test, *ood = (Outputs.from_logits(x.logits / 4, x.labels) for x in (train, test, *ood))
    ours = aurocs(scorer.fit(train, train).score, test, ood)
    theirs = aurocs(peers()[scorer.spec](train, train), test, ood)
    largest = max(abs(a - b) for a, b in zip(ours, theirs, strict=True))
    return f"{largest:.0e}" if largest else "0"


def aurocs(score: Score, test: Outputs, ood: Sequence[Outputs]) -> list[float]:
    """Give AUROC against each OOD set."""
    inside = score(test)
    return [metrics.auroc(inside, score(x)) for x in ood]


def _of_logits(make: Callable[[Outputs], object]) -> Made:
    def made(val: Outputs, train: Outputs) -> Score:
        detector = make(val)
        return lambda x: -detector.predict_logits(x.logits.float()).detach()  # type: ignore[attr-defined]

    return made


def _tempered(val: Outputs) -> object:
    from pytorch_ood.detector import TemperatureScaling

    detector, before = TemperatureScaling(None), 0.0
    for _ in range(FITS):
        detector.fit_logits(val.logits.float(), val.labels)
        now = float(detector.t.detach())
        if abs(now - before) <= STILL * now:
            break
        before = now
    return detector


def _openmax(val: Outputs, train: Outputs) -> Score:
    from pytorch_ood.detector import OpenMax

    known = train[train.right]
    detector = OpenMax(None, tailsize=20, alpha=3).fit_logits(known.logits.float(), known.labels)
    return lambda x: -detector.predict_logits(x.logits.float())


def _of_head(make: Callable[[nn.Linear], Callable[[Tensor], Tensor]]) -> Made:
    def made(val: Outputs, train: Outputs) -> Score:
        predict = make(_linear(train))
        return lambda x: -torch.cat([predict(rows) for rows in _blocks(x)]).detach()

    return made


def _of_features(make: Callable[[nn.Linear, Outputs], object]) -> Made:
    def made(val: Outputs, train: Outputs) -> Score:
        detector = make(_linear(train), train)
        return lambda x: -torch.cat([detector.predict_features(rows) for rows in _blocks(x)])  # type: ignore[attr-defined]

    return made


def _of_unit_rows(make: Callable[[Tensor, Tensor], object]) -> Made:
    def made(val: Outputs, train: Outputs) -> Score:
        detector = make(train.embeddings.float(), _counted(train)[1])
        return lambda x: -detector.predict_features(x.embeddings.float())  # type: ignore[attr-defined]

    return made


def _of_maps(make: Callable[[nn.Module], object], fitted: bool = False) -> Made:
    def made(val: Outputs, train: Outputs) -> Score:
        detector = make(nn.Sequential(nn.Flatten(), _linear(train)))
        if fitted:
            detector.fit_feature_maps(_map(val.features), val.labels)  # type: ignore[attr-defined]
        return lambda x: -torch.cat([detector.predict_feature_maps(_map(rows)) for rows in _blocks(x)])  # type: ignore[attr-defined]

    return made


def _map(rows: Tensor | None) -> Tensor:
    assert rows is not None
    return rows.float()[:, :, None, None]


def _blocks(x: Outputs) -> Iterator[Tensor]:
    assert x.features is not None
    return iter(x.features.float().split(ROWS))


def _labelled(train: Outputs) -> tuple[Tensor, Tensor]:
    assert train.features is not None
    assert train.labels is not None
    return train.features.float(), train.labels


def _counted(train: Outputs) -> tuple[Tensor, Tensor]:
    """Give features and labels that count the classes which are there, since these detectors take no others."""
    features, labels = _labelled(train)
    return features, labels.unique(return_inverse=True)[1]


def _linear(x: Outputs) -> nn.Linear:
    assert x.head is not None
    layer = nn.Linear(x.head.width, x.head.classes)
    layer.load_state_dict({"weight": x.head.weight.float(), "bias": x.head.bias.float()})
    return layer.requires_grad_(False)

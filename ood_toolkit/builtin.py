"""What comes with the package, registered through the same hooks as any plugin: one line each, imported when used."""

from __future__ import annotations

from ood_toolkit.hookspecs import hookimpl


@hookimpl
def register_scorers() -> dict[str, str]:
    """Name the built-in scorers, in the order of the listing."""
    return {
        "classwise": "ood_toolkit.scorers.classwise:Classwise",
        "classwise-entropy": "ood_toolkit.scorers.classwise:ClasswiseEntropy",
        "mean": "ood_toolkit.scorers.mean:Mean",
        "grid": "ood_toolkit.scorers.grid:Grid",
        "msp": "ood_toolkit.scorers.msp:MSP",
        "maxlogit": "ood_toolkit.scorers.maxlogit:MaxLogit",
        "energy": "ood_toolkit.scorers.energy:Energy",
        "entropy": "ood_toolkit.scorers.entropy:Entropy",
        "knn": "ood_toolkit.scorers.knn:KNN",
        "mahalanobis": "ood_toolkit.scorers.mahalanobis:Mahalanobis",
        "mcm": "ood_toolkit.scorers.mcm:MCM",
        "clipn-ctw": "ood_toolkit.scorers.clipn:CLIPNCompete",
        "clipn-atd": "ood_toolkit.scorers.clipn:CLIPNAgree",
    }


@hookimpl
def register_combiners() -> dict[str, str]:
    """Name the built-in combiners."""
    return {
        "max-confidence": "ood_toolkit.combiners.max_confidence:MaxConfidence",
        "vote": "ood_toolkit.combiners.vote:Vote",
        "mean-score": "ood_toolkit.combiners.mean_score:MeanScore",
    }


@hookimpl
def register_datasets() -> dict[str, str]:
    """Name the embedded data sets."""
    return {
        "digits": "ood_toolkit.data.digits:DIGITS",
        "letters": "ood_toolkit.data.letters:LETTERS",
        "patches": "ood_toolkit.data.patches:PATCHES",
    }


@hookimpl
def register_models() -> dict[str, str]:
    """Name the embedded model."""
    return {"digits-clip": "ood_toolkit.models.digits_clip:DIGITS_CLIP"}

"""Outlier detectors for scikit-learn's world: `from ood_toolkit.sklearn import OODDetector`."""

from ood_toolkit.detectors.outlier import OODDetector

__all__ = ["OODDetector"]

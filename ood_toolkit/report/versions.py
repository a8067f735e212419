"""The version of this package, and of what its results depend on."""

from __future__ import annotations

__version__ = "0.1.0"


def versions() -> dict[str, str]:
    """Name the versions that a result may depend on."""
    import platform
    from importlib.metadata import version

    names = ("ood-toolkit", "torch", "numpy", "scikit-learn", "open_clip_torch")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}

"""The versions that a result may depend on."""

from __future__ import annotations


def versions() -> dict[str, str]:
    """Name the versions that a result may depend on."""
    import platform
    from importlib.metadata import version

    names = ("ood-toolkit", "torch", "numpy", "scikit-learn", "open_clip_torch")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}

"""The versions that a result may depend on."""

from __future__ import annotations


def versions() -> dict[str, str]:
    """Name the versions that a result may depend on."""
    import platform

    from ood_toolkit.store.versions import version_of

    names = ("ood-toolkit", "torch", "numpy", "scikit-learn", "open_clip_torch")
    found = {name: version_of(name) for name in names}
    return {"python": platform.python_version(), **{name: known for name, known in found.items() if known}}

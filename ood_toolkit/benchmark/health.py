"""What works on this machine: versions, devices, store, data root, plugins, and what is missing for which extra."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from ood_toolkit.api.registry import Registry
from ood_toolkit.errors import OodkitError, one_line

__all__ = ["Finding", "devices", "extras", "findings", "needed"]

PACKAGE = "ood-toolkit"
REQUIREMENT = re.compile(r'([\w.-]+)(?:\[[\w,.-]*\])?([^;]*)(?:;.*extra == "([\w-]+)")?')
LEFT_OUT = ("dev",)
"""Extras for those who work on the package."""


@dataclass(frozen=True)
class Finding:
    """One line: a thing, what it is, and what to do where something is wrong or missing."""

    name: str
    what: str
    state: str = "ok"
    """ok; missing, which only an extra needs; or wrong, which stands in the way."""
    do: str = ""

    def flat(self) -> dict[str, str]:
        """Give plain values."""
        return asdict(self)


def findings(registry: Registry, store: Path, data_root: Path) -> Iterator[Finding]:
    """Look at everything, one after the other; nothing is written."""
    yield Finding("python", f"{platform.python_version()}, {platform.system()} {platform.machine()}")
    yield from needed(requires_of(PACKAGE))
    yield devices()
    yield _store(store)
    yield _data_root(data_root)
    for plugin in registry.plugins:
        said = [f"{kind} {', '.join(names)}" for kind, names in plugin.provides.items() if names]
        wrong = "; ".join(filter(None, [plugin.error or "", *plugin.conflicts]))
        if wrong:
            yield Finding(f"plugin {plugin.name}", wrong, "wrong", "update or uninstall it")
        elif plugin.version:
            yield Finding(f"plugin {plugin.name}", f"{plugin.version}: {'; '.join(said) or 'provides nothing'}")
    yield from extras(requires_of(PACKAGE))


def requires_of(package: str) -> list[str]:
    """Give what a package asks for; nothing where it is run without being installed."""
    try:
        return requires(package) or []
    except PackageNotFoundError:
        return []


def needed(requirements: Iterable[str]) -> Iterator[Finding]:
    """Look for the package itself and what it cannot do without."""
    yield Finding(PACKAGE, _version(PACKAGE) or "run from its folder, not installed")
    for name, wanted, extra in _parsed(requirements):
        if extra is None:
            found = _version(name)
            if found is None or _is_old(found, wanted):
                got = "is not installed" if found is None else f"{found} is older than {wanted}"
                yield Finding(name, got, "wrong", f"pip install '{name}{wanted}'")
            else:
                yield Finding(name, found)


def extras(requirements: Iterable[str]) -> Iterator[Finding]:
    """Tell of each extra what of it is here, and how to get the rest."""
    by_extra: dict[str, list[tuple[str, str]]] = {}
    for name, wanted, extra in _parsed(requirements):
        if extra is not None and extra not in LEFT_OUT:
            by_extra.setdefault(extra, []).append((name, wanted))
    for extra, parts in sorted(by_extra.items()):
        lacking = [name for name, wanted in parts if (found := _version(name)) is None or _is_old(found, wanted)]
        if lacking:
            do = f"pip install '{PACKAGE}[{extra}]'"
            yield Finding(f"extra {extra}", f"{', '.join(lacking)} missing or too old", "missing", do)
        else:
            yield Finding(f"extra {extra}", ", ".join(f"{name} {_version(name)}" for name, _ in parts))


def _parsed(requirements: Iterable[str]) -> Iterator[tuple[str, str, str | None]]:
    """Read the name, the versions and the extra of each requirement."""
    for text in requirements:
        found = REQUIREMENT.match(text)
        if found is not None:
            yield found[1], ",".join(sorted(found[2].replace(" ", "").split(","), reverse=True)), found[3]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _is_old(found: str, wanted: str) -> bool:
    least = re.search(r">=\s*([\d.]+)", wanted)
    return least is not None and _numbers(found) < _numbers(least[1])


def _numbers(text: str) -> tuple[int, ...]:
    """Read the leading numbers of a version; 3 is 3.0."""
    found = [int(part) for part in re.findall(r"\d+", text.split("+")[0])]
    return tuple([*found, 0, 0][:3])


def devices() -> Finding:
    """Name what torch can compute on."""
    try:
        import torch
    except Exception as error:  # a torch that does not load may raise anything
        return Finding("devices", one_line(error), "wrong", "install torch again")
    found = [f"cpu, {torch.get_num_threads()} threads"]
    found += [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    found += ["mps"] if torch.backends.mps.is_available() else []
    return Finding("devices", "; ".join(found))


def _store(store: Path) -> Finding:
    from ood_toolkit.store.imports import Imports
    from ood_toolkit.store.inventory import held

    if (wrong := _unusable(store)) is not None:
        return Finding("store", f"{store}: {wrong}", "wrong", "name another with OODKIT_STORE")
    if not store.exists():
        return Finding("store", f"{store}: not there yet; the first run makes it")
    try:
        known, imports = held(store), Imports(store).entries()
    except (OodkitError, OSError) as error:
        return Finding("store", one_line(error), "wrong", "oodkit store verify names what is damaged")
    images, size = sum(one.images for one in known), sum(one.bytes for one in known)
    return Finding("store", f"{store}: {images:,} encoded rows, {size / 2**20:,.1f} MiB; {len(imports):,} imports")


def _data_root(root: Path) -> Finding:
    place = root.absolute()
    if root.exists() and not root.is_dir():
        return Finding("data root", f"{place}: is no folder", "wrong", "name another with OODKIT_DATA")
    if not root.exists():
        return Finding("data root", f"{place}: not there; only sets with pictures need it")
    return Finding("data root", f"{place}: {sum(1 for one in os.scandir(root) if one.is_dir()):,} folders")


def _unusable(folder: Path) -> str | None:
    """Say why nothing can be written in a folder, None where something can."""
    if folder.exists() and not folder.is_dir():
        return "is no folder"
    there = next((place for place in (folder, *folder.absolute().parents) if place.exists()), Path("/"))
    return None if os.access(there, os.W_OK | os.X_OK) else f"{there} cannot be written"

"""Named benchmarks, each a TOML file beside this one: what to run, under which rules, and what others published."""

from __future__ import annotations

from pathlib import Path

from ood_toolkit.api.spec import nearest
from ood_toolkit.benchmark.presets.preset import Preset, PresetSet, Published
from ood_toolkit.benchmark.presets.reading import read_preset
from ood_toolkit.errors import DataError

__all__ = ["Preset", "PresetSet", "Published", "find_preset", "preset_names", "read_preset"]

FOLDER = Path(__file__).parent


def preset_names() -> list[str]:
    """Name the presets that come with the package."""
    return sorted(file.stem for file in FOLDER.glob("*.toml"))


def find_preset(name: str) -> Preset:
    """Read a preset by its name, or by the path of a file that ends in `.toml`; `DataError` where there is none."""
    if name.endswith(".toml"):
        return read_preset(Path(name))
    if Path(name).is_file():
        raise DataError(f"preset {name}: expected the name of a preset file to end in .toml")
    if name not in preset_names():
        raise DataError(f"unknown preset {name!r}; {nearest(name, preset_names())}")
    return read_preset(FOLDER / f"{name}.toml")

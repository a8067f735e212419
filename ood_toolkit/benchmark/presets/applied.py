"""`Benchmark`: a preset that runs: it fills the options of a run and sets the measured rows beside the published."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ood_toolkit.benchmark.presets.preset import Preset
from ood_toolkit.benchmark.settings import Settings, options
from ood_toolkit.errors import ModelError, OodkitError
from ood_toolkit.models.names import find_model, parse

if TYPE_CHECKING:
    from ood_toolkit.api.registry import Registry
    from ood_toolkit.report import Report

__all__ = ["Benchmark", "same_model"]

CLIP_FAMILIES = ("open_clip", "hf-hub", "local-dir")
"""Models to whose name a preset adds its preprocessing."""
INDIFFERENT = ("resize", "interpolation", "precision")
"""Options of a model name that make no other model of it."""


@dataclass
class Benchmark:
    """A preset that runs."""

    preset: Preset
    registry: Registry
    changed: list[str] = field(default_factory=list)
    """What the user, or the model, has otherwise than the preset, by the name of the option."""

    def filled(self, settings: Settings, given: Collection[str]) -> Settings:
        """Put what the preset decides where the user gave nothing; `given` names the fields that the user set."""
        decided = self.preset.settings()
        if settings.heads:
            decided.pop("prompts", None)  # a trained head takes their place
        known = options()
        changed = [name for name in decided if name in given and getattr(settings, name) != decided[name]]
        changed += [name for name in known if name in given and known[name].measures and name not in decided]
        self.changed = [known[name].name for name in changed]
        models = tuple(self.with_preprocessing(model) for model in settings.models)
        if "scorers" not in given and (scorers := self.scorers(models)):
            decided["scorers"] = scorers
        return replace(settings, models=models, **{k: v for k, v in decided.items() if k not in given})

    def with_preprocessing(self, model: str) -> str:
        """Add the preset's resize and interpolation to the name of a CLIP model that does not state its own."""
        try:
            choice = find_model(model, self.registry)
        except ModelError:
            return model
        if choice.entry.name not in CLIP_FAMILIES:
            return model
        wanted = {k: v for k, v in self.preset.preprocessing().items() if k not in choice.options}
        return ":".join([model, *(f"{key}={value}" for key, value in wanted.items())])

    def scorers(self, models: Collection[str]) -> str:
        """Name the scorers of the published rows of these models, or of any where there are none of these.

        Those that are not installed are left out; without any, the preset's own list; "" where it has none.
        """
        rows = [row for row in self.preset.published if self.spec_of(row.scorer)]
        own = [row for row in rows if any(same_model(model, row.model) for model in models)]
        specs = dict.fromkeys(self.spec_of(row.scorer) for row in own or rows)
        return ",".join(specs) or self.preset.scorers

    def models(self) -> tuple[str, ...]:
        """Name the models of the published rows that can be loaded by name, each once."""
        named = dict.fromkeys(row.model for row in self.preset.published if self.spec_of(row.scorer))
        return tuple(model for model in named if self._is_known(model))

    def _is_known(self, model: str) -> bool:
        try:
            find_model(model, self.registry)
        except ModelError:
            return False
        return True

    def spec_of(self, scorer: str) -> str:
        """Write a scorer canonically; "" where none of that name or with these parameters is installed."""
        try:
            return self.registry.scorer(scorer).spec if scorer else ""
        except OodkitError:
            return ""

    def beside(self, report: Report) -> Report:
        """Add the preset and the comparison with what was published to the header of a report."""
        from ood_toolkit.benchmark.presets.published import beside_published

        if any(self._resized(header) for header in report.header.get("models", [report.header])):
            self.changed.append("preprocessing")
        about = {"name": self.preset.name, "description": self.preset.description, "changed": self.changed}
        found = beside_published(report.rows, self.preset, same_model, self.spec_of, same_texts=not self._other_texts())
        return replace(report, header={**report.header, "preset": about, "published": found})

    def _other_texts(self) -> bool:
        """Tell whether the user put other texts in the place of the preset's."""
        return any(option.texts and option.name in self.changed for option in options().values())

    def _resized(self, header: Mapping[str, Any]) -> bool:
        """Tell whether pictures were resized otherwise than the preset says; nothing is known of imported arrays."""
        used = header.get("encoder", {}).get("preprocessing", {})
        return any(str(used.get(key, value)) != value for key, value in self.preset.preprocessing().items())


def same_model(name: str, published: str) -> bool:
    """Tell whether two model names mean the same weights, whatever their preprocessing and precision."""
    return _weights(name) == _weights(published)


def _weights(name: str) -> tuple[Any, ...]:
    try:
        request = parse(name)
    except ModelError:
        return (name,)
    options = sorted((key, value) for key, value in request.options.items() if key not in INDIFFERENT)
    return request.entry_name, request.argument.replace("-quickgelu/openai", "/openai"), options

"""`Component`: what scorers and combiners share: parameters as fields, learned state ending in `_`, a spec."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar

from ood_toolkit.api.spec import format_value
from ood_toolkit.errors import NotFittedError, NotSavableError

__all__ = ["DEPENDS", "Component"]

Self = TypeVar("Self", bound="Component")

DEPENDS: Any = None
"""The default of a field whose value follows from others: `default_of` says which, `__post_init__` puts it there."""


class Component:
    """A dataclass whose fields are its hyper-parameters and whose learned attributes end in `_`."""

    name: ClassVar[str]
    """Unique slug, as typed after `--scorers` or `--combiners`."""
    savable: ClassVar[bool] = True
    """False where the state cannot be written without pickle."""

    def parameters(self) -> dict[str, Any]:
        """Give the hyper-parameters by name."""
        return {f.name: getattr(self, f.name) for f in _fields(type(self))}

    def default_of(self, name: str) -> Any:
        """Give the value of a hyper-parameter that is not given; a subclass says it of one that `DEPENDS` on others."""
        return next(_default(f) for f in _fields(type(self)) if f.name == name)

    @property
    def spec(self) -> str:
        """The canonical text that parses back to an equal component; parameters at their defaults are left out."""
        parts = [
            f"{f.name}={format_value(_canonical(f, getattr(self, f.name)))}"
            for f in _fields(type(self))
            if getattr(self, f.name) != self.default_of(f.name)
        ]
        return ":".join([self.name, *parts])

    def clone(self: Self) -> Self:
        """Give an unfitted component with the same parameters."""
        return type(self)(
            **{k: v.clone() if isinstance(v, Component) else copy.deepcopy(v) for k, v in self.parameters().items()}
        )

    def learned(self) -> dict[str, Any]:
        """Give the learned attributes, those whose names end in `_`."""
        return {k: v for k, v in vars(self).items() if k.endswith("_") and not k.startswith("_")}

    def state(self) -> dict[str, Any]:
        """Give the learned state as arrays, strings, numbers and lists; a fitted inner component is a dict of its own.

        Raises `NotSavableError` where the class says that its state cannot be written without pickle.
        """
        if not self.savable:
            raise NotSavableError(
                f"{self.name}: its state cannot be saved without pickle; fit it again where it is used"
            )
        return {k: v.state() if isinstance(v, Component) else v for k, v in self.learned().items()}

    @classmethod
    def from_state(cls: type[Self], state: Mapping[str, Any], **parameters: Any) -> Self:
        """Make a fitted component from `parameters()` and `state()`.

        A dict in the state belongs to an inner component: `base_` is restored as the kind that parameter `base` is.
        """
        made = cls(**parameters)
        for key, value in state.items():
            inner = made.parameters().get(key[:-1])
            if isinstance(value, Mapping) and isinstance(inner, Component):
                value = type(inner).from_state(value, **inner.parameters())
            setattr(made, key, value)
        return made

    def to(self: Self, device: Any) -> Self:
        """Move the learned tensors to a device and return the component."""
        for key, value in self.learned().items():
            if hasattr(value, "to"):
                setattr(self, key, value.to(device))
        return self

    def __getattr__(self, name: str) -> Any:
        if name.endswith("_") and not name.startswith("_"):
            raise NotFittedError(f"{self.name}: not fitted, {name} is missing; call fit(val) first")
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")


def _fields(cls: type) -> list[dataclasses.Field[Any]]:
    if not dataclasses.is_dataclass(cls):
        return []
    return [f for f in dataclasses.fields(cls) if f.init and f.name not in CONTRACT]


def _canonical(field: dataclasses.Field[Any], value: Any) -> Any:
    """Write 2 as 2.0 where a float is meant, so that equal parameters have one text."""
    is_float = re.search(r"\bfloat\b", str(field.type)) is not None and not re.search(r"\bint\b", str(field.type))
    return float(value) if is_float and isinstance(value, int) and not isinstance(value, bool) else value


CONTRACT = frozenset(
    {"name", "needs", "savable", "exempt", "prompts", "group", "bounds", "threshold", "order", "grid"}
    | {"calibration_folds"}
)
"""What a component declares about itself; no hyper-parameters even where someone annotates them as fields."""


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default

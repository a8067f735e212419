"""The text after `--model`: `NAME[:ARGUMENT][:key=value ...]`, parsed and looked up before anything heavy is loaded."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ood_toolkit.api.model import Model, ModelEntry
from ood_toolkit.api.spec import format_value, nearest, unquote
from ood_toolkit.errors import ModelError

if TYPE_CHECKING:
    from ood_toolkit.api.registry import Registry

__all__ = ["Choice", "Request", "canonical", "find_model", "parse"]

OPEN_CLIP = "open_clip"
"""The family that `ARCH/TAG` and `ARCH/PATH` belong to."""
PRECISIONS = ("fp32", "bf16", "fp16")
DEFAULTS: Mapping[str, str] = {"precision": "fp32"}
OPTION = re.compile(r"\s*([A-Za-z_]\w*)\s*=(.*)", re.DOTALL)
TOKEN = re.compile(r"""(?:'[^']*'|"[^"]*"|[^:'"])*""")


@dataclass(frozen=True)
class Request:
    """A parsed model name: the entry, its argument and its options, values still as text."""

    entry_name: str
    argument: str
    options: Mapping[str, str]


@dataclass(frozen=True)
class Choice:
    """A model that was looked up and not loaded yet."""

    name: str
    """Canonical text: options sorted, defaults left out."""
    entry: ModelEntry
    argument: str
    options: Mapping[str, Any]

    def check(self) -> None:
        """Raise `ModelError` where loading needs a download nobody asked for, or must fail; imports nothing heavy."""
        if self.entry.check is not None:
            self.entry.check(*self._arguments, **self.options)

    def load(self) -> Model:
        """Check, then load the model, in eval mode on the CPU."""
        self.check()
        model = self.entry.load(*self._arguments, **self.options)
        model.name = self.name
        return model

    def files(self) -> list[str] | None:
        """Name the files that decide what `load` gives, the weights first; None where that is not known."""
        found = None if self.entry.files is None else self.entry.files(*self._arguments, **self.options)
        return None if found is None else [os.fspath(file) for file in found]

    @property
    def _arguments(self) -> tuple[str, ...]:
        return (self.argument,) if self.entry.argument else ()


def parse(text: str) -> Request:
    """Parse a model name; `ModelError` says what is wrong.

    What has a slash before the first colon is an open_clip architecture with a tag or a file. An argument may hold
    colons; an option's value that does stands in quotes.
    """
    first, *rest = _split(text)
    options: dict[str, str] = {}
    while rest and (found := OPTION.fullmatch(rest[-1])):
        key, value = found[1], unquote(found[2].strip())
        if key in options:
            raise ModelError(f"--model {text!r}: {key} is given twice")
        options[key] = value
        rest.pop()
    if loose := next((part for part in rest if OPTION.fullmatch(part)), None):
        raise ModelError(
            f"--model {text!r}: expected key=value after {loose!r}, got {rest[-1]!r}; put text with colons in quotes"
        )
    options = dict(sorted(options.items()))
    if "/" in first:
        architecture, _, source = ":".join([first, *rest]).partition("/")
        return Request(OPEN_CLIP, f"{architecture}/{unquote(source)}", options)
    return Request(unquote(first.strip()), unquote(":".join(rest).strip()), options)


def find_model(text: str, registry: Registry, **defaults: Any) -> Choice:
    """Look a model name up; `defaults` are options given elsewhere, such as `download=True` or `precision="bf16"`.

    `text` is what stands after `--model`, `registry` what `get_registry` gives. An option in the text wins over a
    default; defaults that are None or False count as not given. Gives what `load()` makes a model of. Raises
    `ModelError` for an unknown name or option, and for one without its argument.
    """
    request = _as_family(text, parse(text), registry)
    entry: ModelEntry = registry.get("models", request.entry_name)
    if entry.argument and not request.argument:
        raise ModelError(f"--model {text!r}: expected {entry.name}:{entry.argument}")
    if request.argument and not entry.argument:
        raise ModelError(f"--model {text!r}: {entry.name} is one model and takes no argument, got {request.argument!r}")
    options: dict[str, Any] = dict(request.options)
    known = [name for name in entry.options if name != "download"]
    for key in options:
        if key == "download":
            raise ModelError(f"--model {text!r}: download is no part of a model's name; pass --download")
        if key not in known and options[key] != DEFAULTS.get(key):
            raise ModelError(f"{entry.name}: unknown option {key!r}; {nearest(key, known)}")
    for key, value in defaults.items():
        if value is None or value is False or key in options:
            continue
        if key in entry.options:
            options[key] = value
        elif key != "download" and value != DEFAULTS.get(key):
            raise ModelError(f"{entry.name}: has no {key}, so {value!r} cannot be had; leave it out")
    options = {key: value for key, value in options.items() if value != DEFAULTS.get(key)}
    if options.get("precision", "fp32") not in PRECISIONS:
        raise ModelError(f"precision: expected {', '.join(PRECISIONS)}, got {options['precision']!r}")
    return Choice(canonical(entry.name, request.argument, options), entry, request.argument, options)


def canonical(entry_name: str, argument: str = "", options: Mapping[str, Any] | None = None) -> str:
    """Write a model name so that it parses back: options sorted, defaults and `download` left out."""
    options = dict(options or {})
    if entry_name == OPEN_CLIP:
        architecture, _, source = argument.partition("/")
        source = source or str(options.pop("weights", ""))
        start = f"{architecture}/{_quoted(source)}" if source else architecture
    else:
        start = f"{entry_name}:{_quoted(argument)}" if argument else entry_name
    kept = {k: v for k, v in sorted(options.items()) if k != "download" and str(v) != DEFAULTS.get(k)}
    return ":".join([start, *(f"{key}={_quoted(str(value))}" for key, value in kept.items())])


def _as_family(text: str, request: Request, registry: Registry) -> Request:
    """Take a bare architecture such as `ViT-B-32:weights=PATH` as one of the family open_clip."""
    name = request.entry_name
    if name in registry.names("models") or name in registry.disabled("models"):
        return request
    from ood_toolkit.models.pretrained import architectures

    if name in architectures():
        if request.argument:
            raise ModelError(f"--model {text!r}: did you mean {name}/{request.argument}?")
        return Request(OPEN_CLIP, name, request.options)
    known = [*registry.names("models"), *architectures()]
    close = nearest(name, known)
    hint = close if close.startswith("did") else f"known: {', '.join(registry.names('models'))}, or ARCH/TAG"
    raise ModelError(f"unknown model {name!r}; {hint}")


def _split(text: str) -> list[str]:
    """Split at the colons outside quotes; the quotes stay."""
    parts, place = [], 0
    while True:
        found = TOKEN.match(text, place)
        assert found is not None  # the pattern matches the empty text
        parts.append(found[0])
        place = found.end()
        if place == len(text):
            return parts
        if text[place] != ":":
            raise ModelError(f"--model {text!r}: a quote is not closed")
        place += 1


def _quoted(text: str) -> str:
    """Put a text in quotes where it would not parse back without them."""
    return format_value(text) if re.search("[:='\"\\s]", text) else text

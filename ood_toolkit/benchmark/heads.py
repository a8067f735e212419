"""The head of an ID set: of its own prompts, a scorer's or the user's, with the banks of further texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ood_toolkit.api.prompts import WORDNET, Prompts, TextBank
from ood_toolkit.benchmark.reading import OWN
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.encode.sets import Sets
from ood_toolkit.errors import DataError
from ood_toolkit.models.bank_files import holds_arrays, read_bank
from ood_toolkit.outputs.class_names import ClassNames, first_few
from ood_toolkit.outputs.head import Head
from ood_toolkit.store.head_file import read_head

__all__ = ["head_for", "head_of_prompts", "templates_of"]


def head_for(settings: Settings, sets: Sets, name: str) -> Head | None:
    """Make the head of an ID set under the prompts of a settings, or read the trained one that they name."""
    if name in settings.trained:
        return _trained(settings, sets, name)
    if settings.prompts and not sets.has_text_tower():
        raise DataError(
            f"--prompts: model {sets.label!r} has no text tower here; its texts were imported or its "
            "prompt is learned (context=)"
        )
    option = "--negatives" if settings.negatives not in ("", WORDNET) else "--texts" if _given_words(settings) else ""
    if option and not sets.encodes_words():
        raise DataError(
            f"{option}: model {sets.label!r} has no text tower here to encode words with; import embeddings of them "
            "with oodkit import --texts, or give their embeddings with --texts BANK=FILE.npz"
        )
    return _given_banks(settings, sets.head(name, _prompts(settings, sets, name)))


def templates_of(settings: Settings, sets: Sets, name: str) -> tuple[str, ...]:
    """Give the templates of an ID set's head; none of a trained one."""
    if name in settings.trained:
        return ()
    if not settings.prompts:
        return sets.default_templates(name)
    own = sets.templates(name)
    return tuple(dict.fromkeys(t for given in settings.prompts for t in (own if given == OWN else (given,))))


def _trained(settings: Settings, sets: Sets, name: str) -> Head:
    """Read the trained head of an ID set; `DataError` where it is of another encoder or lacks a class of the set."""
    file = settings.trained[name]
    saved = read_head(file)
    _check_encoder(file, dict(saved.encoder), sets.origin())
    among = ClassNames(saved.head.class_names)
    lacking = [one for one in sets.classes(name) if among.place(one, file) < 0]
    if lacking:
        raise DataError(
            f"--head: {file} has no class {lacking[0]!r} of {name}; it was trained on {saved.head.classes} classes "
            f"({first_few(saved.head.class_names, write=str)})"
        )
    if settings.texts:
        raise DataError(f"--texts {next(iter(settings.texts))}: goes with a head of text embeddings, not with --head")
    sets.take_trained(saved.head)
    return saved.head


def _check_encoder(file: str, trained: dict[str, Any], here: dict[str, Any]) -> None:
    """Refuse a head that was trained on what another encoder gives; names alone do not matter where weights are known.

    Precision is left out: it rounds features, and does not make others of them.
    """
    keys = ("weights", "architecture", "preprocessing") if "weights" in trained or "weights" in here else ("model",)
    apart = next((key for key in keys if trained.get(key) != here.get(key)), None)
    if apart is not None:
        what = "preprocessing" if apart == "preprocessing" else "encoder"
        raise DataError(
            f"--head: {file} was trained on features of {trained.get('model')!r}, but these are of "
            f"{here.get('model')!r}, another {what}; train a head for it with oodkit train head"
        )


def _prompts(settings: Settings, sets: Sets, name: str) -> Prompts | None:
    """Say how the head of an ID set is made where its own first template is not all there is to it."""
    words = _given_words(settings)
    if not sets.encodes_words() or not (settings.prompts or settings.views or words):
        return None
    return Prompts(templates_of(settings, sets, name), settings.text_recipe, settings.views, banks=words)


def head_of_prompts(settings: Settings, sets: Sets, name: str) -> Callable[[Prompts], Head]:
    """Give what makes the head of an ID set under a scorer's own prompts, as far as the settings leave them."""

    def make(prompts: Prompts) -> Head:
        wanted = replace(prompts, banks=_banks(settings, prompts.banks))
        if settings.prompts:
            wanted = replace(
                wanted, templates=templates_of(settings, sets, name), recipe=settings.text_recipe, views=settings.views
            )
        head = _given_banks(settings, sets.head(name, wanted))
        if head is None:
            raise DataError(f"{name}: there is no text tower to encode prompts with")
        return head

    return make


def _banks(settings: Settings, declared: Sequence[TextBank]) -> tuple[TextBank, ...]:
    """Give the banks of texts that a score declares their sources; what the user gives takes their place."""
    banks = {}
    for bank in declared:
        if bank.name not in settings.texts:
            source = settings.negatives if bank.source == WORDNET else bank.source
            banks[bank.name] = replace(bank, source=source)
        elif not holds_arrays(settings.texts[bank.name]):
            banks[bank.name] = replace(bank, source=settings.texts[bank.name], mining=None)
    return (*banks.values(), *(bank for bank in _given_words(settings) if bank.name not in banks))


def _given_words(settings: Settings) -> tuple[TextBank, ...]:
    """Make a bank of each file of texts that the user gives."""
    return tuple(TextBank(bank, file) for bank, file in settings.texts.items() if not holds_arrays(file))


def _given_banks(settings: Settings, head: Head | None) -> Head | None:
    """Add the embeddings of further texts that the user gives in files."""
    files = {name: file for name, file in settings.texts.items() if holds_arrays(file)}
    if not files:
        return head
    if head is None or head.kind != "zero_shot":
        raise DataError(f"--texts {next(iter(files))}: goes with a head of text embeddings; this model has none")
    return head.with_banks({name: read_bank(file, head.width, head.class_names, name) for name, file in files.items()})

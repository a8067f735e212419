"""Banks of further texts beside the classes: words to negatives, mined and remembered; shuffled prompts."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from ood_toolkit.api.model import Model
from ood_toolkit.api.prompts import WORDNET, Mining, Prompts, Recipe, TextBank
from ood_toolkit.data.words import Words, conjugated, read_words, wordnet_words
from ood_toolkit.encode.mining import both_ends, class_similarity, mine_by_kind
from ood_toolkit.encode.texts import Asked, class_texts
from ood_toolkit.outputs.head import Bank, Head
from ood_toolkit.store.negatives import Negatives

__all__ = ["furnished", "mined"]

LIST = 10_000
"""Words of a list up to which it is kept beside what was mined of it: whether too much was left out can then be told.
Papers keep a share of 70,000."""
WORDS_PER_ENTRY = 2048
"""Words that are kept in the store together: what a killed run loses at most."""
Told = Callable[[int, int], None]


def furnished(
    model: Model, head: Head, prompts: Prompts, store: Path | None, told: Told = lambda done, of: None
) -> Head:
    """Add the banks of texts that prompts declare to the head that is made of them; those without a source stay out."""
    classes = Bank(head.weight, head.class_names)
    banks = {
        wanted.name: text_bank(model, wanted, classes, prompts, store, told)
        for wanted in prompts.banks
        if wanted.source
    }
    if prompts.shuffles:
        banks["shuffled"] = shuffled_bank(model, head.class_names, prompts, store)
    return head.with_banks(banks) if banks else head


def text_bank(
    model: Model, wanted: TextBank, classes: Bank, prompts: Prompts, store: Path | None, told: Told = lambda d, of: None
) -> Bank:
    """Encode the words of a bank, and mine them where that is wanted; `classes` are the texts of the classes."""
    words = _words(wanted)
    adjectives = conjugated(words.adjectives, prompts.seed) if wanted.conjugated else words.adjectives
    nouns, total = words.nouns, len(words)
    templates = wanted.templates or prompts.templates
    of_nouns = Prompts(templates, prompts.recipe)
    of_adjectives = Prompts(wanted.adjectives or templates, prompts.recipe)
    first, cut = _encoded(model, nouns, of_nouns, store, lambda done: told(done, total))
    second, more = _encoded(model, adjectives, of_adjectives, store, lambda done: told(len(nouns) + done, total))
    rows, cut = torch.cat([part for part in (first, second) if len(part)]), cut + more
    said = (
        f"{cut:,} of the {total:,} texts of {wanted.name} are longer than the text tower takes and are cut"
        if cut
        else ""
    )
    about = {"model": model.name, "words": str(wanted.source), "templates": list(templates), "recipe": prompts.recipe}
    bank = Bank(rows, (*nouns, *adjectives), said, len(nouns), about)
    if wanted.mining is None:
        return bank
    kept = mined(bank, len(nouns), classes, wanted.mining, store, about)
    return kept if wanted.kept_as is None else _encoded_as(model, kept, wanted.kept_as, prompts.recipe, store)


def _encoded_as(model: Model, kept: Bank, templates: tuple[str, str], recipe: Recipe, store: Path | None) -> Bank:
    """Encode the less similar half of mined words under one template, and the other half under another."""
    words = kept.texts or ()
    halves = (words[: len(words) // 2], words[len(words) // 2 :])
    parts = [
        _encoded(model, half, Prompts((template,), recipe), store, lambda done: None)[0]
        for half, template in zip(halves, templates, strict=True)
        if half
    ]
    return Bank(torch.cat(parts), kept.texts, kept.source, about=kept.about)


def mined(
    candidates: Bank, nouns: int, classes: Bank, mining: Mining, store: Path | None, about: Mapping[str, object]
) -> Bank:
    """Keep the candidates least similar to the class texts; the first `nouns` rows and the rest are mined apart.

    With a store, the list is remembered there under the hash of what it was made of.
    """
    rows, texts = candidates.rows, classes.rows.to(candidates.rows)
    if mining.ends:
        return _mined_at_both_ends(candidates, texts, classes.texts or (), mining, store, about)
    count = None if mining.count is None else min(mining.count, len(rows))
    rules = (mining.quantile, mining.exclude_above)
    kept = mine_by_kind(rows[:nouns], rows[nouns:], texts, mining.share, *rules, count=count)
    words = None if candidates.texts is None else tuple(candidates.texts[place] for place in kept.tolist())
    source = f"{len(kept):,} negatives, mined from {len(rows):,} words"
    if store is not None and words is not None:
        similarity = class_similarity(rows[kept], texts, *rules, between=count is None)
        key = Negatives(store).write(
            {
                **about,
                "classes": list(classes.texts or ()),
                "candidates": len(rows),
                **({"share": mining.share} if count is None else {"count": count}),
                "quantile": mining.quantile,
                "exclude_above": mining.exclude_above,
            },
            words,
            similarity.tolist(),
        )
        source += f" (oodkit negatives {key[:8]})"
    said = "; ".join(filter(None, (source, candidates.source)))
    short = (rows, kept) if len(rows) <= LIST else (None, None)
    return Bank(rows[kept], words, said, None, about, *short)


def _mined_at_both_ends(
    candidates: Bank, texts: Tensor, names: Sequence[str], mining: Mining, store: Path | None,
    about: Mapping[str, object],
) -> Bank:  # fmt: skip
    """Keep the candidates that are least, and those that are most, similar to the class texts."""
    rows = candidates.rows
    kept, similarity = both_ends(rows, texts, mining.count or len(rows), mining.rank)
    words = None if candidates.texts is None else tuple(candidates.texts[place] for place in kept.tolist())
    source = f"{len(kept):,} negatives, mined from both ends of {len(rows):,} words"
    if store is not None and words is not None:
        rule = {"rule": "ends", "candidates": len(rows), "count": len(kept), "rank": mining.rank}
        key = Negatives(store).write({**about, "classes": list(names), **rule}, words, similarity.tolist())
        source += f" (oodkit negatives {key[:8]})"
    said = "; ".join(filter(None, (source, candidates.source)))
    return Bank(rows[kept], words, said, None, about, *((rows, kept) if len(rows) <= LIST else (None, None)))


def shuffled_bank(model: Model, class_names: Sequence[str], prompts: Prompts, store: Path | None) -> Bank:
    """Encode each class under its template with the words in another order, `prompts.shuffles` times: (p, k, d)."""
    draw = random.Random(prompts.seed)
    texts = []
    for place in range(prompts.shuffles):
        words = prompts.templates[place % len(prompts.templates)].split()
        for name in class_names:
            order = draw.sample(words, len(words))
            texts.append(" ".join(order).replace("{}", name))
    rows = class_texts(model, texts, Prompts(("{}",)), store)
    return Bank(rows.reshape(prompts.shuffles, len(class_names), -1), tuple(texts))


def _words(wanted: TextBank) -> Words:
    if wanted.source == WORDNET:
        return wordnet_words(wanted.without)
    if not isinstance(wanted.source, str):
        return Words.of(wanted.source, wanted.name)
    return read_words(wanted.source)


def _encoded(
    model: Model, words: Sequence[str], prompts: Prompts, store: Path | None, told: Callable[[int], None]
) -> tuple[Tensor, int]:
    """Embed words as unit rows (m, d), a part of them at a time so that a killed run goes on where it was.

    Also count those that the tokenizer cuts under any of the templates.
    """
    parts, count = [torch.empty(0)], 0
    for start in range(0, len(words), WORDS_PER_ENTRY):
        told(start)
        some = tuple(words[start : start + WORDS_PER_ENTRY])
        made = Asked(model, some, prompts).merged(store)
        parts.append(made.rows)
        count += len({place % len(some) for place in made.cut})
    return torch.cat(parts[1:]) if len(parts) > 1 else parts[0], count

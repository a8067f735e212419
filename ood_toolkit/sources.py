"""Named sets to `Outputs`: which model answers for them, which of their images are for what, under which head."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ood_toolkit.choosing import Find, Imported
from ood_toolkit.encode.cluster import encode_on_ray
from ood_toolkit.encode.images import encode_pictures
from ood_toolkit.encoded_sets import EncodedSets
from ood_toolkit.errors import DataError
from ood_toolkit.head import Head
from ood_toolkit.imported_sets import ImportedSets
from ood_toolkit.members import Member
from ood_toolkit.models.bank_files import read_bank
from ood_toolkit.models.names import Choice
from ood_toolkit.outputs import Outputs
from ood_toolkit.plans import Plan, drawn, of_known_classes, planned
from ood_toolkit.scorer import Prompts
from ood_toolkit.sets import Place, Sets
from ood_toolkit.store.imports import Imports
from ood_toolkit.wording import WORDNET, TextBank

__all__ = ["OWN", "Gathered", "Request", "gather", "head_for", "open_sets", "ready_scores"]

ARRAYS = (".npz", ".npy", ".safetensors", ".pt", ".pth", ".bin")
"""Endings of files with embeddings; any other file holds texts."""
OWN = "own"
"""Stands for all templates of the data set."""


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    ids: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """OOD sets by group; the group "" is unnamed."""
    prompts: tuple[str, ...] = ()
    """Templates in place of the set's first and the scorers' own; `own` stands for all of the set's."""
    recipe: Literal["normalise-sum-normalise", "mean-then-normalise"] = "normalise-sum-normalise"
    """How the embeddings of several templates become one."""
    views: bool = False
    """Whether heads carry the embeddings of each template too."""
    val_split: float | None = None
    """Share of the ID test for validation; None: the set's own validation, else 0.2; 0: none."""
    seed: int = 0
    limit: int | None = None
    """At most so many images of each set."""
    negatives: str = ""
    """Words that negative labels are mined from: `wordnet`, a file with one a line, or "" for none."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Files with further texts, or their embeddings, by the name of the bank that they become."""
    local: Prompts | None = None
    """Prompts that `extra:local` is taken under; None: those of the run."""
    csid: tuple[str, ...] = ()
    """Covariate-shifted ID sets, which are tested on as in-distribution beside the one ID set."""
    tune: tuple[str, ...] = ()
    """OOD sets that parameters are searched on: the validation split of each, its test split where it has none."""

    @property
    def ood(self) -> tuple[str, ...]:
        """All OOD sets, each once."""
        return tuple(dict.fromkeys(name for names in self.groups.values() for name in names))


@dataclass(frozen=True, eq=False)
class Gathered:
    """Everything that `bench` needs, from names."""

    members: dict[str, Member]
    groups: dict[str, tuple[str, ...]]
    about: dict[str, Any]
    tune: dict[str, Outputs] = field(default_factory=dict)


def open_sets(
    choice: Choice | Imported,
    find: Find,
    place: Place,
    kinds: Sequence[str] = (),
    wished: Sequence[str] = (),
    progress: Callable[[str, int, int], None] = lambda what, done, of: None,
) -> Sets:
    """Load the chosen model, or open the arrays that were imported under its label.

    `kinds` are encoded beside the features, and those `wished` that the model has.
    """
    if isinstance(choice, Imported):
        return ImportedSets(Imports(place.store), choice.label, place.effort.device)
    progress(f"loading {choice.name}", 0, 0)
    encoder = encode_on_ray if place.effort.engine == "ray" else encode_pictures
    model = choice.load()
    kept = dict.fromkeys([*kinds, *(kind for kind in wished if kind in model.kinds)])
    return EncodedSets(model, find, place, tuple(kept), progress, encoder)


def gather(request: Request, sets: Sets, *, with_train: bool) -> Gathered:
    """Open every set of a request under the head of each ID set."""
    sets.look_for((*request.ids, *request.ood, *request.csid))
    splits = {one: "val" if sets.has(one, "val", download=True) else "test" for one in request.tune}
    for one, split in splits.items():
        sets.look_for([one], split)
    heads = {name: head_for(request, sets, name) for name in request.ids}
    plans = {name: _plan(sets, name, head, request) for name, head in heads.items()}
    members, tune, notes = {}, dict[str, Outputs](), list[str]()
    for name, head in heads.items():
        make = _maker(request, sets, name)
        local = head if request.local is None or request.prompts or not sets.has_text_tower() else make(request.local)

        def chosen(part: str, other: str, head: Head | None = head, local: Head | None = local) -> Outputs:
            split, index = plans[other].parts[part]
            x = _with_ids(sets.outputs(other, split, head, local), other, split)
            return x if index is None else x[index]

        validated = all("val" in plan.parts for plan in plans.values())
        csid = {}
        for one in request.csid:
            shifted, left_out = of_known_classes(sets.shifted(one, name, head, local), one, name)
            csid[one] = _limited(_with_ids(shifted, one, "test"), request)
            notes += left_out
        train = with_train and sets.has(name, "train", download=True)
        members[name] = Member(
            val={other: chosen("val", other) for other in plans} if validated else None,
            tests={other: chosen("test", other) for other in plans},
            ood={ood: _limited(_with_ids(sets.ood(ood, head, local), ood, "test"), request) for ood in request.ood},
            train=_limited(_with_ids(sets.outputs(name, "train", head), name, "train"), request) if train else None,
            heads=make if head is not None and head.kind == "zero_shot" else None,
            reads_prompts=sets.has_text_tower(),
            csid=csid,
        )
        for one, split in splits.items():
            tune[one] = _limited(_with_ids(sets.ood(one, head, local, split), one, split), request)
    templates = {name: _templates(request, sets, name) for name in request.ids}
    about = {
        "model": sets.label,
        "weights": sets.fingerprint,
        "prompts": _said(list(dict.fromkeys(t for named in templates.values() for t in named))),
        "templates": templates,
        "recipe": request.recipe,
        "validation": {name: plan.where for name, plan in plans.items()},
        "val_split": request.val_split,
        "seed": request.seed,
        "limit": request.limit,
        "notes": [*_shared(request, sets), *notes, *_also_tested(request, sets, splits)],
        **({"tune_splits": splits} if splits else {}),
        **sets.about(),
    }
    return Gathered(members, {k: v for k, v in request.groups.items() if k}, about, tune)


def _plan(sets: Sets, name: str, head: Head | None, request: Request) -> Plan:
    x = sets.outputs(name, "test", head)
    own = request.val_split is None and sets.has(name, "val")
    val = sets.outputs(name, "val", head) if own else None
    return planned(sets, name, x, request.val_split, request.seed, request.limit, val)


def _shared(request: Request, sets: Sets) -> list[str]:
    """Say which other sets hold images of an ID set's test split, known by their bytes."""
    notes = []
    for name in request.ids:
        for other in (*request.ood, *request.csid):
            count, of = _copied(sets, (other, "test"), (name, "test"))
            if count:
                notes.append(f"{count:,} of the {of:,} images of {other} are also in {name}")
    return notes


def _also_tested(request: Request, sets: Sets, splits: Mapping[str, str]) -> list[str]:
    """Say which sets that parameters are searched on hold images that are tested on, known by their bytes."""
    notes = []
    for name, split in splits.items():
        for tested in (*request.ids, *request.ood, *request.csid):
            count, of = _copied(sets, (name, split), (tested, "test"))
            if count:
                notes.append(f"{count:,} of the {of:,} images of {name} that are tuned on are also in {tested}")
    return notes


def _copied(sets: Sets, some: tuple[str, str], others: tuple[str, str]) -> tuple[int, int]:
    """Count the images of a set's split that another holds too, and all of them; 0 where images are not known."""
    keys, known = sets.keys(*some), sets.keys(*others)
    if keys is None or known is None:
        return 0, 0
    here = {key.tobytes() for key in known}
    return sum(key.tobytes() in here for key in keys), len(keys)


def head_for(request: Request, sets: Sets, name: str) -> Head | None:
    """Make the head of an ID set under the prompts of a request."""
    if request.prompts and not sets.has_text_tower():
        raise DataError(
            f"--prompts: model {sets.label!r} has no text tower here; its texts were imported or its "
            "prompt is learned (context=)"
        )
    return _given_banks(request, sets.head(name, _prompts(request, sets, name)))


def _templates(request: Request, sets: Sets, name: str) -> tuple[str, ...]:
    """Give the templates of an ID set's head."""
    if not request.prompts:
        return sets.default_templates(name)
    own = sets.templates(name)
    return tuple(dict.fromkeys(t for given in request.prompts for t in (own if given == OWN else (given,))))


def _said(templates: Sequence[str]) -> str:
    shown = templates[:3] if len(templates) <= 3 else templates[:1]
    more = f" and {len(templates) - 1} more" if len(templates) > 3 else ""
    return "; ".join(f'"{template}"' for template in shown) + more


def _prompts(request: Request, sets: Sets, name: str) -> Prompts | None:
    """Say how the head of an ID set is made where its own first template is not all there is to it."""
    files = tuple(TextBank(bank, file) for bank, file in request.texts.items() if not holds_arrays(file))
    if not sets.has_text_tower() or not (request.prompts or request.views or files):
        return None
    return Prompts(_templates(request, sets, name), request.recipe, request.views, banks=files)


def ready_scores(sets: Sets, names: Iterable[str]) -> dict[str, dict[str, np.ndarray]] | None:
    """Give the arrays of sets of which only ready scores were imported, by name; None where none is such a set."""
    if not isinstance(sets, ImportedSets):
        return None
    found = {name: sets.arrays(name, "test") for name in names}
    with_scores = [name for name, arrays in found.items() if "scores" in arrays]
    if not with_scores:
        return None
    if len(with_scores) < len(found):
        other = next(name for name in found if name not in with_scores)
        raise DataError(f"{with_scores[0]} holds ready scores but {other} does not; import both the same way")
    return found


def _limited(x: Outputs, request: Request) -> Outputs:
    rows = drawn(len(x), request.limit, request.seed)
    return x if rows is None else x[rows]


def _with_ids(x: Outputs, name: str, split: str) -> Outputs:
    """Name nameless rows by their place, so that a row of the results says which image it was."""
    return x if x.ids is not None else x.named([f"{name}/{split}/{i}" for i in range(len(x))])


def _maker(request: Request, sets: Sets, name: str) -> Callable[[Prompts], Head]:
    """Give what makes the head of an ID set under a scorer's own prompts, as far as the request leaves them."""

    def make(prompts: Prompts) -> Head:
        wanted = replace(prompts, banks=_banks(request, prompts.banks))
        if request.prompts:
            wanted = replace(
                wanted, templates=_templates(request, sets, name), recipe=request.recipe, views=request.views
            )
        head = _given_banks(request, sets.head(name, wanted))
        if head is None:
            raise DataError(f"{name}: there is no text tower to encode prompts with")
        return head

    return make


def holds_arrays(file: str) -> bool:
    """Tell files with embeddings from files with texts, by their ending."""
    return Path(file).suffix in ARRAYS


def _banks(request: Request, declared: Sequence[TextBank]) -> tuple[TextBank, ...]:
    """Give the banks of texts that a score declares their sources; what the user gives takes their place."""
    banks = {}
    for bank in declared:
        if bank.name not in request.texts:
            source = request.negatives if bank.source == WORDNET else bank.source
            banks[bank.name] = replace(bank, source=source)
    for name, file in request.texts.items():
        if not holds_arrays(file):
            banks[name] = TextBank(name, file)
    return tuple(banks.values())


def _given_banks(request: Request, head: Head | None) -> Head | None:
    """Add the embeddings of further texts that the user gives in files."""
    files = {name: file for name, file in request.texts.items() if holds_arrays(file)}
    if not files:
        return head
    if head is None or head.kind != "zero_shot":
        raise DataError(f"--texts {next(iter(files))}: goes with a head of text embeddings; this model has none")
    return head.with_banks({name: read_bank(file, head.width, head.class_names, name) for name, file in files.items()})

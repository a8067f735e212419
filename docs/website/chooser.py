"""Which score for what one has: situations, told apart by what scorers declare, and tables of them with evidence."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import mean

from docstrings import as_markdown
from evidence import Measured

from ood_toolkit import Scorer, StreamScorer, get_registry
from ood_toolkit.report.leaderboard.demands import cost_of as cost_class

AnyScorer = Scorer | StreamScorer
MADE = "prompts"
"""A bank that every run has which is given several prompts."""
SPLITS = {"val", "val_labels"}
COSTS = {"logits": "logits only", "train": "training set"}
"""Cost classes that are written out."""
QUESTIONS = {"OOD images": "AUROC", "wrong predictions": "ID right"}
"""What a score may be asked for, with the column that measures it."""
DASH = "–"
TOGETHER = str.maketrans({" ": "\N{NO-BREAK SPACE}", DASH: "\N{NON-BREAKING HYPHEN}"})
"""What keeps figures of one score in one line."""
BEST = 3
"""How many scores a row of the decision table names."""
CHANCE = 50.0
"""AUROC in per cent below which, in any setting, a score is named in none."""


@dataclass(frozen=True)
class Situation:
    """What somebody has, and the scores that need just this."""

    title: str
    what: str
    """What one has, and what else holds for these scores."""
    fits: Callable[[AnyScorer], bool]
    """Whether a score is of this situation, where it is of none before it in `TESTED`."""
    also: tuple[Situation, ...] = ()
    """Situations whose scores apply here as well."""

    @property
    def slug(self) -> str:
        """The anchor of its section."""
        return "".join(sign for sign in self.title.lower() if sign.isalnum() or sign in "- ").replace(" ", "-")


def words(scorer: AnyScorer, kind: str) -> set[str]:
    """Give the names that follow a kind of need, as `negatives` in `text:negatives`."""
    return {need.partition(":")[2] for need in scorer.needs if need.startswith(f"{kind}:")}


def given_texts(scorer: AnyScorer) -> set[str]:
    """Name the banks of texts that no run makes by itself: they are written or learnt elsewhere."""
    prompts = scorer.prompts
    made = {MADE}
    if prompts is not None:
        made |= {bank.name for bank in prompts.banks if bank.source}
        made |= {name for name, wanted in (("shuffled", prompts.shuffles), ("noise", prompts.noise)) if wanted}
    return words(scorer, "text") - made


LOGITS = Situation(
    "Logits alone",
    "Any classifier, and nothing of it but the logits, or CLIP's cosines times its scale.",
    lambda scorer: True,
)
VALIDATION = Situation(
    "Logits and ID validation images",
    "Logits of some hundred further ID images: thresholds for each class, and scores that learn from them.",
    lambda scorer: bool(scorer.needs & SPLITS),
    (LOGITS,),
)
CLIP = Situation(
    "CLIP without training data",
    "Embeddings of images and of the class names, as vectors or from a model.",
    lambda scorer: "zero_shot" in scorer.needs,
    (LOGITS,),
)
TEXTS = Situation(
    "CLIP with its text tower",
    "No training data either, but a model that embeds texts: the run makes further texts by itself, negative labels, "
    "other orders of the words, an empty prompt.",
    lambda scorer: bool(words(scorer, "text")),
    (CLIP, LOGITS),
)
GIVEN = Situation(
    "CLIP with texts of your own, or with few labelled images",
    "Texts that were written for the task, by you or a language model, or that were learnt from few images of each "
    "class, or a second text tower that was taught to say no. They are given with `--texts`, with the head, or are in "
    "the model. [Learning a prompt](training-prompts.md) and [teaching a no](training-clipn.md) make some.",
    lambda scorer: bool(given_texts(scorer)),
    (TEXTS, CLIP, LOGITS),
)
PATCHES = Situation(
    "CLIP with its patches",
    "A ViT whose patch embeddings can be compared with the class names: `--keep local`.",
    lambda scorer: bool(words(scorer, "extra")),
    (CLIP, LOGITS),
)
STREAM = Situation(
    "A stream of images",
    "CLIP with its text tower, and images that come one after the other, ID and OOD mixed: these scores adapt to what "
    "they have seen of it. Their scores hold for that stream alone, and no threshold is calibrated.",
    lambda scorer: isinstance(scorer, StreamScorer),
    (TEXTS, CLIP, LOGITS),
)
FEATURES = Situation(
    "Features and the head of a classifier",
    "What enters the last layer of any classifier, with that layer's weights.",
    lambda scorer: bool(scorer.needs & {"features", "head", "linear_head"}),
    (LOGITS,),
)
RELU = Situation(
    "Features after a ReLU, and the head",
    "The same of a network whose features are never negative, as a ResNet's: CLIP's are signed and are refused.",
    lambda scorer: "nonnegative_features" in scorer.needs,
    (FEATURES, LOGITS),
)
TRAINING = Situation(
    "Training images",
    "Features of images that the model was trained on, or of some thousand ID ones; labels are not needed.",
    lambda scorer: "train" in scorer.needs,
    (FEATURES, LOGITS),
)
LABELLED = Situation(
    "Training images with labels",
    "Features of labelled in-distribution images.",
    lambda scorer: "train_labels" in scorer.needs,
    (TRAINING, FEATURES, LOGITS),
)
SHOWN = (LOGITS, VALIDATION, CLIP, TEXTS, GIVEN, PATCHES, STREAM, FEATURES, RELU, TRAINING, LABELLED)
"""In the order of the page."""
TESTED = (STREAM, GIVEN, TEXTS, PATCHES, LABELLED, TRAINING, RELU, CLIP, FEATURES, VALIDATION, LOGITS)
"""The first that fits is that of a scorer."""


def situation_of(scorer: AnyScorer) -> Situation:
    """Give the situation that a scorer is for."""
    return next(one for one in TESTED if one.fits(scorer))


def cost_of(scorer: AnyScorer) -> str:
    """Name the cost class that leaderboards give a scorer too: the dearest of what must be at hand, and no seconds."""
    return COSTS.get(name := cost_class(scorer.needs), name)


def scorers_by_situation() -> dict[Situation, list[AnyScorer]]:
    """Sort the registered scorers by situation; one that cannot be made without parameters has no place."""
    registry = get_registry()
    found: dict[Situation, list[AnyScorer]] = {situation: [] for situation in SHOWN}
    for name in registry.names("scorers"):
        made = registry.scorer(name)
        found[situation_of(made)].append(made)
    return {situation: scorers for situation, scorers in found.items() if scorers}


@dataclass(frozen=True)
class Measurements:
    """What was measured of each scorer at its defaults, by setting."""

    rows: dict[str, dict[str, Measured]]

    @classmethod
    def of(cls, measured: Iterable[Measured]) -> Measurements:
        """Sort rows by scorer; the first of a scorer and setting counts."""
        rows: dict[str, dict[str, Measured]] = {}
        for row in measured:
            if row.scorer == row.name:
                rows.setdefault(row.name, {}).setdefault(row.setting, row)
        return cls(rows)

    @property
    def settings(self) -> list[str]:
        """Every setting, as first named."""
        return list(dict.fromkeys(setting for found in self.rows.values() for setting in found))

    @property
    def titles(self) -> list[str]:
        """The settings in words: a model on an ID set."""
        return [setting.replace(", ", " on ") for setting in self.settings]

    def values(self, name: str, column: str) -> dict[str, float]:
        """Give a column of a scorer by setting, those that have it."""
        found = {setting: row.value(column) for setting, row in self.rows.get(name, {}).items()}
        return {setting: value for setting, value in found.items() if value is not None}

    def order(self, name: str, column: str = "AUROC") -> tuple[int, float]:
        """Give what puts first what was measured in most settings, and of these the largest mean."""
        values = self.values(name, column).values()
        return -len(values), -mean(values or [0.0])

    def cells(self, name: str, column: str, digits: int) -> list[str]:
        """Write a column of a scorer in each setting."""
        values = self.values(name, column)
        return [f"{values[one]:.{digits}f}" if one in values else DASH for one in self.settings]


def decision_tables(measured: Iterable[Measured]) -> str:
    """Write the decision table, and below it the table of each situation, the best measured first."""
    known, found = Measurements.of(measured), scorers_by_situation()
    heads = ["you have", "cost", "best against OOD", "best against wrong predictions"]
    overview = [_row(heads), "|---" * len(heads) + "|", *(_overview(one, all_, known) for one, all_ in found.items())]
    order = f"AUROC in per cent by model and ID set, in the order {' / '.join(known.titles)}."
    return "\n\n".join([order, "\n".join(overview), *(_section(one, all_, known) for one, all_ in found.items())])


def _overview(situation: Situation, scorers: list[AnyScorer], known: Measurements) -> str:
    names = [one.name for one in scorers]
    costs = ", ".join(dict.fromkeys(map(cost_of, scorers)))
    best = _best(names, known, "AUROC", BEST), _best(names, known, "ID right", 1)
    return _row([f"[{situation.title}](#{situation.slug})", costs, *best])


def _ranked(names: list[str], known: Measurements, column: str) -> list[str]:
    """Give the scorers that a column was measured of and that nowhere came below chance, the best first."""
    fit = [name for name in names if min(known.values(name, column).values(), default=0.0) >= CHANCE]
    return sorted(fit, key=lambda one: known.order(one, column))


def _best(names: list[str], known: Measurements, column: str, count: int) -> str:
    """Name the scorers that come first in a column, with their values in each setting."""
    figures = {
        one: " / ".join(known.cells(one, column, 1)).translate(TOGETHER)
        for one in _ranked(names, known, column)[:count]
    }
    return "<br>".join(f"{link(one)} {values}" for one, values in figures.items()) or DASH


def _section(situation: Situation, scorers: list[AnyScorer], known: Measurements) -> str:
    also = ", ".join(f"[{one.title}](#{one.slug})" for one in situation.also)
    common = frozenset.intersection(*(frozenset(one.needs) for one in scorers))
    further = {one.name: _listed(one.needs - common) for one in scorers}
    differ = any(further.values())
    heads = ["score", "what it is", *(["needs also"] if differ else []), *(f"AUROC: {one}" for one in known.titles)]
    figures = len(known.settings)
    rows = [_row(heads), "|---" * (len(heads) - figures) + "|--:" * figures + "|"]
    for one in sorted(scorers, key=lambda one: known.order(one.name)):
        needs = [further[one.name]] if differ else []
        cells = known.cells(one.name, "AUROC", 2)
        rows.append(_row([link(one.name), as_markdown(first_sentence(one)), *needs, *cells]))
    told = f"Needs: {_listed(common)}." + (f" Scores that need less apply, too: {also}." if also else "")
    told += _best_measured([one.name for one in scorers], known)
    return "\n\n".join([f"## {situation.title}", situation.what, told, "\n".join(rows)])


def _best_measured(names: list[str], known: Measurements) -> str:
    """Say which score of a section was measured best for each of the two questions, where any was measured."""
    ranked = {what: _ranked(names, known, column) for what, column in QUESTIONS.items()}
    told = [f"{link(found[0])} against {what}" for what, found in ranked.items() if found]
    return f" Measured best of these: {', '.join(told)}." if told else ""


def _listed(needs: Iterable[str]) -> str:
    return ", ".join(f"`{need}`" for need in sorted(needs))


def first_sentence(scorer: AnyScorer) -> str:
    """Give the first line of a scorer's docstring."""
    return (inspect.getdoc(type(scorer)) or "").partition("\n")[0]


def link(name: str) -> str:
    """Link a scorer to its lines in the reference of commands; on the site this leads to its page."""
    return f"[`{name}`](commands.md#{name})"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"

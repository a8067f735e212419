"""What methods claim beside what they do on real vectors and logits: writes the tables of docs/which-hold.md.

    python benchmarks/which_hold.py [--data FOLDER] [--check]

FOLDER holds the real data and is `$OODKIT_TEST_DATA` by default. Four settings: CLIP ViT-B/32 with CIFAR-10 as ID and
Food-101 as OOD and the other way round (there with 2,000 training images), and ResNet-20 and -56 on CIFAR-10 against
four OOD sets, where every other ID test image is for training, with its label, and of the rest 500 are for validation.
The same machine writes the same bytes. `--check` writes nothing and fails where the page would change.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import fmean

import click
import numpy as np

from ood_toolkit import Head, Outputs, Report, Scorer, StreamScorer, bench, get_registry, metrics

PAGE = Path(__file__).parents[1] / "docs" / "which-hold.md"
CLAIMS: Mapping[str, tuple[str, str]] = {
    "maxlogit": ("msp", "the largest logit is better than the softmax where classes are many or fine"),
    "energy": ("msp", "free energy separates better than the softmax confidence"),
    "weighted-energy": ("energy", "weights of the classes, learnt with synthesised outliers, better energy"),
    "odin": ("msp", "a temperature (and a perturbed input, left out here) better the softmax"),
    "entropy": ("msp", "the entropy of the softmax is better than its largest value"),
    "gen": ("energy", "a generalised entropy of the largest probabilities is better than other scores of logits"),
    "klm": ("msp", "distance to each class's typical softmax is better than its largest value"),
    "openmax": ("msp", "Weibull tails of distances to class means reject the unknown"),
    "temperature": ("msp", "calibration; of OOD nothing is claimed"),
    "doctor": ("msp", "the sum of squared probabilities finds misclassified images better than the largest one"),
    "mahalanobis": ("msp", "class-conditional Gaussians of features are better than the softmax"),
    "mahalanobis-pp": ("mahalanobis", "features of length one better Mahalanobis, most of all on large models"),
    "rmds": ("mahalanobis", "less the distance to one Gaussian of all classes, better near OOD"),
    "knn": ("mahalanobis", "nearest training features, without a distribution, are better than Gaussians"),
    "nnguide": ("energy", "neighbours guide energy where it is sure of what is far"),
    "relation": ("knn", "a kernel of features and predictions is better than neighbours alone"),
    "she": ("energy", "stored class patterns are better than energy"),
    "residual": ("msp", "the part of features outside the principal space is larger for OOD"),
    "vim": ("residual", "logits and residual together are better than either"),
    "nci": ("energy", "closeness to the class's weight vector, with the norm, is better than energy"),
    "fdbd": ("energy", "distance to the decision boundaries is better than energy"),
    "neco": ("energy", "the share of features in the principal space is better than energy"),
    "kpca-cop": ("knn", "kernel PCA's residual replaces nearest neighbours"),
    "kpca-corp": ("knn", "kernel PCA's residual with random features replaces nearest neighbours"),
    "caref": ("energy", "the relative distance to the predicted class's mean is better than energy"),
    "cadref": ("caref", "decoupling that distance by the sign of the weights betters it"),
    "ora": ("energy", "the largest angle to a boundary, seen from the mean of class means, is better than energy"),
    "pnml": ("msp", "the regret of a last layer learnt with the image is better than the softmax"),
    "react": ("energy", "clipped activations better energy"),
    "vra": ("energy", "clipped high and dropped low activations better energy"),
    "dice": ("energy", "the few largest weights better energy"),
    "ash-p": ("energy", "pruned activations better energy"),
    "ash-b": ("energy", "binarised activations better energy"),
    "ash-s": ("energy", "pruned and scaled activations better energy"),
    "scale": ("ash-s", "scaling without pruning is better than ASH-S"),
    "lts": ("energy", "a scale of the logits by the share of large activations betters energy"),
    "gradnorm": ("energy", "the gradient's norm is better than energy"),
    "mcm": ("maxlogit", "the softmax of cosines at temperature 1 is better than the largest cosine"),
    "variance": ("mcm", "a baseline in MCM's code; nothing is claimed"),
    "logitgap": ("mcm", "the gap from the largest logit to the next ones is better than MCM"),
    "logitgap-adaptive": ("logitgap", "the number of next ones, chosen on validation, betters it"),
    "concept-matching": ("mcm", "neutral concepts beside the classes better MCM"),
    "neglabel": ("mcm", "negative labels beside the classes better MCM"),
    "clipscope": ("neglabel", "the softmax confidence times the share of ID betters negative labels"),
    "clipscope-stream": ("clipscope", "the confidence weighted by how rare the class was so far betters it"),
    "adaneg": ("neglabel", "negatives adapted to the stream better negative labels"),
    "oodd": ("mcm", "the cosine with the strangest images of the stream so far, taken off, betters the score"),
    "cma": ("neglabel", "the logarithm of the ID part; with its training it is better than negative labels"),
}
"""What each method is compared with, and what its paper claims of it, in our words."""
NETWORKS = ("resnet20", "resnet56")
SETS = ("tiny_imagenet_val", "food101", "caltech101", "dtd10")
LISTS = ("coco80_a", "objects365_a", "openimages500_a", "imagenet1k_a", "lvis1203_a")
AMOUNTS = (30, 100, 300, 1000)
FEW = (3, 5)
SEEDS = range(5)


@dataclass(frozen=True)
class Setting:
    """Outputs of one model, ID and OOD."""

    name: str
    test: Outputs
    ood: Mapping[str, Outputs]
    val: Outputs
    train: Outputs | None = None

    def run(self, scorers: Sequence[Scorer | StreamScorer | str], seed: int = 0) -> Report:
        """Score all sets."""
        return bench(scorers, self.test, self.ood, self.val, self.train, seed=seed)

    def with_texts(self, texts: np.ndarray) -> Setting:
        """Give the same with these negative texts."""
        assert self.test.head is not None
        head = self.test.head.with_banks({"negatives": texts})
        ood = {name: x.with_head(head) for name, x in self.ood.items()}
        train = None if self.train is None else self.train.with_head(head)
        return Setting(self.name, self.test.with_head(head), ood, self.val.with_head(head), train)


def settings(data: Path) -> tuple[list[Setting], np.ndarray]:
    """Read the four settings, and all texts for negatives."""
    folder = data / "embeddings" / "openai_clip_vit_b32"

    def embedded(name: str) -> dict[str, np.ndarray]:
        with np.load(folder / f"{name}.npz", allow_pickle=False) as file:
            return {key: file[key] for key in ("embeddings", "labels", "classes") if key in file}

    cifar, food = embedded("image_cifar10_test500"), embedded("image_food101_10classes_test500")
    train = embedded("image_food101_10classes_train2000")
    texts = np.concatenate([embedded(f"text_{name}")["embeddings"] for name in LISTS])
    made = [
        _clip("CLIP, CIFAR-10", cifar, embedded("text_cifar10_a"), {"food101": food}, None),
        _clip("CLIP, Food-101", food, embedded("text_food10_a"), {"cifar10": cifar}, train),
    ]
    return [*made, *(_network(data / "logits" / "resnet_cifar10", name) for name in NETWORKS)], texts


def _clip(
    name: str,
    own: Mapping[str, np.ndarray],
    texts: Mapping[str, np.ndarray],
    others: Mapping[str, Mapping[str, np.ndarray]],
    train: Mapping[str, np.ndarray] | None,
) -> Setting:
    head = Head.zero_shot(texts["embeddings"], [str(one) for one in own["classes"]], 100.0)

    def of(held: Mapping[str, np.ndarray], rows: slice = slice(None), *, labelled: bool = True) -> Outputs:
        labels = held["labels"][rows] if labelled else None
        return Outputs.from_embeddings(held["embeddings"][rows].astype(np.float32), head, labels)

    ood = {key: of(one, labelled=False) for key, one in others.items()}
    val, test = slice(0, None, 5), np.arange(len(own["labels"])) % 5 > 0
    return Setting(name, of(own)[test], ood, of(own, val), None if train is None else of(train))


def _network(folder: Path, name: str) -> Setting:
    def read(part: str) -> dict[str, np.ndarray]:
        with np.load(folder / f"{name}_{part}.npz", allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    weights = read("head")
    classes = [str(one) for one in weights["classes"]]
    head = Head.linear(weights["weight"], weights["bias"], classes)
    own = read("cifar10_test")
    labels = np.array([classes.index(str(one)) for one in own["names"]])
    whole = Outputs(own["features"], labels=labels, head=head)
    other = np.arange(1, len(labels), 2)
    ood = {key: Outputs(read(key)["features"], head=head) for key in SETS}
    of_val = np.random.default_rng(0).permutation(len(other)) < 500
    return Setting(f"{name.replace('resnet', 'ResNet-')}", whole[other[~of_val]], ood, whole[other[of_val]], whole[::2])


def compared(made: Sequence[Setting]) -> Iterator[list[str]]:
    """Compare each method with the one that its paper betters, on the same images."""
    registry = get_registry()
    known = [name for name in CLAIMS if name in registry.names("scorers")]
    reports = [setting.run([*dict.fromkeys([*known, *(CLAIMS[name][0] for name in known)])]) for setting in made]
    yield ["method", "beside", "what its paper claims", *(setting.name for setting in made)]
    for name in known:
        beside, claim = CLAIMS[name]
        cells = [_difference(report, name, beside) for report in reports]
        if any(cells):
            yield [f"`{name}`", f"`{beside}`", claim, *(cell or "needs more" for cell in cells)]


def _difference(report: Report, name: str, beside: str) -> str:
    """Write the mean AUROC over the sets, the difference in points, and on how many sets it is beyond chance."""
    rows = {(row.scorer, row.ood): row for row in report.rows if row.kind == "ood" and row.status == "ok"}
    sets = [key.removeprefix("ood:") for _, key in report.answers if key.startswith("ood:")]
    if not all((one, ood) in rows for one in (name, beside) for ood in sets):
        return ""
    mean, other = (fmean(rows[one, ood].auroc for ood in sets) for one in (name, beside))
    tests = [metrics.delong_test(*_scores(report, name, ood), *_scores(report, beside, ood)) for ood in sets]
    better, worse = sum(test.low > 0 for test in tests), sum(test.high < 0 for test in tests)
    beyond = [f"{count} of {len(sets)} {word}" for count, word in ((better, "better"), (worse, "worse")) if count]
    said = ", ".join(beyond) if len(sets) > 1 else "better" if better else "worse" if worse else ""
    return f"{100 * mean:.1f} ({100 * (mean - other):+.1f}; {said or 'no difference'})"


def _scores(report: Report, spec: str, ood: str) -> tuple[np.ndarray, np.ndarray]:
    test, other = report.answers["id", "test"], report.answers["id", f"ood:{ood}"]
    return test.beside(ood, spec), other.beside(ood, spec)


def by_parameter(made: Sequence[Setting]) -> Iterator[list[str]]:
    """Give the least and the largest mean AUROC over the values that `--tune` searches."""
    yield ["method", "values tried", *(setting.name for setting in made)]
    registry = get_registry()
    for name in registry.names("scorers"):
        scorer = registry.scorer(name)
        if not isinstance(scorer, Scorer) or not scorer.grid:
            continue
        tried, listed = scorer.grid, _candidates(scorer)
        cells = [_range(setting, listed) for setting in made]
        if any(cells):
            values = "; ".join(f"{key} {', '.join(map(str, some))}" for key, some in tried.items())
            yield [f"`{name}`", values, *(cell or "needs more" for cell in cells)]


def _candidates(scorer: Scorer) -> list[Scorer]:
    """Give a scorer with its defaults, and after it with every combination of the values of its grid, each once."""
    found = {scorer.spec: scorer}
    for values in product(*scorer.grid.values()):
        chosen = dict(zip(scorer.grid, values, strict=True))
        made = type(scorer)(**{**scorer.parameters(), **chosen})
        found.setdefault(made.spec, made)
    return list(found.values())


def _range(setting: Setting, listed: Sequence[Scorer]) -> str:
    found = _means(setting.run(list(listed)))
    if listed[0].spec not in found:
        return ""
    return f"{100 * min(found.values()):.1f} to {100 * max(found.values()):.1f} ({100 * found[listed[0].spec]:.1f})"


def _means(report: Report) -> dict[str, float]:
    """Give the mean AUROC over the sets by spec, of those that ran on all."""
    found: dict[str, list[float]] = {}
    for row in report.rows:
        if row.kind == "ood" and row.status == "ok":
            found.setdefault(row.scorer, []).append(row.auroc)
    count = sum(key.startswith("ood:") for _, key in report.answers)
    return {spec: fmean(values) for spec, values in found.items() if len(values) == count}


def by_order(setting: Setting) -> Iterator[list[str]]:
    """Run scorers of streams in five orders, and with all ID images before all OOD images and after them."""
    yield ["method", "five shuffles", "ID first", "OOD first"]
    ((ood, other),) = setting.ood.items()
    registry = get_registry()
    for name in registry.names("scorers"):
        scorer = registry.scorer(name)
        if not isinstance(scorer, StreamScorer) or setting.test.lacking(frozenset(scorer.needs)):
            continue
        shuffled = [100 * metrics.auroc(*_scores(setting.run([scorer], seed), name, ood)) for seed in SEEDS]
        ends = []
        for parts in ((setting.test, other), (other, setting.test)):
            scores = np.split(_in_order(scorer, parts), [len(parts[0])])
            ends.append(100 * metrics.auroc(*(scores if parts[0] is setting.test else scores[::-1])))
        yield [f"`{name}`", f"{min(shuffled):.1f} to {max(shuffled):.1f}", *(f"{end:.1f}" for end in ends)]


def _in_order(scorer: StreamScorer, parts: Sequence[Outputs]) -> np.ndarray:
    """Score the images of one set after those of the other, batch by batch."""
    blind = [part.blind() for part in parts]
    batches = [part[start : start + scorer.batch] for part in blind for start in range(0, len(part), scorer.batch)]
    return scorer.run(iter(batches), 0).double().numpy()


def by_texts(made: Sequence[Setting], texts: np.ndarray) -> Iterator[list[str]]:
    """Give methods with negatives few texts, drawn at random, and all of them."""
    amounts = (*AMOUNTS, len(texts))
    yield ["method", "ID", *(f"{amount:,} texts" for amount in amounts)]
    order = np.random.default_rng(0).permutation(len(texts))
    registry = get_registry()
    names = [one for one in registry.names("scorers") if "text:negatives" in registry.scorer(one).needs]
    for setting in made:
        found = [_means(setting.with_texts(texts[order[:amount]]).run(names)) for amount in amounts]
        for name in names:
            if all(name in one for one in found):
                yield [f"`{name}`", setting.name, *(f"{100 * one[name]:.1f}" for one in found)]


def by_classes(setting: Setting) -> Iterator[list[str]]:
    """Keep few of the classes, drawn five times, with the images that are of them."""
    yield ["method", *(f"{count} classes" for count in FEW), "10 classes"]
    registry = get_registry()
    named = [one for one in CLAIMS if one in registry.names("scorers")]
    names = [one for one in ("msp", *named) if isinstance(registry.scorer(one), Scorer)]
    columns = [[_means(_of_classes(setting, count, seed).run(names)) for seed in SEEDS] for count in FEW]
    columns.append([_means(setting.run(names))])
    for name in names:
        if all(name in found for column in columns for found in column):
            yield [f"`{name}`", *(_spread([100 * found[name] for found in column]) for column in columns)]


def _spread(values: Sequence[float]) -> str:
    ends = f" ({min(values):.1f} to {max(values):.1f})" if len(values) > 1 else ""
    return f"{fmean(values):.1f}{ends}"


def _of_classes(setting: Setting, count: int, seed: int) -> Setting:
    """Keep some classes of a linear head, and of the ID images those that are of them."""
    head = setting.test.head
    assert head is not None
    kept = np.sort(np.random.default_rng(seed).permutation(head.classes)[:count])
    small = Head.linear(head.weight[kept], head.bias[kept], [head.class_names[place] for place in kept])

    def of(x: Outputs, *, own: bool = True) -> Outputs:
        if not own:
            return Outputs(x.features, head=small)
        labels = np.asarray(x.labels)
        rows = np.flatnonzero(np.isin(labels, kept))
        return Outputs(x.features[rows], labels=np.searchsorted(kept, labels[rows]), head=small)

    ood = {name: of(x, own=False) for name, x in setting.ood.items()}
    train = None if setting.train is None else of(setting.train)
    return Setting(setting.name, of(setting.test), ood, of(setting.val), train)


def table(lines: Iterator[list[str]]) -> str:
    """Write lines, the first of which is the head, as Markdown."""
    head, *rest = [list(line) for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rest))


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    envvar="OODKIT_TEST_DATA",
    required=True,
    help="Folder of the real data; by default $OODKIT_TEST_DATA.",
)
@click.option("--check", is_flag=True, help="Write nothing; fail where the page would change.")
def main(data: Path, check: bool) -> None:
    """Write the tables into the page."""
    made, texts = settings(data)
    clip = [setting.with_texts(texts) for setting in made[:2]]
    tables: dict[str, Callable[[], Iterator[list[str]]]] = {
        "claims": lambda: compared([*clip, *made[2:]]),
        "parameters": lambda: by_parameter([*clip, *made[2:]]),
        "order": lambda: by_order(clip[0]),
        "texts": lambda: by_texts(made[:2], texts),
        "classes": lambda: by_classes(made[3]),
    }
    page = PAGE.read_text()
    for name, make in tables.items():
        print(f"{name} ...", file=sys.stderr, flush=True)
        marked = re.compile(rf"(<!-- made: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not marked.search(page):
            raise SystemExit(f"{PAGE}: expected the marker <!-- made: {name} -->")
        written = table(make())
        page = marked.sub(lambda found, text=written: f"{found[1]}{text}\n{found[2]}", page)
    if check and page != PAGE.read_text():
        raise SystemExit(f"{PAGE} is not fresh; run python benchmarks/which_hold.py")
    if not check:
        PAGE.write_text(page)


if __name__ == "__main__":
    main()

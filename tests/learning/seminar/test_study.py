from dataclasses import replace

import numpy as np
import pytest
import torch

from ood_toolkit.errors import DataError
from ood_toolkit.learning.heads.recipe import RECIPES
from ood_toolkit.learning.heads.train import train_head
from ood_toolkit.learning.seminar.figures import published
from ood_toolkit.learning.seminar.study import study
from ood_toolkit.learning.seminar.subject import subject
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.classwise import ClasswiseEntropy

pytestmark = pytest.mark.quick

ROLES = tuple(part.role for part in published().sets)
RECIPE = replace(RECIPES["ust-etri"], epochs=3)


def outputs(place, count, seed):
    """Draw rows around three directions of one set's own, with some noise."""
    rng = np.random.default_rng((place, seed))
    labels = np.arange(count) % 3
    centres = np.random.default_rng(place).normal(size=(3, 16))
    rows = 3 * centres[labels] + rng.normal(size=(count, 16)) * 2.5
    return Outputs(
        rows.astype(np.float32),
        labels=labels,
        class_names=names(place),
        ids=[f"{place}/{seed}/{i}" for i in range(count)],
    )


def names(place):
    return tuple(f"{'abc'[place]}{i}" for i in range(3))


def cast(splits=("train", "val", "test")):
    made = []
    for place, role in enumerate(ROLES):
        texts = np.random.default_rng(place).normal(size=(3, 16)) + np.random.default_rng(50 + place).normal(
            size=(3, 16)
        )
        head = Head.zero_shot(texts, names(place), scale=10.0)
        held = {
            split: outputs(place, {"train": 120, "val": 90, "test": 75}[split], n) for n, split in enumerate(splits)
        }
        made.append(subject(role, f"set{place}", names(place), held, head if place < 2 else None, 0))
    return made


@pytest.fixture(scope="module")
def report():
    return study(cast(), published(), RECIPE, {"noise": outputs(0, 40, 9).without_labels()})


def thresholds_by_hand(confidence, prediction, classes):
    """The tpr rule of `classwise`, counted."""
    everything = np.sort(confidence)[::-1]
    overall = everything[(19 * len(everything) + 19) // 20 - 1]
    found = []
    for c in range(classes):
        mine = np.sort(confidence[prediction == c])[::-1]
        n = len(mine)
        own = mine[(19 * n + 19) // 20 - 1] if n else overall
        found.append(own if n >= 20 else (n * own + 20 * overall) / (n + 20))
    return np.array(found)


def told(head, rows):
    logits = rows.numpy().astype(np.float64) @ head.weight.numpy().T.astype(np.float64) + head.bias.numpy()
    probs = np.exp(logits - logits.max(1, keepdims=True))
    probs /= probs.sum(1, keepdims=True)
    return probs.max(1), probs.argmax(1)


def by_hand(subjects):
    """For each role: a function that gives confidence and "certain" for rows (n, d)."""
    made = {}
    for one in subjects:
        head = train_head(RECIPE, one.train, one.val, class_names=one.classes).head
        cuts = thresholds_by_hand(*told(head, one.val.features), 3)

        def decide(rows, head=head, cuts=cuts):
            confidence, prediction = told(head, rows)
            return confidence, confidence >= cuts[prediction] - 1e-9

        made[one.role] = decide
    return made


def test_detection_rates_are_those_of_a_plain_computation(report):
    subjects = cast()
    decide, sets = by_hand(subjects), {one.role: one for one in subjects}
    rows = [
        row for row in report.header["seminar"]["detection"] if row["thresholds"] == "class-wise" and row["ood_role"]
    ]
    assert len(rows) == 9
    for row in rows:
        ood = sets[row["ood_role"]].test.features
        parts = [decide[role](ood) for role in row["id_roles"]]
        chosen = np.argmax([confidence for confidence, _ in parts], axis=0)
        certain = np.stack([said for _, said in parts])[chosen, np.arange(len(ood))]
        assert row["uncertain"] == int((~certain).sum())
        assert row["rate"] == pytest.approx(100 * (~certain).mean())
        tests = [decide[role](sets[role].test.features) for role in row["id_roles"]]
        if len(tests) == 1:
            assert row["id_accepted"] == pytest.approx(100 * tests[0][1].mean())


def test_every_printed_rate_stands_beside_a_measured_one(report):
    rows = report.header["seminar"]["detection"]
    printed = [
        (tuple(row["id_roles"]), row["ood_role"], row["published"]) for row in rows if row["published"] is not None
    ]
    wanted = [(tuple(sorted(row.id, key=ROLES.index)), row.ood, row.rate) for row in published().detection]
    assert sorted(printed) == sorted(wanted)
    assert {row["thresholds"] for row in rows if len(row["id"]) == 1} == {"class-wise", "mean", "grid"}
    assert any(row["ood"] == "noise" and row["published"] is None for row in rows)


def test_uncertainty_of_zero_shot_entropy_is_that_of_a_plain_computation(report):
    subjects = {one.role: one for one in cast()}
    rows = report.header["seminar"]["uncertainty"]
    assert {(row["role"], row["task"], row["thresholds"]): row["published"] for row in rows} == {
        (row.role, row.task, kind): value for row in published().uncertainty for kind, value in row.values.items()
    }
    one = subjects["CIFAR-10"]
    for row in rows:
        if (row["role"], row["task"], row["thresholds"]) != ("CIFAR-10", "misclassified", "grid"):
            continue
        score = {part: minus_entropy(getattr(one, part), one.zero_shot) for part in ("val", "test")}
        right = {
            part: predicted(getattr(one, part), one.zero_shot) == getattr(one, part).labels.numpy() for part in score
        }
        grid = np.linspace(score["val"].min(), score["val"].max(), 101)
        merit = [
            ((score["val"] >= t)[right["val"]].mean() + (score["val"] < t)[~right["val"]].mean()) / 2 for t in grid
        ]
        uncertain, wrong = score["test"] < grid[int(np.argmax(np.round(merit, 12)))], ~right["test"]
        f1 = 2 * (uncertain & wrong).sum() / (uncertain.sum() + wrong.sum())
        assert row["f1"] == pytest.approx(f1)
        assert row["wrong"] == wrong.sum()


def test_the_mean_is_of_the_class_wise_thresholds_that_stand_above_it(report):
    one = cast()[0]
    val, x = one.under(one.zero_shot, "val"), one.under(one.zero_shot, "test")
    cut = ClasswiseEntropy(rule="f1").fit(val).threshold_.numpy().mean()
    uncertain, wrong = minus_entropy(x, one.zero_shot) < cut, ~x.right.numpy()
    rows = {(row["role"], row["task"], row["thresholds"]): row for row in report.header["seminar"]["uncertainty"]}
    row = rows["CIFAR-10", "misclassified", "mean"]
    assert row["f1"] == pytest.approx(2 * (uncertain & wrong).sum() / (uncertain.sum() + wrong.sum()))
    assert row["scorer"] == "mean:base=(entropy:normalised=true):rule=f1"


def softmax(x, head):
    rows = x.features.double().numpy()
    z = 10.0 * (rows / np.linalg.norm(rows, axis=1, keepdims=True)) @ head.weight.double().numpy().T
    p = np.exp(z - z.max(1, keepdims=True))
    return p / p.sum(1, keepdims=True)


def minus_entropy(x, head):
    p = softmax(x, head)
    return (p * np.log(p)).sum(1) / np.log(p.shape[1])


def predicted(x, head):
    return softmax(x, head).argmax(1)


def test_accuracy_stands_beside_the_printed_one(report):
    rows = report.header["seminar"]["accuracy"]
    assert [(row["role"], row["model"]) for row in rows] == [(r, m) for r in ROLES for m in ("zero-shot", "fine-tuned")]
    one = cast()[1]
    head = train_head(RECIPE, one.train, one.val, class_names=one.classes).head
    right = told(head, one.test.features)[1] == one.test.labels.numpy()
    assert rows[3]["measured_test"] == pytest.approx(100 * right.mean())
    assert rows[4]["measured_test"] is None  # the third has no class texts
    assert rows[3]["published_test"] == 88.34


def test_what_stands_behind_the_figures_is_said():
    subjects = cast()
    faultless = subjects[0].val.without_labels().features
    of = Outputs(faultless, labels=predicted(subjects[0].val, subjects[0].zero_shot), class_names=names(0))
    made = study([replace(subjects[0], val=of), *subjects[1:]], published(), RECIPE, about={"model": "m"},
                 notes=["rows are long"])  # fmt: skip
    held = made.header["seminar"]
    assert held["model"] == "m"
    assert "rows are long" in held["notes"]
    assert "set2: no class texts, so nothing zero-shot" in held["notes"]
    fell = "validation lacks right or wrong predictions; took the tpr threshold"
    assert f"set0, class-wise, mean, grid thresholds: {fell}" in held["notes"]
    assert not any(note.startswith("set1, ") for note in held["notes"])


@pytest.mark.parametrize("splits", [("train", "test"), ("test",)])
def test_what_a_set_lacks_is_drawn_and_never_tested_on(splits):
    whole = {split: outputs(0, 90, n) for n, split in enumerate(splits)}
    made = subject("CIFAR-10", "x", names(0), whole, None, 0)
    ids = [set(getattr(made, part).ids) for part in ("train", "val", "test")]
    assert sum(map(len, ids)) == sum(map(len, whole.values())) == len(set.union(*ids))
    if "train" in splits:
        assert ids[2] == set(whole["test"].ids)
    counts = torch.bincount(made.val.labels, minlength=3)
    assert counts.max() - counts.min() <= 1


def test_sets_that_share_a_class_are_refused():
    a, b, c = cast()
    twin = replace(c, classes=a.classes)
    with pytest.raises(DataError, match="set0 and set2 share the class 'a0'"):
        study([a, b, twin], published(), RECIPE)


def test_a_part_that_nobody_plays_is_refused():
    with pytest.raises(DataError, match="expected sets for CIFAR-10, Food-101, Caltech-256, got CIFAR-10, Food-101"):
        study(cast()[:2], published(), RECIPE)


def test_images_without_labels_cannot_be_learnt_from():
    x = outputs(0, 30, 0)
    with pytest.raises(DataError, match="x: expected labelled features of its test images"):
        subject("CIFAR-10", "x", names(0), {"test": x.without_labels()}, None, 0)
    with pytest.raises(DataError, match="too few images of a class to split"):
        subject("CIFAR-10", "x", names(0), {"test": x[:4]}, None, 0)

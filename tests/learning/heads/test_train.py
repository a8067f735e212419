"""Linear heads: against slow formulas, against the scorer that shares their thresholds, and on real vectors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ood_toolkit.errors import OutputsError, TrainingError
from ood_toolkit.learning.heads.recipe import RECIPES, HeadRecipe, find_recipe
from ood_toolkit.learning.heads.steps import TrainingRows
from ood_toolkit.learning.heads.train import train_head
from ood_toolkit.outputs import Outputs
from ood_toolkit.scorers.classwise import Classwise

NAMES = ("ant", "bee", "cat", "dog")


def drawn(n=240, d=12, seed=0, spread=1.1, length=3.0):
    """Draw features of classes that overlap, far from the origin as those of CLIP are."""
    centres = np.random.default_rng(99).normal(size=(len(NAMES), d))
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % len(NAMES))
    features = centres[labels] + spread * rng.normal(size=(n, d)) + length
    return Outputs(features.astype(np.float32), labels=labels, class_names=NAMES)


def unit(x):
    features = x.features.double()
    return (features / features.norm(dim=1, keepdim=True)).numpy()


def same(some, others):
    return all(
        torch.equal(getattr(some.head, name), getattr(others.head, name)) for name in ("weight", "bias")
    ) and np.array_equal(some.thresholds, others.thresholds)


# -- against slow formulas --------------------------------------------------------------------------------------------


@pytest.mark.quick
@pytest.mark.parametrize("given", ["embeddings", "features"])
def test_lbfgs_ends_where_the_gradient_of_the_regularised_loss_vanishes(given):
    """Written out in loops and float64: gradient of mean cross-entropy + decay / 2 |W|^2 with respect to W and b."""
    x, decay, scale = drawn(), 0.003, 2.0
    trained = train_head(HeadRecipe(input=given, scale=scale, weight_decay=decay), x, x)
    rows = scale * (unit(x) if given == "embeddings" else x.features.double().numpy())
    weight, bias = trained.head.weight.double().numpy() / scale, trained.head.bias.double().numpy()
    slope, offset = decay * weight, np.zeros(len(NAMES))
    for row, label in zip(rows, x.labels.tolist(), strict=True):
        logits = weight @ row + bias
        probability = np.exp(logits - logits.max())
        probability /= probability.sum()
        for c in range(len(NAMES)):
            error = (probability[c] - (c == label)) / len(rows)
            slope[c] += error * row
            offset[c] += error
    assert np.abs(slope).max() < 1e-5 * max(1.0, np.abs(rows).max())
    assert np.abs(offset).max() < 1e-5


def test_lbfgs_gives_the_weights_of_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    x, decay = drawn(), 0.01
    trained = train_head(HeadRecipe(weight_decay=decay), x, x)
    peer = LogisticRegression(C=1 / (len(x) * decay), tol=1e-10, max_iter=5000).fit(unit(x), x.labels.numpy())
    mine = trained.head.weight.double().numpy()
    assert mine == pytest.approx(peer.coef_, abs=2e-4)
    shown = peer.predict_proba(unit(x))
    assert x.with_head(trained.head).probs.numpy() == pytest.approx(shown, abs=1e-4)


def test_sgd_takes_the_steps_of_the_seminar():
    """Momentum 0.99, batches of 16, torch's first weights: repeated by hand in float64."""
    x = drawn(70)
    recipe = replace(RECIPES["ust-etri"], epochs=3, seed=5, scale=0.5)
    trained = train_head(recipe, x, x)
    torch.manual_seed(5)
    layer = torch.nn.Linear(12, 4)
    weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    rows, order = 0.5 * x.features.double().numpy(), torch.Generator().manual_seed(5)
    pace, pace_b = np.zeros_like(weight), np.zeros_like(bias)
    for _ in range(3):
        places = torch.randperm(70, generator=order).numpy()
        for start in range(0, 70, 16):
            batch = places[start : start + 16]
            logits = rows[batch] @ weight.T + bias
            probs = np.exp(logits - logits.max(axis=1, keepdims=True))
            probs /= probs.sum(axis=1, keepdims=True)
            error = (probs - np.eye(4)[x.labels.numpy()[batch]]) / len(batch)
            pace, pace_b = 0.99 * pace + error.T @ rows[batch], 0.99 * pace_b + error.sum(axis=0)
            weight, bias = weight - 0.001 * pace, bias - 0.001 * pace_b
    assert trained.head.weight.numpy() == pytest.approx(0.5 * weight, abs=1e-5)
    assert trained.head.bias.numpy() == pytest.approx(bias, abs=1e-5)
    assert not trained.head.unit_rows


def test_adamw_decays_decoupled_along_a_cosine():
    x = drawn(40)
    recipe = replace(RECIPES["adamw"], epochs=2, batch=40, weight_decay=0.3, patience=None, seed=1)
    trained = train_head(recipe, x, x)
    torch.manual_seed(1)
    layer = torch.nn.Linear(12, 4)
    parameters = [layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()]
    first, second = [np.zeros_like(p) for p in parameters], [np.zeros_like(p) for p in parameters]
    rows, truth = 20 * unit(x), np.eye(4)[x.labels.numpy()]
    for step in (1, 2):
        rate = 0.003 * (1 + np.cos(np.pi * (step - 1) / 2)) / 2
        logits = rows @ parameters[0].T + parameters[1]
        probs = np.exp(logits - logits.max(axis=1, keepdims=True))
        error = (probs / probs.sum(axis=1, keepdims=True) - truth) / 40
        for i, slope in enumerate((error.T @ rows, error.sum(axis=0))):
            first[i] = 0.9 * first[i] + 0.1 * slope
            second[i] = 0.999 * second[i] + 0.001 * slope**2
            move = first[i] / (1 - 0.9**step) / (np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8)
            parameters[i] = parameters[i] * (1 - rate * 0.3) - rate * move
    assert trained.head.weight.numpy() == pytest.approx(20 * parameters[0], abs=2e-4)


# -- thresholds and history -------------------------------------------------------------------------------------------


@pytest.mark.quick
@pytest.mark.parametrize("preset", ["default", "ust-etri"])
def test_the_last_thresholds_are_those_of_the_scorer_classwise(preset):
    train, val = drawn(), drawn(200, seed=1)
    trained = train_head(find_recipe(preset), train, val)
    fitted = Classwise().fit(val.with_head(trained.head))
    assert trained.thresholds.tolist() == fitted.threshold_.tolist()
    assert trained.thresholds is trained.history[-1].thresholds


def test_thresholds_begin_at_their_first_value_and_move_by_the_rule():
    train, val = drawn(), drawn(200, seed=1)
    recipe = replace(RECIPES["ust-etri"], epochs=2)
    plain, slow = (train_head(replace(recipe, ema=ema), train, val).history for ema in (0.0, 0.75))
    assert plain[0].thresholds.tolist() == [0.8] * 4
    assert slow[1].thresholds == pytest.approx(0.75 * 0.8 + 0.25 * plain[1].thresholds)
    assert slow[2].thresholds == pytest.approx(0.75 * slow[1].thresholds + 0.25 * plain[2].thresholds)
    mean = train_head(replace(recipe, epochs=10, rule="mean"), train, val)
    x = val.with_head(mean.head)
    assert torch.bincount(x.prediction).min() >= 20  # no class is so small that it is shrunk
    for c in range(4):
        mine = (x.prediction == c) & x.right
        assert mean.thresholds[c] == pytest.approx(0.9 * float(x.confidence[mine].mean()), rel=1e-9)


def test_history_says_loss_and_accuracy_of_the_finished_head():
    train, val = drawn(), drawn(200, seed=1)
    trained = train_head(HeadRecipe(weight_decay=0.01), train, val)
    last = trained.history[-1]
    for x, loss, accuracy in (
        (train, last.loss, last.train_accuracy),
        (val, last.val_loss, last.val_accuracy),
    ):
        under = x.with_head(trained.head)
        told = -under.log_probs[torch.arange(len(x)), x.labels].double().mean()
        assert loss == pytest.approx(float(told), abs=1e-5)
        assert accuracy == pytest.approx(float(under.right.double().mean()))
    assert trained.history[0].loss == pytest.approx(np.log(4))
    assert last.flat(NAMES)["threshold bee"] == trained.thresholds[1]


# -- what is chosen on validation -------------------------------------------------------------------------------------


def test_the_weight_decay_that_is_best_on_validation_is_taken():
    train, val = drawn(80, spread=2.5), drawn(400, seed=1, spread=2.5)
    trained = train_head(HeadRecipe(), train, val)
    apart = {
        decay: train_head(HeadRecipe(weight_decay=decay), train, val).kept.val_accuracy for decay, _ in trained.searched
    }
    assert 5 <= len(apart) <= 9
    assert apart[trained.weight_decay] >= max(apart.values()) - 1.5 / 400  # they were compared at a rougher tolerance
    assert trained.kept.val_accuracy == apart[trained.weight_decay]


def test_the_search_does_not_depend_on_what_the_rows_are_multiplied_by():
    train, val = drawn(120), drawn(200, seed=1)
    small, large = (train_head(HeadRecipe(scale=scale), train, val) for scale in (1.0, 50.0))
    assert large.weight_decay == pytest.approx(2500 * small.weight_decay, rel=1e-5)
    assert large.head.weight.numpy() == pytest.approx(small.head.weight.numpy(), abs=1e-2)


def test_early_stopping_goes_back_to_the_best_epoch():
    train, val = drawn(60, spread=2.5), drawn(200, seed=1, spread=2.5)
    recipe = HeadRecipe("adamw", scale=20.0, epochs=60, learning_rate=0.02, weight_decay=0.0, patience=4)
    trained = train_head(recipe, train, val)
    merits = [(one.val_accuracy, -one.val_loss) for one in trained.history]
    assert trained.epoch == merits.index(max(merits))
    assert len(trained.history) == trained.epoch + 1 + 4 < 61
    assert float(val.with_head(trained.head).right.double().mean()) == trained.kept.val_accuracy
    assert trained.thresholds is trained.kept.thresholds


def test_without_validation_folds_serve_and_the_head_learns_from_all_rows():
    train = drawn()
    trained = train_head(HeadRecipe(weight_decay=0.01), train)
    assert trained.validation == "5 stratified folds of the training split, seed 0"
    whole = train_head(HeadRecipe(weight_decay=0.01), train, drawn(20, seed=3))
    assert torch.equal(trained.head.weight, whole.head.weight)
    assert trained.kept.val_accuracy < trained.kept.train_accuracy


def test_a_held_out_share_is_stratified_and_never_learnt_from():
    train = drawn()
    trained = train_head(HeadRecipe(weight_decay=0.01, val_split=0.25, seed=3), train)
    assert trained.validation == "stratified 25 % of the training split, seed 3"
    whole = train_head(HeadRecipe(weight_decay=0.01), train, train)
    assert not torch.equal(trained.head.weight, whole.head.weight)
    from ood_toolkit.learning.heads.fitting import parts_of

    (part,), rows, _ = parts_of(HeadRecipe(val_split=0.25, seed=3), train, None, NAMES)
    assert torch.bincount(part.truth).tolist() == [15] * 4
    assert torch.bincount(rows.y).tolist() == [45] * 4
    seen = {tuple(row) for row in part.seen.tolist()}
    assert not seen & {tuple(row) for row in rows.x.tolist()}
    folds, _, _ = parts_of(HeadRecipe(), train, None, NAMES)
    assert [torch.bincount(fold.truth).tolist() for fold in folds] == [[12] * 4] * 5


# -- sameness and refusals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", list(RECIPES))
def test_the_same_seed_gives_the_same_bytes(preset):
    train = drawn(100)
    recipe = replace(find_recipe(preset), epochs=4)
    torch.manual_seed(1)
    first = train_head(recipe, train)
    before = torch.get_rng_state()
    torch.rand(3)
    assert same(first, train_head(recipe, train))
    torch.set_rng_state(before)
    assert not same(first, train_head(replace(recipe, seed=7), train))
    assert torch.equal(torch.get_rng_state(), before)  # nobody else's random numbers are touched


def test_scale_is_folded_into_the_weight():
    x = drawn(100)
    trained = train_head(HeadRecipe("sgd", scale=30.0, epochs=3, weight_decay=0.0), x, x)
    *_, last = TrainingRows(30 * x.embeddings, x.labels, 4).epochs(trained.recipe, 0.0)
    assert x.with_head(trained.head).logits.numpy() == pytest.approx(last.logits(30 * x.embeddings).numpy(), abs=1e-4)


def test_what_cannot_be_trained_is_refused_in_one_line():
    x = drawn(40)
    with pytest.raises(OutputsError, match="val: expected width 12 as train has, got 8"):
        train_head(HeadRecipe(), x, drawn(20, d=8))
    with pytest.raises(OutputsError, match="train: expected features and labels, got only features"):
        train_head(HeadRecipe(), Outputs(x.features), class_names=NAMES)
    with pytest.raises(OutputsError, match="train: expected features and labels, got no features"):
        train_head(HeadRecipe(), Outputs.from_logits(np.eye(4), [0, 1, 2, 3]), class_names=NAMES)
    with pytest.raises(OutputsError, match="got 1 rows of none of them"):
        train_head(HeadRecipe(), Outputs(x.features, labels=[-1, *x.labels[1:].tolist()]), class_names=NAMES)
    with pytest.raises(OutputsError, match="expected class_names"):
        train_head(HeadRecipe(), Outputs(x.features, labels=x.labels))
    with pytest.raises(OutputsError, match="at least 2 classes, got 1"):
        train_head(HeadRecipe(), x, class_names=["ant"])
    with pytest.raises(TrainingError, match="expected at least 10 rows"):
        train_head(HeadRecipe(), x[:6])
    with pytest.raises(TrainingError, match="epoch 1: the weights are no longer finite; take a lower learning rate"):
        train_head(replace(RECIPES["ust-etri"], learning_rate=1e38), x)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"scale": 0.0}, "scale: expected a number above 0, got 0.0"),
        ({"momentum": 1.0}, "momentum: expected a number from 0 to below 1, got 1.0"),
        ({"optimizer": "adam"}, "optimizer: expected lbfgs, adamw, sgd; got 'adam'"),
        ({"weight_decay": 0.0}, "weight_decay: expected a number above 0 for lbfgs, got 0.0"),
        ({"patience": 3}, "patience: expected none with lbfgs, which converges, got 3"),
        ({"learning_rate": float("nan")}, "learning_rate: expected a number above 0, got nan"),
    ],
)
def test_a_recipe_out_of_range_is_refused(given, said):
    with pytest.raises(TrainingError, match=said):
        HeadRecipe(**given)
    with pytest.raises(TrainingError, match="unknown recipe 'ust'"):
        find_recipe("ust")


def test_a_class_without_a_training_image_is_told():
    x = drawn(80)
    x = Outputs(x.features, labels=x.labels, class_names=[*NAMES, "elk"])
    trained = train_head(HeadRecipe(weight_decay=0.01), x)
    assert trained.notes == ("1 of 5 classes have no training image, such as 'elk'",)


# -- real vectors -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def food(data):
    folder = data / "embeddings" / "openai_clip_vit_b32"
    sets = []
    for file in ("image_food101_10classes_train2000.npz", "image_food101_10classes_test500.npz"):
        with np.load(folder / file) as npz:
            held = dict(npz)
        sets.append(Outputs(held["embeddings"], labels=held["labels"], class_names=held["classes"].tolist()))
    return sets


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_food_is_told_right_as_often_as_promised(food, seed):
    """The seed draws the folds of the 2,000 that choose the weight decay; the 500 are looked at here alone."""
    train, test = food
    trained = train_head(HeadRecipe(seed=seed), train)
    assert float(test.with_head(trained.head).right.double().mean()) >= 0.982


def test_the_seminars_recipe_rejects_everything_at_its_first_threshold_on_unit_rows(food):
    train, test = food
    trained = train_head(RECIPES["ust-etri"], train)
    x = test.with_head(trained.head)
    assert float(x.right.double().mean()) > 0.96
    assert 0.2 < float(x.confidence.mean()) < 0.3
    assert float(x.confidence.max()) < 0.8

"""Every scorer on real CLIP vectors, against formulas written out in float64 and AUROC counted pair by pair."""

import numpy as np
import pytest

from ood_toolkit import Head, Member, Outputs, bench


def unit(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def log_softmax(z):
    shifted = z - z.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def pair_auroc(id_scores, ood_scores):
    above = (id_scores[:, None] > ood_scores[None, :]).sum() + 0.5 * (id_scores[:, None] == ood_scores[None, :]).sum()
    return above / (len(id_scores) * len(ood_scores))


def class_thetas(scores, prediction, classes):
    """theta_c accepting ceil(.95 n_c), shrunk toward the global one below 20 images."""

    def accepting(values):
        return np.sort(values)[::-1][(19 * len(values) + 19) // 20 - 1]

    overall, thetas = accepting(scores), []
    for c in range(classes):
        own = scores[prediction == c]
        if len(own) >= 20:
            thetas.append(accepting(own))
        else:
            pulled = len(own) * accepting(own) + 20 * overall if len(own) else 20 * overall
            thetas.append(pulled / (len(own) + 20))
    return np.array(thetas)


def independent(parts, text, labels_val, train=None, labels_train=None):
    """Score dict of arrays `parts` (val, id, ood) by every formula."""
    cosine = {name: unit(rows) @ unit(text).T for name, rows in parts.items()}
    logp = {name: log_softmax(100 * c) for name, c in cosine.items()}
    out = {"msp": {}, "maxlogit": {}, "energy": {}, "entropy": {}, "mcm": {}}
    for name, c in cosine.items():
        out["msp"][name] = np.exp(logp[name].max(axis=1))
        out["maxlogit"][name] = 100 * c.max(axis=1)
        out["energy"][name] = 100 * c.max(axis=1) + np.log(np.exp(100 * (c - c.max(axis=1, keepdims=True))).sum(axis=1))
        out["entropy"][name] = (np.exp(logp[name]) * logp[name]).sum(axis=1)
        out["mcm"][name] = np.exp(log_softmax(c).max(axis=1))
    predicted = {name: c.argmax(axis=1) for name, c in cosine.items()}
    classes = len(text)
    for spec, base in (("classwise", out["msp"]), ("classwise-entropy", out["entropy"])):
        scaled = {k: v / np.log(classes) for k, v in base.items()} if spec == "classwise-entropy" else base
        theta = class_thetas(scaled["val"], predicted["val"], classes)
        out[spec] = {name: scaled[name] - theta[predicted[name]] for name in parts}
    out["mean"] = out["grid"] = out["msp"]  # one threshold moves all scores alike
    if train is not None:
        near = {name: np.sort(unit(rows) @ unit(train).T, axis=1)[:, -50] for name, rows in parts.items()}
        out["knn"] = {name: 2 * c - 2 for name, c in near.items()}
        out["mahalanobis"] = mahalanobis(parts, np.asarray(train, dtype=np.float64), labels_train)
    return out


def mahalanobis(parts, train, labels):
    means = np.stack([train[labels == c].mean(axis=0) for c in np.unique(labels)])
    centred = train - means[np.searchsorted(np.unique(labels), labels)]
    precision = np.linalg.pinv(centred.T @ centred / len(train), hermitian=True)
    found = {}
    for name, rows in parts.items():
        apart = np.asarray(rows, dtype=np.float64)[:, None, :] - means[None]  # (n, k, d)
        found[name] = -np.einsum("nkd,de,nke->nk", apart, precision, apart, optimize=True).min(axis=1)
    return found


@pytest.fixture(scope="module")
def material(data):
    folder = data / "embeddings" / "openai_clip_vit_b32"
    names = {
        "cifar": "image_cifar10_test500",
        "food": "image_food101_10classes_test500",
        "food_train": "image_food101_10classes_train2000",
        "cifar_text": "text_cifar10_a",
        "food_text": "text_food10_a",
    }
    return {key: dict(np.load(folder / f"{name}.npz")) for key, name in names.items()}


@pytest.mark.parametrize("way", ["cifar10 against food101", "food101 with training images against cifar10"])
def test_every_auroc_agrees_with_an_independent_computation(material, way):
    food = way.startswith("food")
    own, other = (material["food"], material["cifar"]) if food else (material["cifar"], material["food"])
    text = material["food_text" if food else "cifar_text"]
    train = material["food_train"] if food else None
    head = Head.zero_shot(text["embeddings"], text["names"].tolist())
    rows = np.random.default_rng(0).permutation(len(own["labels"]))
    val_rows, test_rows = np.sort(rows[:150]), np.sort(rows[150:])
    x = Outputs.from_embeddings(own["embeddings"], head, own["labels"])
    fitted_on = None if train is None else Outputs.from_embeddings(train["embeddings"], head, train["labels"])
    parts = {"val": own["embeddings"][val_rows], "id": own["embeddings"][test_rows], "ood": other["embeddings"]}
    expected = independent(
        parts,
        text["embeddings"],
        own["labels"][val_rows],
        None if train is None else train["embeddings"],
        None if train is None else train["labels"].astype(int),
    )
    report = bench(
        [*expected, "clipn-ctw", "clipn-atd"],
        test=x[test_rows],
        val=x[val_rows],
        train=fitted_on,
        ood={"other": Outputs.from_embeddings(other["embeddings"], head)},
    )
    found = {row.scorer: row.auroc for row in report.rows if row.kind == "ood" and row.status == "ok"}
    skipped = {row.scorer for row in report.rows if row.status == "skipped"}
    assert skipped == {"clipn-ctw", "clipn-atd"}
    assert set(expected) == set(found)
    for spec, scores in expected.items():
        assert found[spec] == pytest.approx(pair_auroc(scores["id"], scores["ood"]), abs=1e-6), spec


def test_the_published_figures_of_the_vectors(clip):
    report = bench("msp,maxlogit,mcm", test=clip["cifar10"], ood={"food101": clip["food101"]})
    aurocs = {row.scorer: round(row.auroc, 4) for row in report.rows if row.kind == "ood"}
    assert aurocs == {"msp": 0.9022, "maxlogit": 0.9958, "mcm": 0.9182}
    assert report.header["id"][0]["accuracy"] == 0.896


def test_the_mean_of_prompts_and_a_probe_beats_both_on_food101(data):
    """Zero-shot beside scikit-learn's logistic regression (C = 10, unit rows) of 2,000 training images."""
    from sklearn.linear_model import LogisticRegression

    folder = data / "embeddings" / "openai_clip_vit_b32"
    held = {
        part: np.load(folder / f"image_{part}.npz")
        for part in ("food101_10classes_test500", "food101_10classes_train2000", "cifar10_test500")
    }
    known, train, other = (unit(one["embeddings"]) for one in held.values())
    truth = held["food101_10classes_test500"]["labels"]
    texts = unit(np.load(folder / "text_food10_a.npz")["embeddings"])
    probe = LogisticRegression(C=10, max_iter=2000).fit(train, held["food101_10classes_train2000"]["labels"])
    logits = {
        "prompts": [100 * x @ texts.T for x in (known, other)],
        "probe": [probe.decision_function(x) for x in (known, other)],
    }
    members = {
        name: Member(Outputs.from_logits(one), {"food": Outputs.from_logits(one, labels=truth)},
                     {"cifar": Outputs.from_logits(two)})
        for name, (one, two) in logits.items()
    }  # fmt: skip
    report = bench("entropy", members=members, combiners="mean-probability")
    measured = {row.model: row.auroc for row in report.rows if row.kind == "ood"}
    likely = {name: [np.exp(log_softmax(z)) for z in both] for name, both in logits.items()}
    likely["mean-probability"] = [(a + b) / 2 for a, b in zip(likely["prompts"], likely["probe"], strict=True)]
    for name, both in likely.items():
        slow = [(p * np.log(np.maximum(p, 1e-300))).sum(axis=1) for p in both]
        assert measured[name] == pytest.approx(pair_auroc(*slow), abs=1e-6), name
    assert 100 * measured["prompts"] == pytest.approx(99.84, abs=0.005)
    assert measured["mean-probability"] > max(measured["prompts"], measured["probe"])
    right = {part["model"]: part["id"][0]["accuracy"] for part in report.header["models"]}
    assert right["prompts"] == pytest.approx(0.958)
    assert right["probe"] > 0.98
    assert right["mean-probability"] > right["prompts"]

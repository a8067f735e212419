"""Runs of two models on the same drawn images, under two seeds, with near and far OOD sets."""

import json
import shutil

import numpy as np
import pytest

from ood_toolkit import Head, Outputs, bench

SPECS = "msp,energy,weighted-energy,mcm,klm,knn,neglabel:groups=1:share=1.0"
ID, OOD, CLASSES, WIDTH = 90, {"close": 40, "away": 30, "apart": 50}, 4, 8
GROUPS = {"near": ["close"], "far": ["away", "apart"]}


def outputs(model, name, size, labelled=False):
    """Give the embeddings of a set as a model has them: of the same images, whichever the model."""
    draw = np.random.default_rng([len(model), sum(map(ord, model)), sum(map(ord, name))])
    texts = np.random.default_rng(1).normal(size=(CLASSES, WIDTH))
    head = Head.zero_shot(
        texts, ["ant", "bee", "cat", "dog"], negatives=np.random.default_rng(2).normal(size=(9, WIDTH))
    )
    labels = np.arange(size) % CLASSES
    rows = draw.normal(size=(size, WIDTH)) + (1.5 * texts[labels] if labelled else 0)
    x = Outputs.from_embeddings(rows.astype(np.float32), head, labels if labelled else None)
    return x.named([f"{name}/{place:03}" for place in range(size)])


def run_of(model="one", seed=0, specs=SPECS, train=True, ood=OOD, groups=GROUPS, **more):
    """Measure one model under one seed, which draws the images that are tested."""
    order = np.random.default_rng(seed).permutation(ID)
    test, val = np.sort(order[: ID * 3 // 4]), np.sort(order[ID * 3 // 4 :])
    x = outputs(model, "known", ID, labelled=True)
    return bench(
        specs, x[test], {name: outputs(model, name, size) for name, size in ood.items()}, x[val],
        outputs(model, "train", 60, labelled=True) if train else None,
        id_name="known", groups=groups, seed=seed,
        about={"model": model, "seed": seed, "val_split": 0.25, "limit": None, **more.pop("about", {})}, **more,
    )  # fmt: skip


@pytest.fixture(scope="session")
def make_run():
    return run_of


@pytest.fixture(scope="session")
def make_outputs():
    return outputs


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """Four run folders by model and seed."""
    folder = tmp_path_factory.mktemp("runs")
    for model in ("one", "other"):
        for seed in (0, 1):
            run_of(model, seed).save(folder / f"{model}-{seed}")
    return {(model, seed): folder / f"{model}-{seed}" for model in ("one", "other") for seed in (0, 1)}


@pytest.fixture(scope="session")
def changed():
    """Write a copy of a run folder with another result.json."""

    def write(run, folder, change):
        shutil.copytree(run, folder)
        held = json.loads((folder / "result.json").read_text())
        change(held)
        (folder / "result.json").write_text(json.dumps(held))
        return folder

    return write

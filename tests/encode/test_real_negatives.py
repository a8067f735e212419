"""NegLabel on real CLIP vectors with each real table of texts, mining included, against formulas in float64.

The table in `docs/negative-labels.md` is recomputed here, figure by figure.
"""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from ood_toolkit import bench
from ood_toolkit.benchmark.gather import gather
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.encode.imported_sets import ImportedSets
from ood_toolkit.store.imports import Imports
from ood_toolkit.store.npz import read_import

PAGE = Path(__file__).parents[2] / "docs" / "negative-labels.md"
TABLES = ("lvis1203", "imagenet1k", "openimages500", "objects365", "coco80")
ALL = "all five"
SETS = {
    "cifar10": ("image_cifar10_test500.npz", "text_cifar10_a.npz"),
    "food101": ("image_food101_10classes_test500.npz", "text_food10_a.npz"),
}
SHARES, GROUPS = (0.15, 0.5, 1.0), (100, 1)
ROW = re.compile(r"^\| ([\w ]+) \| ([\d,]+) \| (\w+) \| (\w+) \| ([\d.| ]+) \|$", re.M)


def unit(rows):
    rows = np.asarray(rows, dtype=np.float64)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def mined(candidates, classes, share):
    """Keep the share whose 95 % quantile of cosines with the classes is least."""
    stored, texts = (rows.astype(np.float32).astype(np.float64) for rows in (candidates, classes))  # as a head holds
    similarity = np.quantile(stored @ texts.T, 0.95, axis=1)
    return candidates[np.argsort(similarity, kind="stable")[: int(share * len(candidates))]]


def neglabel(images, classes, negatives, groups=100):
    groups = min(groups, len(negatives))
    negatives = negatives[: len(negatives) - len(negatives) % groups]
    order = torch.randperm(len(negatives), generator=torch.Generator().manual_seed(0)).numpy()
    inside = np.exp(100 * images @ classes.T).sum(axis=1)
    outside = np.exp(100 * images @ negatives[order].T).reshape(len(images), groups, -1).sum(axis=2)
    return (inside[:, None] / (inside[:, None] + outside)).mean(axis=1)


def pair_auroc(inside, outside):
    apart = inside[:, None] - outside[None, :]
    return ((apart > 0).sum() + 0.5 * (apart == 0).sum()) / apart.size


@pytest.fixture(scope="module")
def folder(data):
    return data / "embeddings" / "openai_clip_vit_b32"


@pytest.fixture(scope="module")
def words(folder, tmp_path_factory):
    """Give the files of all tables, and of all of them together."""
    files = {table: folder / f"text_{table}_a.npz" for table in TABLES}
    together = tmp_path_factory.mktemp("words") / "all.npz"
    np.savez(together, embeddings=np.concatenate([np.load(file)["embeddings"] for file in files.values()]))
    return files | {ALL: together}


@pytest.fixture(scope="module")
def runs(folder, words, tmp_path_factory):
    """Import both sets once with each table as candidates, and run MCM and NegLabel in both directions."""
    imports = Imports(tmp_path_factory.mktemp("store"))
    specs = ["mcm", *(f"neglabel:groups={groups}:share={share}" for groups in GROUPS for share in SHARES)]
    found = {}
    for table, file in words.items():
        for name, (images, text) in SETS.items():
            arrays = read_import(folder / images, folder / text, None, {"candidates": file})
            imports.add(name, table, "test", arrays, images)
        for name, other in (("cifar10", "food101"), ("food101", "cifar10")):
            request = Settings(ids=(name,), groups={"": (other,)}, val_split=0.0)
            members = gather(request, ImportedSets(imports, table), with_train=False).members
            found[table, name, other] = bench(",".join(specs), members=members)
    return found


def rows_of(report):
    """Give MCM's row, and those of NegLabel by groups and share."""
    first, *rest = (row for row in report.rows if row.kind == "ood")
    asked = [(groups, share) for groups in GROUPS for share in SHARES]
    return first, dict(zip(asked, rest, strict=True))


@pytest.fixture(scope="module")
def independent(folder, words):
    arrays = {name: [np.load(folder / file)["embeddings"] for file in files] for name, files in SETS.items()}
    tables = {table: np.load(file)["embeddings"] for table, file in words.items()}

    def scores(table, name, other, groups, share):
        images, classes = {key: unit(arrays[key][0]) for key in (name, other)}, unit(arrays[name][1])
        negatives = mined(unit(tables[table]), classes, share)
        return [neglabel(images[key], classes, negatives, groups) for key in (name, other)]

    return scores


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("table", [*TABLES, ALL])
@pytest.mark.parametrize(("name", "other"), [("cifar10", "food101"), ("food101", "cifar10")])
def test_neglabel_with_mining_equals_the_formulas(runs, independent, table, name, other, share, groups):
    report = runs[table, name, other]
    row = rows_of(report)[1][groups, share]
    inside, outside = independent(table, name, other, groups, share)
    np.testing.assert_allclose(report.answers[name, "test"].scores[row.scorer], inside, rtol=0, atol=1e-6)
    np.testing.assert_allclose(report.answers[name, f"ood:{other}"].scores[row.scorer], outside, rtol=0, atol=1e-6)
    assert row.auroc == pytest.approx(pair_auroc(inside, outside), abs=1e-5)
    if name == "food101" and groups == 100:
        assert row.auroc >= 0.999


def test_the_table_in_the_docs_is_what_comes_out(runs):
    printed = {(table, name, other): figures for table, _, name, other, figures in ROW.findall(PAGE.read_text())}
    assert set(printed) == set(runs)
    for key, figures in printed.items():
        first, rest = rows_of(runs[key])
        measured = [first.auroc, *(row.auroc for row in rest.values())]
        assert [float(figure) for figure in figures.split("|")] == pytest.approx(measured, abs=0.00051)


def test_a_small_share_of_a_small_list_loses_to_mcm_and_all_of_it_wins(runs):
    first, rest = rows_of(runs[ALL, "cifar10", "food101"])
    assert first.auroc == pytest.approx(0.918, abs=5e-4)
    assert rest[1, 0.15].auroc == pytest.approx(0.851, abs=5e-4)
    assert rest[100, 0.15].auroc < rest[1, 0.15].auroc < first.auroc < rest[1, 1.0].auroc

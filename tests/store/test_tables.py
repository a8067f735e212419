"""`oodkit import` of `.npy`, Parquet and folders of clip-retrieval: the same arrays as from `.npz`."""

import sys

import numpy as np
import pytest

from ood_toolkit.errors import DataError
from ood_toolkit.store.imports import Imports
from ood_toolkit.store.npz import read_import, read_scores

pytestmark = pytest.mark.quick

pyarrow = pytest.importorskip("pyarrow", reason="needs pyarrow")
parquet = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow")

ROWS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
IDS = [f"{place}.jpg" for place in range(6)]
LABELS = ["ant", "bee", "ant", "bee", "bee", "ant"]


def put(file, **columns):
    parquet.write_table(pyarrow.table(columns), file)
    return file


@pytest.fixture
def texts(tmp_path):
    np.savez(tmp_path / "texts.npz", text=np.eye(2, 4), classes=["ant", "bee"])
    return tmp_path / "texts.npz"


@pytest.fixture
def retrieval(tmp_path):
    """Make a folder as clip-retrieval writes it, in float16 and eleven parts, so that 10 comes before 2 by name."""
    folder = tmp_path / "embeddings"
    for part in ("img_emb", "metadata", "text_emb"):
        (folder / part).mkdir(parents=True)
    for number in range(11):
        rows = np.full((2, 4), number + 1, np.float16)
        np.save(folder / "img_emb" / f"img_emb_{number}.npy", rows)
        np.save(folder / "text_emb" / f"text_emb_{number}.npy", rows + 50)
        put(folder / "metadata" / f"metadata_{number}.parquet",
            image_path=[f"{number}/{place}.jpg" for place in range(2)], caption=["a cat"] * 2)  # fmt: skip
    return folder


def test_an_npy_file_is_the_embeddings(tmp_path, texts):
    np.save(tmp_path / "rows.npy", ROWS)
    arrays = read_import(tmp_path / "rows.npy", texts)
    np.testing.assert_array_equal(arrays["features"], ROWS)
    assert arrays["classes"].tolist() == ["ant", "bee"]
    np.save(tmp_path / "texts.npy", np.eye(2, 4))
    np.savez(tmp_path / "named.npz", embeddings=ROWS, labels=[0, 1, 0, 1, 1, 0], classes=["ant", "bee"])
    np.testing.assert_array_equal(read_import(tmp_path / "named.npz", tmp_path / "texts.npy")["text"], np.eye(2, 4))


@pytest.mark.parametrize("kind", ["list", "fixed", "double", "alone"])
def test_columns_of_parquet_are_arrays(tmp_path, texts, kind):
    vectors = {
        "list": pyarrow.array(ROWS.tolist(), pyarrow.list_(pyarrow.float32())),
        "fixed": pyarrow.FixedSizeListArray.from_arrays(ROWS.reshape(-1), 4),
        "double": pyarrow.array(ROWS.astype(np.float64).tolist()),
        "alone": pyarrow.array(ROWS.tolist(), pyarrow.large_list(pyarrow.float32())),
    }[kind]
    name = "whatever" if kind == "alone" else "embedding"
    facts = {"id": IDS, "label": pyarrow.array(LABELS).dictionary_encode(), "shape": [{"w": 1}] * 6}
    arrays = read_import(put(tmp_path / "rows.parquet", **{name: vectors}, **facts), texts)
    np.testing.assert_array_equal(arrays["features"].astype(np.float32), ROWS)
    assert arrays["ids"].tolist() == IDS
    assert arrays["labels"].tolist() == [0, 1, 0, 1, 1, 0]


def test_parts_of_clip_retrieval_are_joined_by_number(retrieval):
    np.savez(retrieval.parent / "texts.npz", text=np.eye(2, 4), classes=["ant", "bee"])
    arrays = read_import(retrieval, retrieval.parent / "texts.npz")
    assert arrays["features"].dtype == np.float16
    assert arrays["features"][:, 0].tolist() == [number + 1 for number in range(11) for _ in range(2)]
    assert arrays["ids"].tolist() == [f"{number}/{place}.jpg" for number in range(11) for place in range(2)]


def test_a_command_imports_and_measures_all_of_them(oodkit, tmp_path, texts, retrieval, monkeypatch):
    monkeypatch.setenv("OODKIT_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("OODKIT_NO_PLUGINS", "1")
    put(tmp_path / "id.parquet", embedding=ROWS.tolist(), label=LABELS, path=IDS)
    np.save(tmp_path / "ood.npy", ROWS[:, ::-1])
    for name, file, more in (("id", "id.parquet", ("--text", texts)), ("npy", "ood.npy", ()), ("big", retrieval, ())):
        done = oodkit("import", name, tmp_path / file, *more)
        assert done.code == 0, done.err
    run = oodkit("bench", "--id", "id", "--ood", "npy,big", "--scorers", "msp", "--val-split", "0", "--format", "json")
    assert {row["ood"]: row["n_ood"] for row in run.read["rows"] if row["kind"] == "ood"} == {"npy": 6, "big": 22}
    entries = {entry.name: entry for entry in Imports(tmp_path / "store").entries()}
    assert entries["big"].source == "embeddings"


def test_ready_scores_come_from_all_of_them(tmp_path):
    np.save(tmp_path / "scores.npy", np.arange(6.0))
    negated = read_scores(tmp_path / "scores.npy", "x", None, lower_is_id=True)["scores"]
    assert negated.tolist() == [0, -1, -2, -3, -4, -5]
    file = put(tmp_path / "scores.parquet", id=IDS, score=np.arange(6), mine=np.arange(6) + 0.5)
    arrays = read_scores(file, "x", None, lower_is_id=False)
    assert (arrays["scores"].tolist(), arrays["ids"].tolist()) == ([0, 1, 2, 3, 4, 5], IDS)
    assert read_scores(file, "x", "mine", lower_is_id=False)["scores"][0] == 0.5


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"embedding": [[1.0, 2], [1.0]]}, "column embedding: expected vectors of one length, got 2 numbers in row 0"),
        ({"embedding": [[1.0, 2], None]}, "and 0 in row 1"),
        ({"embedding": [[1.0, 2], [1.0, None]]}, "features: expected finite numbers"),
        ({"label": [1, 2]}, "expected one of embeddings, features, logits; got label, labels"),
        (
            {"embedding": [[1.0], [2.0]], "label": [1, None]},
            "column label: expected a number in each row",
        ),
        ({"embedding": []}, "got nothing"),
    ],
)
def test_columns_that_cannot_be_are_refused_in_one_line(tmp_path, columns, said):
    with pytest.raises(DataError, match=r"rows\.parquet") as error:
        read_import(put(tmp_path / "rows.parquet", **columns))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_are_none_are_refused_in_one_line(tmp_path, retrieval):
    (tmp_path / "text.parquet").write_text("id,embedding\n")
    (tmp_path / "text.npy").write_text("1 2 3")
    whole = put(tmp_path / "rows.parquet", embedding=ROWS.tolist()).read_bytes()
    (tmp_path / "half.parquet").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "changed.parquet").write_bytes(whole[:40] + b"\xff" * 60 + whole[100:])
    (tmp_path / "folder").mkdir()
    for name, said in {
        "text.parquet": "expected a Parquet file, got a file that does not begin as one",
        "half.parquet": "expected a Parquet file, got a damaged one",
        "changed.parquet": "expected a Parquet file",
        "text.npy": "expected an .npy file",
        "gone.parquet": "no such file",
        "folder": "expected a folder of clip-retrieval, with img_emb/*.npy; it holds nothing",
    }.items():
        with pytest.raises(DataError, match=name) as error:
            read_import(tmp_path / name)
        assert said in str(error.value)
        assert "\n" not in str(error.value)


def test_parts_that_do_not_fit_are_refused(retrieval):
    def refused(said):
        with pytest.raises(DataError) as error:
            read_import(retrieval)
        assert said in str(error.value)

    facts = retrieval / "metadata" / "metadata_3.parquet"
    held = facts.read_bytes()
    facts.unlink()
    refused("part 3 is in img_emb but not in metadata; bring both")
    put(facts, image_path=["only one"])
    refused("metadata_3.parquet: image_path: expected 2 rows as in img_emb_3.npy, got 1")
    facts.write_bytes(held)
    np.save(retrieval / "img_emb" / "img_emb_4.npy", np.ones((2, 5)))
    refused("img_emb_4.npy: expected embeddings (n, 4), got shape (2, 5)")


def test_what_unpacks_far_beyond_its_size_is_not_read(tmp_path):
    file = put(tmp_path / "bomb.parquet", score=pyarrow.array(np.zeros(40_000_000)))
    assert file.stat().st_size < 1 << 20
    with pytest.raises(DataError, match=r"over the limit of .*OODKIT_READ_LIMIT"):
        read_scores(file, "x", None, lower_is_id=False)


def test_without_pyarrow_it_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r"needs pyarrow to read Parquet: pip install 'ood-toolkit\[parquet\]'"):
        read_import(tmp_path / "rows.parquet")

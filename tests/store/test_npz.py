import numpy as np
import pytest

from ood_toolkit.errors import DataError, OodkitError
from ood_toolkit.store.npz import head_of, outputs_of, read_import, read_scores

RNG = np.random.default_rng(0)
TEXT = RNG.normal(size=(3, 4)).astype(np.float32)
IMAGES = RNG.normal(size=(6, 4)).astype(np.float32)
LABELS = np.array([0, 1, 2, 2, 1, 0])
NAMES = np.array(["cat", "dog", "car"])


@pytest.fixture
def put(tmp_path):
    def save(name="x", **arrays):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        return tmp_path / f"{name}.npz"

    return save


@pytest.mark.parametrize("features", ["embeddings", "features"])
@pytest.mark.parametrize("classes", ["classes", "class_names", "names"])
def test_all_names_of_the_keys_are_understood(put, features, classes):
    found = read_import(put(**{features: IMAGES, classes: NAMES, "labels": LABELS, "text": TEXT}))
    assert set(found) == {"features", "text", "labels", "classes"}
    np.testing.assert_array_equal(found["features"], IMAGES)
    assert found["classes"].tolist() == ["cat", "dog", "car"]
    head = head_of(found)
    assert (head.kind, head.scale, head.class_names) == ("zero_shot", 100.0, ("cat", "dog", "car"))
    np.testing.assert_allclose(head.weight.numpy(), TEXT / np.linalg.norm(TEXT, axis=1, keepdims=True), rtol=1e-6)


def test_labels_follow_the_names_into_a_text_file_of_another_order(put):
    text = put("text", embeddings=TEXT[[2, 0, 1]], names=NAMES[[2, 0, 1]])
    found = read_import(put(embeddings=IMAGES, labels=LABELS, classes=NAMES), text)
    assert found["classes"].tolist() == ["car", "cat", "dog"]
    assert found["labels"].tolist() == [1, 2, 0, 0, 2, 1]
    x = outputs_of(found, head_of(found))
    assert [x.class_names[i] for i in x.labels] == NAMES[LABELS].tolist()


@pytest.mark.parametrize("key", ["labels", "names", "class_names"])
def test_labels_may_be_names(put, key):
    text = put("text", text=TEXT, classes=NAMES)
    found = read_import(put(embeddings=IMAGES, **{key: NAMES[LABELS]}), text)
    assert found["labels"].tolist() == LABELS.tolist()
    assert found["source_names"].tolist() == NAMES[LABELS].tolist()


def test_a_name_that_is_no_class_is_minus_one(put):
    named = NAMES[LABELS].astype("U9")
    named[0] = "spaceship"
    found = read_import(put(embeddings=IMAGES, labels=named), put("text", text=TEXT, classes=NAMES))
    assert found["labels"].tolist() == [-1, 1, 2, 2, 1, 0]


def test_one_name_an_image_beside_whole_labels_is_not_taken_for_the_classes(put):
    wrong = LABELS[::-1].copy()
    found = read_import(
        put(embeddings=IMAGES, labels=wrong, names=NAMES[LABELS]), put("text", text=TEXT, classes=NAMES)
    )
    assert found["labels"].tolist() == LABELS.tolist()


def test_an_ood_set_keeps_its_own_names_and_needs_no_head(put):
    found = read_import(put(embeddings=IMAGES, names=np.array(list("uvwuvw")), files=np.array(list("abcdef"))))
    assert found["source_names"].tolist() == list("uvwuvw")
    assert found["ids"].tolist() == list("abcdef")
    assert head_of(found) is None
    assert read_import(put(embeddings=IMAGES, labels=np.arange(6) * 20))["labels"].max() == 100


def test_half_precision_stays_as_it_is_on_disk(put):
    found = read_import(put(embeddings=IMAGES.astype(np.float16), text=TEXT.astype(np.float16), classes=NAMES))
    assert found["features"].dtype == np.float16
    x = outputs_of(found, head_of(found))
    assert x.logits.dtype.itemsize == 4


def test_a_linear_head_in_a_file_of_its_own(put):
    bias = np.array([0.5, 0.0, -0.5], dtype=np.float32)
    head = put("head", weight=TEXT, bias=bias, classes=NAMES)
    logits = IMAGES @ TEXT.T + bias
    found = read_import(put(features=IMAGES, logits=logits, names=NAMES[LABELS]), head=head)
    assert set(found) == {"features", "logits", "weight", "bias", "classes", "labels", "source_names"}
    x = outputs_of(found, head_of(found))
    assert x.head.kind == "linear"
    np.testing.assert_allclose(x.head.logits(x.features).numpy(), logits, atol=1e-5)
    with pytest.raises(OodkitError, match="contradicts features and head"):
        read_import(put(features=IMAGES, logits=logits + 1), head=head)
    plain = read_import(put(features=IMAGES), head=put("head", weight=TEXT))
    assert head_of(plain).class_names == ("0", "1", "2")
    assert not head_of(plain).bias.any()


def test_ready_logits_alone(put):
    found = read_import(put(logits=IMAGES, labels=LABELS, classes=np.array(list("abcd"))))
    x = outputs_of(found, None)
    assert (x.class_names, x.labels.tolist()) == (("a", "b", "c", "d"), LABELS.tolist())


@pytest.mark.parametrize("scale", [50.0, np.array([50.0]), np.float32(50)])
def test_a_scale_of_one_number(put, scale):
    assert head_of(read_import(put(embeddings=IMAGES, text=TEXT, classes=NAMES, scale=scale))).scale == 50.0


ID = {"embeddings": IMAGES, "text": TEXT, "classes": NAMES}
NAN = IMAGES.copy()
NAN[2, 1] = np.nan


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"labels": LABELS}, "expected one of embeddings, features, logits; got labels"),
        (ID | {"embeddings": NAN}, "features: expected finite numbers, got nan in row 2"),
        ({"embeddings": NAN}, "features: expected finite numbers, got nan in row 2"),
        ({"embeddings": IMAGES[:0]}, "at least one row"),
        ({"embeddings": IMAGES[0]}, "expected 2 dimensions"),
        ({"embeddings": IMAGES.astype(str)}, "expected an array of numbers"),
        (ID | {"embeddings": IMAGES[:, :3]}, "features: expected width 4 to fit the texts or weights, got 3"),
        (ID | {"labels": LABELS + 1}, r"labels: expected indices of its 3 classes, got 1 \.\.\. 3"),
        (ID | {"labels": LABELS - 2}, r"labels: expected indices of its 3 classes, got -2 \.\.\. 0"),
        ({"embeddings": IMAGES, "classes": NAMES, "labels": LABELS + 1}, "labels: expected indices of its 3 classes"),
        ({"embeddings": IMAGES, "labels": LABELS - 2}, "labels: expected indices of its classes"),
        ({"embeddings": IMAGES, "labels": LABELS[:4]}, r"expected 6 whole numbers or class names.*shape \(4,\)"),
        (ID | {"labels": LABELS[:4]}, r"expected 6 whole numbers or class names.*shape \(4,\)"),
        (ID | {"labels": LABELS + 0.5}, "expected 6 whole numbers or class names, one an image, got float64"),
        ({"logits": IMAGES, "labels": LABELS + 3}, "labels: expected class indices from 0 to 3"),
        ({"embeddings": IMAGES, "text": TEXT}, "text: expected the class names beside it"),
        (ID | {"classes": NAMES[:2]}, "class_names: expected 3, one a class, got 2"),
        (ID | {"scale": np.array([1.0, 2.0])}, r"scale: expected one number, got float64 of shape \(2,\)"),
        (ID | {"scale": np.array(-1.0)}, "scale: expected a number above 0"),
        (ID | {"ids": np.array(["a"])}, r"ids: expected shape \(6,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(put, arrays, said):
    with pytest.raises(OodkitError, match=said):
        read_import(put(**arrays))


def test_files_that_are_no_plain_arrays_are_refused(put, tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_import(tmp_path / "gone.npz")
    with pytest.raises(DataError, match="expected a folder of clip-retrieval"):
        read_import(tmp_path)
    (tmp_path / "text.npz").write_text("hello")
    (tmp_path / "empty.npz").write_bytes(b"")
    np.save(tmp_path / "single.npy", IMAGES)
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    whole = put(embeddings=IMAGES).read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    for name in ("text.npz", "empty.npz", "single.npz", "cut.npz"):
        with pytest.raises(DataError, match=r"expected an \.npz file"):
            read_import(tmp_path / name)
    hostile = put("hostile", embeddings=np.array([{"a": 1}], dtype=object))
    with pytest.raises(DataError, match="arrays of Python objects are not read"):
        read_import(hostile)


def test_text_and_head_files_that_do_not_fit_are_refused(put):
    images = put(embeddings=IMAGES, labels=LABELS, classes=NAMES)
    with pytest.raises(DataError, match="expected text embeddings under text"):
        read_import(images, put("t", labels=LABELS))
    with pytest.raises(DataError, match="expected 2 class names for its texts, got 3"):
        read_import(images, put("t", text=TEXT[:2]))
    with pytest.raises(DataError, match="class 'cat' has no text or weight"):
        read_import(images, put("t", text=TEXT[1:], classes=NAMES[1:]))
    with pytest.raises(DataError, match="features: expected width 3"):
        read_import(images, put("t", text=TEXT[:, :3]))
    with pytest.raises(DataError, match="expected weight and bias of a linear head, got bias"):
        read_import(images, head=put("h", bias=LABELS))
    with pytest.raises(DataError, match="no such file"):
        read_import(images, head=images.with_name("gone.npz"))


def test_ready_scores_by_key_and_sign(put):
    ready = np.array([3, 1, 2])
    file = put(id_a=ready, ood_b=-ready, other=ready * 2, ids=np.array(list("xyz")))
    assert read_scores(file, "a", None, lower_is_id=False)["scores"].tolist() == [3, 1, 2]
    assert read_scores(file, "b", None, lower_is_id=True)["scores"].tolist() == [3, 1, 2]
    found = read_scores(file, "a", "other", lower_is_id=True)
    assert found["scores"].dtype == np.float64
    assert (found["scores"].tolist(), found["ids"].tolist()) == ([-6, -2, -4], ["x", "y", "z"])
    with pytest.raises(DataError, match=r"expected scores under scores \| c \| id_c \| ood_c, got id_a, ood_b"):
        read_scores(file, "c", None, lower_is_id=False)


@pytest.mark.parametrize("scores", [np.zeros((2, 2)), np.zeros(0), np.array([1, np.nan]), np.array([1, np.inf]), NAMES])
def test_ready_scores_that_are_no_row_of_numbers_are_refused(put, scores):
    with pytest.raises(DataError, match=r"expected (a row of )?finite scores"):
        read_scores(put(scores=scores), "a", None, lower_is_id=False)


def test_a_linear_head_of_unit_rows_comes_with_a_flag(put):
    weight = RNG.normal(size=(3, 4)).astype(np.float32)
    plain = head_of(read_import(put(features=IMAGES, weight=weight, classes=NAMES)))
    unit = head_of(read_import(put(features=IMAGES, weight=weight, classes=NAMES, unit_rows=True)))
    assert (plain.unit_rows, unit.unit_rows) == (False, True)
    apart = read_import(
        put("x", features=IMAGES, classes=NAMES), head=put("head", weight=weight, unit_rows=np.array(1))
    )
    assert head_of(apart).fingerprint == unit.fingerprint
    with pytest.raises(DataError, match="unit_rows: expected one truth value"):
        read_import(put(features=IMAGES, weight=weight, unit_rows=np.array([1, 0])))


@pytest.mark.parametrize(
    ("values", "said"),
    [([0.1, float("nan")], "got NaN at index 1;"), ([float("inf"), 1, float("nan")], "got inf at index 0 and 1 more;")],
)
def test_the_first_score_that_is_no_number_is_named(tmp_path, values, said):
    np.savez(tmp_path / "s.npz", scores=np.array(values))
    with pytest.raises(DataError, match=f"expected finite scores, {said}"):
        read_scores(tmp_path / "s.npz", "s", None, lower_is_id=False)


@pytest.mark.parametrize(
    ("names", "labels", "expected"),
    [
        (["cat", "hot dog"], ["Hot_Dog", "cat ", ""], [1, 0, -1]),
        ([b"caf\xc3\xa9", b"tea"], ["cafe\u0301", "tea", "CAF\u00c9"], [0, 1, 0]),
        (["cat", "hot dog"], [b"hot-dog", b"CAT", b"cat"], [1, 0, 0]),
    ],
)
def test_labels_that_are_names_mean_classes_by_one_rule(tmp_path, names, labels, expected):
    np.savez(tmp_path / "a.npz", logits=np.eye(3, 2, dtype="f4"), classes=np.array(names), labels=np.array(labels))
    assert read_import(tmp_path / "a.npz")["labels"].tolist() == expected


def test_a_label_that_fits_two_classes_is_an_error(tmp_path):
    np.savez(
        tmp_path / "a.npz",
        logits=np.eye(2, dtype="f4"),
        classes=np.array(["Cat", "cat"]),
        labels=np.array(["CAT", "cat"]),
    )
    with pytest.raises(DataError, match="'CAT' fits 'Cat' and 'cat'"):
        read_import(tmp_path / "a.npz")

"""`oodkit import` says what looks like a mistake, and labels find their classes whatever they are called."""

import math
import re

import numpy as np
import pytest

from ood_toolkit.data.catalogue.imagenet import imagenet_names, imagenet_wnids

RNG = np.random.default_rng(0)
TEXT = RNG.normal(size=(3, 8)).astype(np.float32)
NAMES = np.array(["cat", "dog", "car"])
LABELS = np.arange(12) % 3
ROWS = (TEXT[LABELS] + 0.05 * RNG.normal(size=(12, 8))).astype(np.float32)


@pytest.fixture
def put(tmp_path):
    def save(name, **arrays):
        np.savez(tmp_path / f"{name}.npz", **arrays)
        return tmp_path / f"{name}.npz"

    return save


@pytest.fixture
def doubts(oodkit, put):
    def said(*more, **arrays):
        """Import arrays and give the lines below the first."""
        done = oodkit("import", "s", put("s", **arrays), "--replace", *more)
        assert (done.code, done.err) == (0, "")
        first, *rest = done.out.splitlines()
        assert re.match(r"s \(test\) of model (imported|mine): ", first)
        return [line.strip() for line in rest]

    return said


def accuracy(done):
    assert done.code == 0, done.err
    found = re.search(r"accuracy ([\d.]+) %", done.out)
    return float(found[1]) if found else None


@pytest.fixture
def strange(oodkit, put):
    assert oodkit("import", "o", put("o", embeddings=RNG.normal(size=(9, 8)).astype(np.float32))).code == 0


# -- what looks like a mistake ------------------------------------------------------------------------------------


def test_nothing_is_said_of_sound_arrays(doubts):
    assert doubts(embeddings=ROWS, labels=LABELS, classes=NAMES, text=TEXT) == []
    assert doubts(logits=ROWS @ TEXT.T, labels=LABELS, classes=NAMES) == []
    assert doubts(embeddings=ROWS, names=np.array(list("uvwuvwuvwuvw"))) == []
    assert doubts("--scores", scores=RNG.normal(size=9)) == []


@pytest.mark.parametrize("scale", [math.log(100), 4.6052, np.float32(math.log(117.33))])
def test_the_logarithm_of_a_scale(doubts, put, scale):
    (note,) = doubts("--text", put("t", text=TEXT, names=NAMES, scale=scale), embeddings=ROWS)
    assert note.startswith(f"scale {scale:.4g}: is it the log of ")


@pytest.mark.parametrize("times", [1, 100])
@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_probabilities(doubts, times, kind):
    shares = np.exp(ROWS @ TEXT.T)
    shares = times * shares / shares.sum(1, keepdims=True)
    if times == 100 and kind == np.float16:
        return  # their rounding is larger than what tells them from logits
    (note,) = doubts(logits=shares.astype(kind), labels=LABELS, classes=NAMES)
    assert note.endswith(f"sums to {times} and none is negative: are they probabilities? give logits")


@pytest.mark.parametrize("key", ["embeddings", "features"])
def test_equal_rows(doubts, key):
    assert doubts(**{key: np.ones((5, 8), np.float32)}) == ["all 5 embeddings are equal"]
    assert doubts("--scores", scores=np.full(4, 0.5)) == ["all 4 scores are equal"]
    assert doubts("--scores", scores=np.array([0.5])) == []


@pytest.mark.parametrize("hidden", [1, 5, 12])
def test_labels_of_minus_one(doubts, hidden):
    labels = np.where(np.arange(12) < hidden, -1, LABELS)
    (note,) = doubts(embeddings=ROWS, labels=labels, classes=NAMES, text=TEXT)
    assert note == f"{hidden} of its 12 labels are -1 ({100 * hidden / 12:.1f} %): the class of these is not known"


def test_labels_that_are_names_of_no_class(doubts):
    called = NAMES[LABELS].astype("U9")
    called[:2] = ["ship", "Kar"]
    (note,) = doubts(embeddings=ROWS, labels=called, classes=NAMES, text=TEXT)
    assert note == "the labels 'Kar', 'ship' are none of its classes 'cat', 'dog', 'car': it cannot be an ID set so"
    called[:3] = ["", "Kar", "CAR"]
    assert len(doubts(embeddings=ROWS, labels=called, classes=NAMES, text=TEXT)) == 2


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["cat", "dog", "ship"], "the labels 'ship' are none of its classes 'cat', 'dog', 'car'"),
        (["katze", "hund", "auto"], "the labels 'auto', 'hund', 'katze' are none of its classes"),
        (["cats", "dogs", "cars"], "the labels 'cars', 'cats', 'dogs' are none of its classes"),
        (["0", "1", "2"], "the labels '0', '1', '2' are none of its classes"),
        (["cat", "hot dog", "ca r"], "the labels 'ca r', 'hot dog' are none of its classes"),
    ],
)
def test_names_of_no_class_are_told_at_once_and_refused_as_an_id_set(doubts, oodkit, strange, names, said):
    (note,) = doubts(embeddings=ROWS, labels=np.array(names)[LABELS], classes=NAMES, text=TEXT)
    assert note.startswith(said)
    assert note.endswith(": it cannot be an ID set so")
    done = oodkit("bench --id s --ood o --scorers msp --val-split 0")
    assert done.code == 1
    assert "of its images: expected names of the head's 3 classes, 'cat', 'dog', 'car'" in done.err
    assert not re.search("accuracy", done.out)


@pytest.mark.parametrize("scores", [[0.5] * 4, [0.0] * 9, [-1e30, -1e30], [1e-300] * 3])
def test_ready_scores_that_are_all_equal(doubts, oodkit, put, scores):
    assert doubts("--scores", "--model", "mine", scores=np.array(scores)) == [f"all {len(scores)} scores are equal"]
    assert oodkit("import", "p", put("p", scores=np.array(scores)), "--scores", "--model", "mine").code == 0
    done = oodkit("bench --id s --ood p --model mine")
    assert done.code == 0, done.err
    assert "the score is the same for every image, so it tells nothing apart" in " ".join(done.out.split())


# -- labels and classes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("of", [NAMES, np.array(["Cat", "DOG", "car"]), np.array(["cat", "dog", "\ufeffcar"])])
def test_names_of_a_split_without_texts_are_matched_with_the_head_of_another(oodkit, put, strange, of):
    assert oodkit("import", "s", put("s", embeddings=ROWS, labels=LABELS, classes=NAMES, text=TEXT)).code == 0
    val = put("v", embeddings=ROWS, labels=of[LABELS])
    assert oodkit("import", "s", val, "--split", "val").code == 0
    done = oodkit("bench --id s --ood o --scorers grid,temperature")
    assert "skipped" not in done.out
    assert accuracy(done) == 100.0
    other = put("w", embeddings=ROWS, labels=np.array(["cat", "dog", "ship"])[LABELS])
    assert oodkit("import", "s", other, "--split", "val", "--replace").code == 0
    oodkit("bench --id s --ood o --scorers grid").is_refused("the class 'ship' of its images", "the head's 3 classes")


WNIDS, CALLED = imagenet_wnids(), imagenet_names()
CHOSEN = [1, 388, 920]


@pytest.mark.parametrize(
    "labels",
    [
        {"labels": np.array([WNIDS[at] for at in CHOSEN])[LABELS]},
        {"labels": LABELS, "classes": np.array([WNIDS[at] for at in CHOSEN])},
        {"labels": np.array([WNIDS[at] for at in CHOSEN]).astype("S")[LABELS]},
        {"labels": np.array([CALLED[at].title() for at in CHOSEN])[LABELS]},
    ],
    ids=["names", "numbers of ids", "bytes", "other spelling"],
)
def test_wordnet_ids_are_classes_of_an_imagenet_head(oodkit, put, strange, labels):
    texts = RNG.normal(size=(1000, 8)).astype(np.float32)
    texts[CHOSEN] = 4 * TEXT
    whole = put("t", text=texts, names=np.array(CALLED))
    part = put("p", text=TEXT, names=np.array([CALLED[at] for at in CHOSEN]))
    own = 100 * ((ROWS / 1.0) @ (texts / np.linalg.norm(texts, axis=1, keepdims=True)).T).argmax(1)
    for text, expected in ((whole, (own == 100 * np.array(CHOSEN)[LABELS]).mean()), (part, 1.0)):
        assert oodkit("import", "s", put("s", embeddings=ROWS, **labels), "--text", text, "--replace").code == 0
        done = oodkit("bench --id s --ood o --scorers msp --val-split 0")
        assert accuracy(done) == pytest.approx(100 * expected, abs=0.005)


def test_names_are_classes_of_a_head_of_wordnet_ids(oodkit, put, strange):
    text = put("t", text=TEXT, names=np.array([WNIDS[at] for at in CHOSEN]))
    rows = put("s", embeddings=ROWS, labels=np.array([CALLED[at] for at in CHOSEN])[LABELS])
    assert oodkit("import", "s", rows, "--text", text).code == 0
    assert accuracy(oodkit("bench --id s --ood o --scorers msp --val-split 0")) == 100.0


@pytest.mark.parametrize("wnid", ["n99999999", "n02084071", "n01440764"])
def test_an_id_that_is_no_class_of_the_head_is_named(oodkit, put, strange, wnid):
    labels = np.array(["cat", "dog", wnid])[LABELS]
    assert oodkit("import", "s", put("s", embeddings=ROWS, labels=labels, text=TEXT, classes=NAMES)).code == 0
    oodkit("bench --id s --ood o --scorers msp").is_refused(f"the class '{wnid}' of its images")


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("label", "not taken: label; did you mean 'labels'?"),
        ("class_name", "not taken: class_name; did you mean 'class_names'?"),
        ("zzz", "not taken: zzz"),
    ],
)
def test_arrays_that_are_not_taken_are_named(doubts, key, said):
    assert said in doubts(embeddings=ROWS, text=TEXT, classes=NAMES, **{key: LABELS})


def test_labels_of_ready_scores_alone_are_no_models(oodkit, put, strange):
    assert oodkit("import", "s", put("s", embeddings=ROWS, labels=LABELS, classes=NAMES, text=TEXT)).code == 0
    for name, rows in (("s", 12), ("o", 9)):
        scores = put(f"own_{name}", scores=RNG.normal(size=rows))
        assert oodkit("import", name, scores, "--scores", "--model", "own").code == 0
    done = oodkit("bench", "--id", "s", "--ood", "o", "--scorers", "msp", "--val-split", "0")
    assert (done.code, "model imported" in done.out) == (0, True), done.err
    assert oodkit("score", "msp", "--id", "s", "--val-split", "0").code == 0
    assert oodkit("bench", "--id", "s", "--ood", "o", "--model", "own").code == 0

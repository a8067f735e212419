import copy
import pickle
import warnings

import numpy as np
import pytest
import torch

from ood_toolkit.errors import OutputsError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs import derived as module
from ood_toolkit.outputs.derived import PER_IMAGE
from ood_toolkit.outputs.head import Head

pytestmark = pytest.mark.quick

NAN, INF = float("nan"), float("inf")
LOGITS = [[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]]
HEAD = Head.linear([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0.0, 0.0, 1.0], ("a", "b", "c"))
CLIP = Head.zero_shot([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], ("a", "b", "c"), scale=10)
FEATURES = [[3.0, 4.0], [1.0, 0.0]]
REFUSED = {
    "nothing": ({}, "Outputs: expected features, logits or both, got neither"),
    "NaN": ({"logits": [[0.0, NAN]]}, "logits: expected finite numbers, got nan in row 0; drop that row"),
    "infinity": ({"features": [[0.0, 1], [0, -INF]]}, "features: expected finite numbers, got -inf in row 1"),
    "one dimension": ({"logits": [0.0, 1.0]}, "logits: expected 2 dimensions, got shape (2,)"),
    "three dimensions": ({"features": np.zeros((2, 2, 2))}, "features: expected 2 dimensions, got shape (2, 2, 2)"),
    "no rows": ({"logits": np.zeros((0, 3))}, "logits: expected at least one row, got none"),
    "no columns": ({"logits": np.zeros((3, 0))}, "logits: expected at least one column, got shape (3, 0)"),
    "strings": ({"logits": [["a", "b"]]}, "logits: expected an array of numbers, got <U1 (list)"),
    "ragged": ({"features": [[1.0], [1.0, 2.0]]}, "features: expected an array of numbers, got ragged rows"),
    "row mismatch": ({"features": FEATURES, "logits": [[0.0]]}, "logits: expected 2 rows, as many as features, got 1"),
    "labels outside": ({"logits": LOGITS, "labels": [0, 3]}, "labels: expected class indices from 0 to 2 (or -1"),
    "labels below": ({"logits": LOGITS, "labels": [0, -2]}, "labels: expected class indices from 0 to 2 (or -1"),
    "float labels": ({"logits": LOGITS, "labels": [0.0, 1.0]}, "labels: expected whole numbers, got torch.float64"),
    "too few labels": ({"logits": LOGITS, "labels": [0]}, "labels: expected shape (2,), one a row, got (1,)"),
    "labels below without classes": (
        {"features": FEATURES, "labels": [0, -2]},
        "labels: expected class indices from 0",
    ),
    "zero row": ({"features": [[1.0, 1], [0, 0]], "head": CLIP}, "features: row 1 is all zeros and has no direction"),
    "head width": ({"features": [[1.0] * 3], "head": HEAD}, "features: expected width 2 to fit the head, got 3; they"),
    "head classes": (
        {"logits": [[1.0] * 4], "head": HEAD},
        "logits: expected 3 columns, one a class of the head, got 4",
    ),
    "names of the head": (
        {"features": FEATURES, "head": HEAD, "class_names": ["a", "b", "d"]},
        "class_names: they differ from the head's; leave them out",
    ),
    "names": ({"logits": LOGITS, "class_names": ["a"]}, "class_names: expected 3, one a column of logits, got 1"),
    "ids": ({"logits": LOGITS, "ids": ["x"]}, "ids: expected shape (2,), one a row, got (1,)"),
    "extra rows": ({"logits": LOGITS, "extras": {"t": [1.0]}}, "extra:t: expected 2 rows, got shape (1,)"),
    "extra number": ({"logits": LOGITS, "extras": {"t": 1.0}}, "extra:t: expected 2 rows, got shape ()"),
    "extra NaN": (
        {"logits": LOGITS, "extras": {"t": [1.0, NAN]}},
        "extra:t: expected finite numbers, got nan in row 1",
    ),
    "contradiction": (
        {"features": FEATURES, "logits": [[3.0, 4, 8], [1, 0, 2.002]], "head": HEAD},
        "logits: row 1 contradicts features and head by more than 0.001",
    ),
    "contradicting cosine": (
        {"features": FEATURES, "logits": [[0.6, 0.8, 0.98995], [1, 0, 0.70711]], "head": CLIP},
        "logits: row 0 contradicts features and head by more than 0.001",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_with_what_was_expected(case):
    arguments, message = REFUSED[case]
    with pytest.raises(OutputsError) as error:
        Outputs(**arguments)
    assert str(error.value).startswith(message)
    assert isinstance(error.value, ValueError)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("off", [0.0, 5e-4, -5e-4])
def test_logits_that_agree_within_the_tolerance_win(off):
    ready = np.array([[3.0, 4, 8], [1, 0, 2]]) + off
    x = Outputs(FEATURES, ready, head=HEAD)
    assert x.logits.tolist() == ready.tolist()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_logits_stored_in_half_precision_agree_with_full_features(dtype):
    features = torch.randn(50, 32, generator=torch.Generator().manual_seed(0)) * 5
    head = Head.linear(torch.randn(4, 32, generator=torch.Generator().manual_seed(1)), None)
    ready = head.logits(features).to(dtype)
    assert (ready.float() - head.logits(features)).abs().max() > 1e-3
    assert Outputs(features, ready, head=head).logits.tolist() == ready.float().tolist()
    with pytest.raises(OutputsError, match="contradicts features and head"):
        Outputs(features, ready.flip(0), head=head)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["zero_shot", "linear"])
def test_features_stored_in_half_precision_agree_with_full_logits(kind, dtype):
    features = torch.randn(50, 32, generator=torch.Generator().manual_seed(0))
    weight = torch.randn(4, 32, generator=torch.Generator().manual_seed(1))
    head = Head.zero_shot(weight, "abcd") if kind == "zero_shot" else Head.linear(weight, None)
    x = Outputs(features.to(dtype), head.logits(features), head=head)
    assert x.logits.tolist() == head.logits(features).tolist()


def test_half_precision_is_used_as_float32():
    ready = np.array([[0.1, 0.2]], np.float16)
    assert Outputs.from_logits(ready).logits.dtype == torch.float32
    assert Outputs.from_logits(ready).logits.tolist() == ready.astype(np.float32).tolist()
    x = Outputs.from_embeddings(np.array([[0.3, 0.4]], np.float16), CLIP)
    assert (x.embeddings.dtype, x.logits.dtype) == (torch.float32, torch.float32)
    assert "float16 or bfloat16 logits are converted as they are" in Outputs.__doc__


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor, lambda v: torch.tensor(v, requires_grad=True)])
def test_array_likes_are_taken(kind):
    x = Outputs.from_logits(kind(LOGITS), labels=[0, 1], class_names=["a", "b", "c"])
    assert x.prediction.tolist() == [0, 1]
    assert x.max_logit.tolist() == [2, 3]
    assert not x.confidence.requires_grad


def test_whole_numbers_are_taken():
    assert Outputs.from_logits([[1, 0], [0, 5]]).logits.tolist() == [[1, 0], [0, 5]]


def test_a_read_only_memory_map_is_not_copied(tmp_path):
    np.random.default_rng(0).standard_normal((50, 4)).astype(np.float32).tofile(tmp_path / "x.bin")
    mapped = np.memmap(tmp_path / "x.bin", np.float32, "r", shape=(50, 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = Outputs(features=mapped, logits=mapped, extras={"t": mapped})
    for held in (x.features, x.logits, x.extras["t"], x[10:20].features):
        assert mapped.ctypes.data <= held.data_ptr() < mapped.ctypes.data + mapped.nbytes
    assert x.confidence.shape == (50,)


def test_outputs_are_immutable(make_outputs):
    x = make_outputs()
    with pytest.raises(AttributeError, match="Outputs are immutable: cannot set 'labels'"):
        x.labels = None
    with pytest.raises(AttributeError, match="cannot set 'confidence'"):
        x.confidence = torch.ones(60)
    with pytest.raises(AttributeError, match="Outputs are immutable: cannot delete 'labels'"):
        del x.labels
    with pytest.raises(TypeError):
        x.extras["t"] = 1


@pytest.mark.parametrize(
    "change",
    [
        lambda extras: extras.update(t=1),
        lambda extras: extras.pop("a"),
        lambda extras: extras.popitem(),
        lambda extras: extras.clear(),
        lambda extras: extras.setdefault("t", 1),
        lambda extras: extras.__delitem__("a"),
        lambda extras: extras.__ior__({"t": 1}),
    ],
    ids=["update", "pop", "popitem", "clear", "setdefault", "delete", "or"],
)
def test_extras_and_banks_are_read_only(change):
    x = Outputs(logits=[[1.0, 2.0]], extras={"a": [0]})
    banks = Head.zero_shot([[1.0, 0.0]], ["cat"], texts={"a": [[0.0, 1.0]]}).banks
    for held in (x.extras, banks):
        with pytest.raises(TypeError, match="read-only"):
            change(held)
        assert list(held) == ["a"]
        assert list(pickle.loads(pickle.dumps(held))) == list(copy.deepcopy(held)) == ["a"]


def full(n=10):
    rng = np.random.default_rng(3)
    return Outputs(
        rng.standard_normal((n, 2)),
        labels=np.arange(n) % 4 - 1,
        ids=[f"i{row}" for row in range(n)],
        extras={"t": np.arange(n), "w": torch.arange(n), "s": [f"s{row}" for row in range(n)], "u": np.ones((n, 2))},
        head=HEAD,
    )


@pytest.mark.parametrize(
    "index",
    [
        slice(2, 5),
        slice(None, None, 3),
        slice(None, None, -1),
        slice(8, 2, -2),
        np.arange(10)[::-3],
        [7, 0, 7],
        np.array([1, -1]),
        torch.tensor([4]),
        np.arange(10) > 6,
        (torch.arange(10) % 2 == 0),
        3,
        -1,
        np.int64(2),
    ],
    ids=repr,
)
def test_every_array_follows_the_index(index):
    x = full()
    wanted = np.atleast_1d(np.arange(10)[index.numpy() if isinstance(index, torch.Tensor) else index]).copy()
    chosen = x[index]
    assert len(chosen) == len(wanted)
    assert chosen.features.tolist() == x.features[wanted].tolist()
    assert chosen.labels.tolist() == (wanted % 4 - 1).tolist()
    assert chosen.ids.tolist() == [f"i{row}" for row in wanted]
    assert chosen.extras["t"].tolist() == chosen.extras["w"].tolist() == wanted.tolist()
    assert chosen.extras["s"].tolist() == [f"s{row}" for row in wanted]
    assert chosen.logits.numpy() == pytest.approx(x.logits[wanted].numpy())


@pytest.mark.parametrize("index", [[], slice(5, 5), np.zeros(10, bool)])
def test_an_empty_choice_is_refused(index):
    with pytest.raises(OutputsError, match="index: expected to choose at least one of 10 rows, got none"):
        full()[index]


def test_a_row_that_is_not_there_ends_an_iteration():
    with pytest.raises(IndexError, match="index: expected a row from -10 to 9, got 10"):
        full()[10]
    assert [len(row) for row in full()] == [1] * 10


def test_features_may_have_labels_without_a_head():
    x = Outputs(features=FEATURES, labels=[0, 7])
    assert x.labels.tolist() == [0, 7]
    assert x.provides == {"features"}


def test_classes_of_one_name_are_one_class_to_what_is_right():
    x = Outputs.from_logits([[3.0, 1, 2], [1, 2, 3], [9, 1, 1]], [2, 0, 1], ["missile", "tank", "missile"])
    assert x.right.tolist() == [True, True, False]


def test_outputs_can_be_copied_and_pickled():
    x = full()
    for twin in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert torch.equal(twin.logits, x.logits)
        assert twin.extras["t"].tolist() == x.extras["t"].tolist()


@pytest.mark.parametrize("mask", [np.ones(9, bool), np.ones(11, bool), np.ones((10, 2), bool)])
def test_a_mask_of_another_shape_is_refused(mask):
    with pytest.raises(OutputsError, match=r"index: expected a mask of shape \(10,\), got "):
        full()[mask]


def test_chunks_walk_the_rows_in_order():
    x = full()
    assert [chunk.ids.tolist() for chunk in x.chunks(4)] == [
        x.ids[:4].tolist(),
        x.ids[4:8].tolist(),
        x.ids[8:].tolist(),
    ]
    assert next(x.chunks(10)) is x
    with pytest.raises(OutputsError, match="rows: expected at least 1, got 0"):
        next(x.chunks(0))


@pytest.mark.parametrize("rows", [1, 3, 10, None])
def test_map_joins_what_the_chunks_give(rows):
    x = full()
    assert x.map(lambda chunk: chunk.features * 2, rows).tolist() == (x.features * 2).tolist()
    assert x.map(lambda chunk: chunk.extras["t"], rows).tolist() == list(range(10))


def test_iterating_stops_after_the_last_row():
    assert len(list(full().chunks(1))) == 10


@pytest.mark.parametrize(
    "name",
    ("embeddings cosine logits no_logits softmax probs log_probs " + " ".join(module.PER_IMAGE)).split(),
)
def test_what_is_derived_is_made_once(make_outputs, name):
    x = make_outputs()
    assert getattr(x, name) is getattr(x, name)


def test_scorers_share_the_cosines(make_outputs):
    x = make_outputs()
    _ = x.confidence
    assert {"cosine", "logits", "softmax"} <= set(vars(x))
    assert x.tempered(1.0) is x.softmax


def test_derived_arrays_equal_the_slow_formulas(make_outputs):
    x = make_outputs(n=9, bias=-3.0)
    features, head = x.features.double().numpy(), x.head
    for row in range(9):
        unit = features[row] / np.sqrt((features[row] ** 2).sum())
        cosine = np.array([float(unit @ text) for text in head.weight.double().numpy()])
        z = 10 * cosine - 3
        p = np.exp(z) / np.exp(z).sum()
        no = 10 * np.array([float(unit @ text) for text in head.bank("no").embeddings.double().numpy()]) - 3
        assert x.embeddings[row].numpy() == pytest.approx(unit, rel=1e-5, abs=1e-6)
        assert x.cosine[row].numpy() == pytest.approx(cosine, abs=1e-6)
        assert x.logits[row].numpy() == pytest.approx(z, abs=1e-5)
        assert x.no_logits[row].numpy() == pytest.approx(no, abs=1e-5)
        assert x.probs[row].numpy() == pytest.approx(p, rel=1e-4)
        assert x.log_probs[row].numpy() == pytest.approx(np.log(p), abs=1e-4)
        assert x.confidence[row].item() == pytest.approx(p.max(), rel=1e-5)
        assert x.prediction[row].item() == p.argmax()
        assert x.max_logit[row].item() == pytest.approx(z.max(), abs=1e-5)
        assert x.logsumexp[row].item() == pytest.approx(np.log(np.exp(z).sum()), abs=1e-5)
        assert x.entropy[row].item() == pytest.approx(-(p * np.log(p)).sum(), rel=1e-4)
        assert x.tempered(0.5, of="cosine").confidence[row].item() == pytest.approx(
            np.exp(cosine.max() / 0.5) / np.exp(cosine / 0.5).sum(), rel=1e-5
        )
        assert x.top_logits(2)[row].numpy() == pytest.approx(np.sort(z)[::-1][:2], abs=1e-5)


def test_statistics_of_a_set_larger_than_a_chunk_equal_those_of_the_chunks(make_outputs, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_BYTES", 1)
    x = make_outputs(n=700)
    assert x.chunk_rows == 256
    for name in ("prediction", "max_logit", "logsumexp", "confidence", "entropy"):
        parts = torch.cat([getattr(chunk, name) for chunk in x.chunks(256)])
        assert torch.equal(getattr(x, name), parts)
        assert getattr(x, name) is getattr(x, name)
    assert "logits" not in vars(x)


def test_a_tie_is_predicted_as_the_lower_index():
    assert Outputs.from_logits([[1.0, 3, 3, 2]]).prediction.tolist() == [1]


def test_the_shared_top_k_is_the_widest_asked_for():
    x = Outputs.from_logits([[1.0, 4, 3, 2]])
    assert x.top_logits(2).tolist() == [[4, 3]]
    assert x.top_logits(9).tolist() == [[4, 3, 2, 1]]
    assert x.top_logits(3).tolist() == [[4, 3, 2]]


@pytest.mark.parametrize("name", ["cosine", "logits", "no_logits", "softmax", "probs", "log_probs"])
def test_a_whole_array_of_more_than_512_mib_is_refused(name):
    texts = torch.ones(4096, 1)
    head = Head.zero_shot(texts, [str(i) for i in range(4096)], no=texts)
    x = Outputs.from_embeddings(torch.ones(40_000, 1), head)
    with pytest.raises(OutputsError, match=r"\(40000, 4096\) would take 625 MiB, more than 512; walk .* with x\.map"):
        getattr(x, name)
    assert x[:10].confidence.numpy() == pytest.approx(1 / 4096)


def test_cosines_with_a_huge_bank_are_to_be_streamed():
    head = Head.zero_shot(torch.ones(2, 1), "ab", negatives=torch.ones(4096, 1))
    x = Outputs.from_embeddings(torch.ones(40_000, 1), head)
    with pytest.raises(OutputsError, match=r"cosine_to: .*walk the set with x\.blocks\(bank, size\)"):
        x.cosine_to("negatives")
    assert next(x.blocks("negatives", 3)).shape == (40_000, 3)


def test_blocks_joined_are_the_cosines_with_a_bank(make_outputs):
    x = make_outputs()
    wanted = x.embeddings.double() @ x.head.bank("negatives").embeddings.double().T
    assert x.cosine_to("negatives").numpy() == pytest.approx(wanted.numpy(), abs=1e-6)
    assert x.cosine_to(x.head.bank("negatives")).tolist() == x.cosine_to("negatives").tolist()
    blocks = list(x.blocks("negatives", 3))
    assert [block.shape[1] for block in blocks] == [3, 3, 1]
    assert torch.cat(blocks, dim=1).numpy() == pytest.approx(wanted.numpy(), abs=1e-6)


def test_cosines_with_prompt_sets_keep_their_shape(make_outputs):
    x = make_outputs()
    views = x.head.bank("prompts").embeddings
    cosine = x.cosine_to("prompts")
    assert cosine.shape == (60, 3, 5)
    assert cosine[7, 2, 4].item() == pytest.approx(float(x.embeddings[7] @ views[2, 4]), abs=1e-6)


@pytest.mark.parametrize("head", [None, HEAD])
def test_cosines_need_a_zero_shot_head(head):
    x = Outputs(FEATURES, logits=LOGITS if head is None else None, head=head)
    for name in ("cosine", "no_logits"):
        with pytest.raises(OutputsError, match=f"{name}: needs zero_shot, a head of text embeddings; got "):
            getattr(x, name)
    with pytest.raises(OutputsError, match="text:negatives: needs zero_shot"):
        x.cosine_to("negatives")


def test_what_is_missing_is_named():
    with pytest.raises(OutputsError, match="embeddings: needs features, but only ready logits were given"):
        _ = Outputs.from_logits(LOGITS).embeddings
    with pytest.raises(OutputsError, match="logits: expected ready logits or a head, got features only"):
        _ = Outputs(FEATURES).logits
    with pytest.raises(OutputsError, match=r"text:no: this head holds no such bank of texts \(held: none\)"):
        _ = Outputs.from_embeddings(FEATURES, CLIP).no_logits


def test_provides_speaks_the_words_of_needs(make_outputs):
    words = {"logits", "features", "head", "zero_shot", "text:no", "text:negatives", "text:prompts"}
    assert make_outputs().provides == words
    assert Outputs(FEATURES, head=HEAD, extras={"t": [1, 2]}).provides == {
        "logits",
        "features",
        "head",
        "linear_head",
        "extra:t",
    }
    assert Outputs.from_logits(LOGITS).provides == {"logits"}
    assert Outputs(FEATURES).provides == {"features"}


def test_with_head_carries_labels_over_by_name():
    x = Outputs(np.ones((4, 2)), labels=[0, 1, 2, -1], head=HEAD)
    moved = x.with_head(Head.zero_shot(np.eye(2), ("c", "a")))
    assert moved.labels.tolist() == [1, -1, 0, -1]
    assert moved.class_names == ("c", "a")
    assert moved.logits.numpy() == pytest.approx(np.full((4, 2), 100 * 0.5**0.5))
    assert x.labels.tolist() == [0, 1, 2, -1]


def test_with_head_drops_what_was_derived_and_ready_logits():
    x = Outputs(FEATURES, [[3.0, 4, 8], [1, 0, 2]], head=HEAD)
    _ = x.confidence
    moved = x.with_head(Head.linear([[1.0, 0], [0, 2], [0, 0]], None, ("a", "b", "c")))
    assert moved.logits.tolist() == [[3, 8, 0], [1, 0, 0]]
    assert moved.prediction.tolist() == [1, 0]


def test_with_head_refuses_another_width_and_outputs_without_features():
    with pytest.raises(OutputsError, match="features: expected width 3 to fit the head, got 2"):
        Outputs(FEATURES).with_head(Head.linear(np.eye(3), None))
    with pytest.raises(OutputsError, match="with_head: expected features to put a head on, got ready logits only"):
        Outputs.from_logits(LOGITS).with_head(HEAD)
    with pytest.raises(OutputsError, match="with_head: expected class names to carry the labels over, got none"):
        Outputs(FEATURES, LOGITS, labels=[0, 1]).with_head(HEAD)


def test_with_features_puts_an_extra_in_their_place_and_keeps_the_logits():
    x = Outputs(FEATURES, head=HEAD, labels=[0, 1], extras={"pre": [[1, 2, 3], [4, 5, 6]]})
    other = x.with_features("pre")
    assert other.features.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert other.logits.tolist() == x.logits.tolist()
    assert (other.head, other.class_names) == (None, ("a", "b", "c"))
    with pytest.raises(OutputsError, match=r"extra:post: these outputs hold no such array \(held: pre\)"):
        x.with_features("post")


def test_without_labels_keeps_them_as_source_labels():
    x = Outputs.from_logits(LOGITS, labels=[2, 1])
    ood = x.without_labels()
    assert ood.labels is None
    assert ood.extras["source_labels"].tolist() == [2, 1]
    assert x.labels.tolist() == [2, 1]
    assert ood.without_labels() is ood


def test_moving_keeps_all(make_outputs):
    x = make_outputs()
    moved = x.to("cpu")
    assert torch.equal(moved.logits, x.logits)
    assert torch.equal(moved.labels, x.labels)
    assert moved.head.fingerprint == x.head.fingerprint
    assert full().to("cpu").extras["s"].tolist() == full().extras["s"].tolist()


def test_extras_of_every_kind_keep_their_values():
    given = {
        "whole": torch.tensor([1, 2]),
        "bool": np.array([True, False]),
        "text": ["x", "y"],
        "map": np.ones((2, 3, 4)),
    }
    x = Outputs(logits=LOGITS, extras=given)
    assert x.extras["whole"].tolist() == [1, 2]
    assert x.extras["bool"].tolist() == [1, 0]
    assert x.extras["text"].tolist() == ["x", "y"]
    assert x.extras["map"].shape == (2, 3, 4)


def test_the_text_form_says_what_is_held():
    said = "Outputs(n=2, classes=3, provides=[features, head, linear_head, logits])"
    assert repr(Outputs(FEATURES, head=HEAD)) == said


def test_real_clip_vectors_are_classified_as_published(clip):
    right = clip["cifar10"].prediction == clip["cifar10"].labels
    assert right.double().mean().item() == pytest.approx(0.896)


@pytest.mark.parametrize("model", ["resnet20", "resnet56"])
def test_real_half_precision_features_head_and_logits_agree(data, model):
    folder = data / "logits" / "resnet_cifar10"
    arrays, head = np.load(folder / f"{model}_cifar10_test.npz"), np.load(folder / f"{model}_head.npz")
    names = head["classes"].tolist()
    labels = [names.index(name) for name in arrays["names"]]
    linear = Head.linear(head["weight"], head["bias"], names)
    assert arrays["features"].dtype == np.float16
    x = Outputs(arrays["features"], arrays["logits"], labels, ids=arrays["files"], head=linear)
    assert x.logits.numpy() == pytest.approx(arrays["logits"])
    wanted = (arrays["logits"].argmax(1) == labels).mean()
    assert wanted == pytest.approx(0.83, abs=0.02)
    assert (x.prediction == x.labels).double().mean().item() == pytest.approx(wanted)
    computed = Outputs(arrays["features"], head=linear)
    assert computed.logits.numpy() == pytest.approx(arrays["logits"], abs=0.05)
    with pytest.raises(OutputsError, match="contradicts features and head"):
        Outputs(arrays["features"], arrays["logits"][::-1], head=linear)


def test_what_the_head_multiplies_gives_the_logits_of_either_kind(make_outputs):
    clip, linear = make_outputs(), Outputs(FEATURES, head=HEAD)
    torch.testing.assert_close(clip.head_input.norm(dim=1), torch.ones(len(clip)))
    assert linear.head_input is linear.features
    for x in (clip, linear):
        torch.testing.assert_close(x.head.apply(x.head_input), x.logits)
    with pytest.raises(OutputsError, match="head_input: needs a head"):
        _ = Outputs(FEATURES).head_input


def test_features_below_zero_are_noticed_only_where_asked():
    needs = frozenset({"features", "nonnegative_features", "train"})
    signed, rectified = Outputs(-torch.tensor(FEATURES)), Outputs(FEATURES)
    assert signed.lacking(needs) == {"nonnegative_features", "train"}
    assert rectified.lacking(needs) == {"train"}
    assert Outputs(logits=FEATURES).lacking(needs) == {"features", "nonnegative_features", "train"}


def test_labels_may_be_class_names():
    names = ["apple pie", "Sushi", "taco"]
    logits = np.eye(3, dtype=np.float32)
    for labels in (
        ["taco", "apple_pie", "sushi"],
        np.array([b"taco", b"apple pie", b"SUSHI"]),
        np.array(["taco", "apple pie", "Sushi"], object),
    ):
        assert Outputs.from_logits(logits, labels, names).labels.tolist() == [2, 0, 1]
    head = Head.linear(logits, None, names)
    assert Outputs(logits, labels=["taco"] * 3, head=head).labels.tolist() == [2, 2, 2]
    with pytest.raises(OutputsError, match="labels: 'pizza' among no classes; known are 'apple pie', 'Sushi', 'taco'"):
        Outputs.from_logits(logits, ["taco", "pizza", "taco"], names)
    with pytest.raises(OutputsError, match="labels: expected numbers, got names but no class names"):
        Outputs.from_logits(logits, ["taco"] * 3)


@pytest.mark.parametrize("stored", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("given", [None, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["zero-shot", "linear"])
def test_features_of_half_precision_go_with_their_exact_logits_whatever_they_were_turned_into(stored, given, kind):
    draw = torch.Generator().manual_seed(0)
    weight, exact = torch.randn(20, 64, generator=draw), 3 * torch.randn(300, 64, generator=draw)
    head = Head.zero_shot(weight, list("abcdefghijklmnopqrst")) if kind == "zero-shot" else Head.linear(weight, None)
    logits = Outputs(exact, head=head).logits
    half = exact.to(stored)
    assert Outputs(half if given is None else half.to(given), logits, head=head).classes == 20
    moved = logits + 2 * torch.linspace(0, 1, 300)[:, None] * logits.abs().max()
    with pytest.raises(OutputsError, match=r"row \d+ contradicts features and head by more than 0.001, by \d"):
        Outputs(half if given is None else half.to(given), moved, head=head)


def test_the_error_says_how_far_logits_and_features_are_apart():
    head = Head.linear(torch.eye(2), None)
    with pytest.raises(OutputsError, match=r"row 1 contradicts features and head by more than 0\.001, by 0\.25; they"):
        Outputs([[1.0, 0.1], [0.3, 0.7]], [[1.0, 0.1], [0.3, 0.95]], head=head)


def test_what_a_set_holds_its_parts_have_too(make_outputs, monkeypatch):
    monkeypatch.setattr("ood_toolkit.outputs.derived.CHUNK_BYTES", 1)  # chunks of 256 rows
    held, plain = make_outputs(700), make_outputs(700)
    held.hold()
    held.hold()
    products = []
    monkeypatch.setattr(Head, "cosine", lambda head, rows: products.append(len(rows)))
    whole = [*held.chunks(), held[[3, 600, 5]], held[100:130].blind(), held.blind()[torch.arange(700) % 2 == 0]]
    parts = [{name: getattr(part, name) for name in ("logits", *PER_IMAGE)} for part in whole]
    assert products == []
    monkeypatch.undo()
    monkeypatch.setattr("ood_toolkit.outputs.derived.CHUNK_BYTES", 1)
    rows = [*(range(start, min(start + 256, 700)) for start in (0, 256, 512)), [3, 600, 5], range(100, 130)]
    rows.append(range(0, 700, 2))
    for part, places in zip(parts, rows, strict=True):
        for name, array in part.items():
            torch.testing.assert_close(array, getattr(plain, name)[list(places)], rtol=1e-6, atol=1e-6)
    assert held.with_head(held.head).__dict__.keys().isdisjoint(("logits", "_handed_on"))


def test_many_logits_are_not_held(make_outputs, monkeypatch):
    monkeypatch.setattr("ood_toolkit.outputs.derived.HELD", 100)
    x = make_outputs(60)
    x.hold()
    assert "confidence" in x[:5].__dict__
    assert "logits" not in x[:5].__dict__
    assert torch.equal(x[7:9].confidence, make_outputs(60).confidence[7:9])

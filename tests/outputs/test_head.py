import hashlib

import numpy as np
import pytest
import torch

from ood_toolkit.errors import OutputsError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Bank, Head, normalise

pytestmark = pytest.mark.quick

TEXTS = [[3.0, 4.0], [0.0, 2.0], [-1.0, 0.0]]
NAMES = ("a", "b", "c")


def test_a_zero_shot_head_scales_cosines_and_adds_the_bias():
    head = Head.zero_shot(TEXTS, NAMES, scale=10, bias=-2)
    logits = head.logits(torch.tensor([[5.0, 0.0]]))
    assert logits.numpy() == pytest.approx(np.array([[4.0, -2.0, -12.0]]), abs=1e-6)
    assert head.weight.numpy() == pytest.approx(np.array([[0.6, 0.8], [0, 1], [-1, 0]]))


def test_a_linear_head_takes_features_as_they_are():
    head = Head.linear(TEXTS, [1.0, 2.0, 3.0], NAMES)
    assert head.logits(torch.tensor([[2.0, 1.0]])).tolist() == [[11.0, 4.0, 1.0]]
    assert head.logits(torch.tensor([[2.0, 1.0]], dtype=torch.float16)).dtype == torch.float32
    assert head.logits(torch.tensor([[2.0, 1.0]], dtype=torch.float64)).dtype == torch.float64
    with pytest.raises(OutputsError, match="cosine: needs a zero-shot head, got a linear one; use logits"):
        head.cosine(torch.tensor([[1.0, 0.0]]))


def test_a_linear_head_without_bias_and_names_has_zeros_and_numbers():
    head = Head.linear(TEXTS, None)
    assert head.bias.tolist() == [0, 0, 0]
    assert head.class_names == ("0", "1", "2")


def test_the_default_scale_is_one_hundred():
    assert Head.zero_shot(TEXTS, NAMES).scale == 100.0


def test_banks_are_unit_rows_with_their_strings():
    head = Head.zero_shot(
        TEXTS, NAMES, no=[[2.0, 0]] * 3, negatives=(["x", "y"], [[0, 3.0], [4, 3]]), texts={"views": np.ones((4, 3, 2))}
    )
    assert head.bank("negatives").texts == ("x", "y")
    assert head.bank("negatives").embeddings.numpy() == pytest.approx(np.array([[0, 1], [0.8, 0.6]]))
    assert head.bank("no").rows.tolist() == [[1, 0]] * 3
    assert head.bank("views").embeddings.shape == (4, 3, 2)
    assert head.bank("views").rows.numpy() == pytest.approx(np.full((12, 2), 0.5**0.5))


def test_with_banks_leaves_the_first_head_as_it_was():
    head = Head.zero_shot(TEXTS, NAMES)
    more = head.with_banks({"negatives": [[1.0, 0.0]]})
    assert not head.banks
    assert set(more.banks) == {"negatives"}
    with pytest.raises(TypeError):
        more.banks["other"] = more.bank("negatives")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Head.zero_shot(TEXTS, NAMES, scale=0), "scale: expected a number above 0 (100 for released"),
        (lambda: Head.zero_shot(TEXTS, NAMES, scale=-1), "scale: expected a number above 0 (100 for released"),
        (lambda: Head.zero_shot(TEXTS, NAMES, scale=float("inf")), "scale: expected a finite number, got inf"),
        (lambda: Head.zero_shot(TEXTS, NAMES, bias=float("nan")), "bias: expected a finite number, got nan"),
        (lambda: Head.zero_shot(TEXTS, NAMES, bias=np.zeros(3)), "bias: expected a finite number, got ndarray"),
        (lambda: Head.zero_shot(TEXTS, NAMES, scale="high"), "scale: expected a finite number, got str"),
        (lambda: Head.zero_shot(TEXTS, NAMES, scale=None), "scale: expected a finite number, got None"),
        (lambda: Head.zero_shot(TEXTS, NAMES[:2]), "class_names: expected 3, one a class, got 2"),
        (lambda: Head.zero_shot([1.0, 2.0], NAMES), "text_embeddings: expected 2 dimensions, got shape (2,)"),
        (lambda: Head.zero_shot([[0.0, 0.0]], ["a"]), "text_embeddings: row 0 is all zeros"),
        (lambda: Head.zero_shot([[float("nan"), 1]], ["a"]), "text_embeddings: expected finite numbers, got nan"),
        (lambda: Head.zero_shot(TEXTS, NAMES, no=[[1.0, 0.0]]), "text:no: expected (3, 2), one row a class, got"),
        (lambda: Head.zero_shot(TEXTS, NAMES, no=np.ones((2, 3, 2))), "text:no: expected (3, 2), one row a class"),
        (lambda: Head.zero_shot(TEXTS, NAMES, negatives=[[1.0]]), "text:negatives: expected width 2, got 1"),
        (lambda: Head.zero_shot(TEXTS, NAMES, negatives=[1.0]), "text:negatives: expected 2 or 3 dimensions"),
        (lambda: Head.zero_shot(TEXTS, NAMES, negatives=(["x"], TEXTS)), "text:negatives: expected 3 strings, one a"),
        (lambda: Head.linear(TEXTS, [1.0, 2.0], NAMES), "bias: expected (3,), one a class, got (2,)"),
        (lambda: Head.linear(TEXTS, [1, 2, float("nan")]), "bias: expected finite numbers, got nan"),
        (lambda: Head.linear([[float("inf")]], None), "weight: expected finite numbers, got inf"),
        (
            lambda: Head.linear(TEXTS, None, NAMES).logits(torch.ones(1, 5)),
            "features: expected width 2 to fit the head",
        ),
        (lambda: Head.zero_shot(TEXTS, NAMES).logits(torch.ones(1, 5)), "features: expected width 2 to fit the head"),
        (lambda: Head.linear(TEXTS, None).bank("no"), "text:no: this head holds no such bank of texts (held: none)"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_expected(make, message):
    with pytest.raises(OutputsError) as error:
        make()
    assert str(error.value).startswith(message)


def test_equal_heads_have_equal_fingerprints_and_others_differ():
    def make(**changes):
        return Head.zero_shot(**({"text_embeddings": TEXTS, "class_names": NAMES} | changes)).fingerprint

    others = [
        {"class_names": ("a", "b", "d")},
        {"scale": 99.0},
        {"bias": 1.0},
        {"text_embeddings": [[3, 4.0], [0, 2], [-1, 0.1]]},
        {"no": TEXTS},
        {"negatives": TEXTS},
    ]
    assert make() == make()
    assert len({make(), *(make(**change) for change in others)}) == 7


def test_moving_keeps_all():
    head = Head.zero_shot(TEXTS, NAMES, 7.0, 1.0, negatives=(["x"], [[1.0, 1.0]])).to("cpu")
    assert head.bank("negatives").texts == ("x",)
    assert head.fingerprint == Head.zero_shot(TEXTS, NAMES, 7.0, 1.0, negatives=[[1.0, 1.0]]).fingerprint


def test_a_bank_is_taken_as_it_is():
    bank = Bank.of(TEXTS, "bank")
    assert Bank.of(bank, "bank") is bank
    assert bank.texts is None


@pytest.mark.parametrize("size", [1e-45, 1e-30, 1e-18, 1.0, 1e18, 1e25, 3e38])
def test_rows_of_any_length_become_unit_rows(size):
    rows = normalise(torch.tensor([[size, -size], [size, 0.0], [3.0, 4.0]]))
    assert rows.numpy() == pytest.approx(np.array([[0.5**0.5, -(0.5**0.5)], [1, 0], [0.6, 0.8]]), rel=1e-6)


def test_a_row_of_zeros_stays_finite():
    assert normalise(torch.tensor([[0.0, 0.0], [0.0, 2.0]])).tolist() == [[0, 0], [0, 1]]


def test_a_linear_head_of_unit_rows_divides_by_the_length_first():
    head = Head.linear([[1.0, 0.0], [0.0, 2.0]], [0.5, 0.0], ["a", "b"], unit_rows=True)
    rows = torch.tensor([[3.0, 4.0], [0.0, 9.0]])
    assert head.logits(rows).numpy() == pytest.approx(np.array([[1.1, 1.6], [0.5, 2.0]]))
    x = Outputs(rows, head=head)
    assert x.logits.numpy() == pytest.approx(np.array([[1.1, 1.6], [0.5, 2.0]]))
    assert torch.equal(head.apply(x.head_input), x.logits)
    assert "linear_head" in x.provides
    assert "zero_shot" not in x.provides
    Outputs(rows, logits=x.logits, head=head)  # no contradiction
    with pytest.raises(OutputsError, match="contradicts"):
        Outputs(rows, logits=head.apply(rows), head=head)
    with pytest.raises(OutputsError, match="row 1 is all zeros and has no direction"):
        Outputs([[1.0, 0.0], [0.0, 0.0]], head=head)
    assert head.to("cpu").unit_rows


def test_the_fingerprint_knows_unit_rows_and_is_what_it_was_without():
    weight, names = np.array([[1.0, 0.0], [0.0, 2.0]], dtype=np.float32), ["a", "b"]
    plain = Head.linear(weight, None, names)
    assert plain.fingerprint != Head.linear(weight, None, names, unit_rows=True).fingerprint
    known = hashlib.sha256(repr(("linear", ("a", "b"), 1.0, (2, 2))).encode())
    known.update(weight.tobytes() + np.zeros(2, dtype=np.float32).tobytes())
    assert plain.fingerprint == known.hexdigest()

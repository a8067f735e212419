"""What arrays cost and who is charged, with a clock that only work moves."""

import pytest
import torch

from ood_toolkit import Outputs
from ood_toolkit.outputs import ledger as ledgers
from ood_toolkit.outputs.ledger import Ledger, once, shared

CLOCK = [0.0]


def work(seconds):
    CLOCK[0] += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    CLOCK[0] = 0.0
    monkeypatch.setattr(ledgers.time, "perf_counter", lambda: CLOCK[0])


class Arrays:
    """`sum` is made of `left` and `right`; `alone` of nothing."""

    @shared
    def left(self):
        work(1)
        return 1

    @shared
    def right(self):
        work(2)
        return 2

    @shared
    def sum(self):
        work(4)
        return self.left + self.right

    @shared
    def alone(self):
        work(8)
        return 8

    def tempered(self, by):
        return once(self, f"_tempered {by}", lambda: work(16) or self.right / by)


USERS = {
    "a": lambda x: (work(0.5), x.sum),
    "b": lambda x: (x.sum, x.left),
    "c": lambda x: x.alone,
    "d": lambda x: x.right,
    "e": lambda x: x.tempered(2),
}


def settled(order, chunks=3):
    ledger = Ledger()
    for _ in range(chunks):
        x = Arrays()
        for user in order:
            with ledger.charging(user):
                USERS[user](x)
    return ledger.settle()


@pytest.mark.parametrize("order", ["abcde", "edcba", "dbeca", "cadbe"])
def test_whoever_comes_first_is_not_charged_for_all(order):
    seconds, together = settled(order)
    assert seconds == {"a": 1.5, "b": 0.0, "c": 24.0, "d": 0.0, "e": 48.0}
    assert together == 3 * (1 + 2 + 4)


@pytest.mark.parametrize(("order", "expected"), [("a", {"a": 3 * 7.5}), ("d", {"d": 6.0}), ("e", {"e": 54.0})])
def test_what_one_alone_uses_is_its_own(order, expected):
    assert settled(order) == (expected, 0.0)


def test_without_a_ledger_all_is_as_it_was():
    x = Arrays()
    assert (x.sum, x.tempered(2), x.tempered(2), CLOCK[0]) == (3, 1.0, 1.0, 23.0)
    assert ledgers.ITEMS not in x.__dict__
    assert Arrays.left.__doc__ is None
    ledger = Ledger()
    with ledger.charging("a"):
        assert x.sum == 3  # made before: nobody's cost
    assert ledger.settle() == ({"a": 0.0}, 0.0)


def test_an_error_is_charged_and_nothing_is_kept():
    class Broken:
        @shared
        def part(self):
            work(3)
            raise ValueError("no")

    ledger, x = Ledger(), Broken()
    for user in "ab":
        with pytest.raises(ValueError, match="no"), ledger.charging(user):
            _ = x.part
    with ledger.charging("c"):
        work(1)
    assert ledger.settle() == ({"a": 3.0, "b": 3.0, "c": 1.0}, 0.0)


def test_outputs_share_what_they_derive():
    names = ("logits", "softmax", "confidence", "entropy", "prediction", "max_logit", "logsumexp")
    for order in (names, names[::-1]):
        x, ledger = Outputs.from_logits(torch.eye(4)), Ledger()
        for name in order:
            with ledger.charging(name):
                getattr(x, name)
        with ledger.charging("tempered"):
            x.tempered(2.0)
        items = x.__dict__[ledgers.ITEMS]
        assert "softmax" in items
        ledger.settle()
        assert items["logits"].users == {*names, "tempered"}
        assert items["entropy"].users == {"entropy"}


def test_the_widest_of_the_largest_logits_wins():
    x = Outputs.from_logits(torch.arange(12.0).reshape(1, 12))
    assert x.top_logits(2).tolist() == [[11.0, 10.0]]
    assert x.top_logits(10).shape == (1, 10)
    assert x.top_logits(3).tolist() == [[11.0, 10.0, 9.0]]
    assert x.__dict__["_sorted"].shape == (1, 10)

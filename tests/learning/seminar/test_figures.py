import pytest

from ood_toolkit.learning.seminar.figures import published

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("row", published().detection, ids=lambda row: f"{'+'.join(row.id)}-{row.ood}")
def test_a_printed_rate_is_the_share_of_uncertain_images(row):
    assert 100 * row.uncertain / row.images == pytest.approx(row.rate, abs=0.0051)
    assert row.images == next(part.test for part in published().sets if part.role == row.ood)
    assert row.ood not in row.id


def test_every_table_is_whole():
    figures = published()
    assert [len(row.id) for row in figures.detection] == [1] * 6 + [2] * 3
    assert len({(row.id, row.ood) for row in figures.detection}) == 9
    assert {(row.role, row.task) for row in figures.uncertainty} == {
        (role, task) for role in ("CIFAR-10", "Food-101") for task in ("misclassified", "OOD")
    }
    for row in figures.uncertainty:  # what the seminar claims of them
        assert row.values["class-wise"] > row.values["grid"] > row.values["mean"]

import pytest

from ood_toolkit.errors import DataError
from ood_toolkit.report.images_of_rows import case_of, id_test_of
from ood_toolkit.report.results import Row


class Run:
    """A run whose answers are gone."""

    header = {"id": [{"name": "i"}]}  # noqa: RUF012
    rows = ()
    answers = {}  # noqa: RUF012


@pytest.mark.quick
@pytest.mark.parametrize("name", ["o", "x" * 4000, "a\nb\x1b]0;title\x07", "\u202egnp.exe" * 90])
def test_what_is_not_there_is_said_in_one_short_line(name):
    for row, find in ((Row("ood", "msp", "i", ood=name), case_of), (Row("ood", "msp", name, ood="o"), id_test_of)):
        with pytest.raises(DataError, match=r"^msp on .*: expected scores of every image, got none of ") as error:
            find(Run(), row)
        said = str(error.value)
        assert said.isprintable()
        assert len(said) < 600

"""Which file of a trained head is meant for which ID set."""

import pytest

from ood_toolkit.benchmark.head_files import head_files
from ood_toolkit.errors import DataError

pytestmark = pytest.mark.quick


@pytest.fixture
def trained(tmp_path):
    for name in ("a", "folder%3Ax=y"):
        (tmp_path / name.replace("=", "%3D")).mkdir()
        (tmp_path / name.replace("=", "%3D") / "head.safetensors").touch()
    return tmp_path


def test_a_file_a_folder_and_the_folder_of_one_set_are_one_head(trained):
    file = str(trained / "a" / "head.safetensors")
    for place in (trained, trained / "a", file, f"a={file}", f"a={trained}"):
        assert head_files([str(place)], ["a"]) == {"a": file}
    assert head_files([], ["a"]) == {}


def test_several_sets_find_theirs_in_the_folder(trained):
    names = ["a", "folder_x=y"]
    with pytest.raises(DataError, match=f"expected a head of {names[1]} in"):
        head_files([str(trained)], names)
    found = head_files([f"{names[1]}={trained / 'a'}", f"a={trained}"], names)
    assert found == dict.fromkeys(names, str(trained / "a" / "head.safetensors"))


def test_one_head_for_two_and_two_for_one_are_refused(trained):
    file = str(trained / "a" / "head.safetensors")
    with pytest.raises(DataError, match="is one head, but there are 2 ID sets; give NAME=FILE for each"):
        head_files([file], ["a", "b"])
    with pytest.raises(DataError, match="expected one head for a, got"):
        head_files([file, file], ["a"])
    with pytest.raises(DataError, match="got none for b; add b=FILE"):
        head_files([f"a={file}"], ["a", "b"])
    with pytest.raises(DataError, match="no such file or folder"):
        head_files(["absent"], ["a"])

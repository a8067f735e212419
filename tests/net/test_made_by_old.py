"""What an earlier version left behind is read by this one, which encodes nothing anew and gives the same numbers.

`made_by_old/` was written by `python tests/net/record.py make-old tests/net/made_by_old --package OLD`, with the code
from before its modules moved into folders.
"""

import json
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "made_by_old" / "expected.json").read_text(encoding="utf-8"))
VERSIONS = EXPECTED.pop("versions")
TRAINED = ("prompts", "clipn", "cma")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What comes of it now."""
    archive, work = HERE / "made_by_old" / "artefacts.tar.gz", tmp_path_factory.mktemp("made-by-old")
    done = subprocess.run(
        [sys.executable, HERE / "record.py", "go-on", archive, work], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def flat(value, name=""):
    """Give nested values by their path."""
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return {path: leaf for key, part in parts for path, leaf in flat(part, f"{name}/{key}").items()}
    return {name: value}


@pytest.mark.parametrize("what", EXPECTED)
def test_what_comes_of_it_is_what_came_of_it(found, what):
    before, after = flat(EXPECTED[what]), flat(found[what])
    fresh = {path: count for path, count in after.items() if "/encoded/" in path and count}
    other = [name for name in ("scikit-learn", "pillow") if version(name) != VERSIONS[name]]
    if fresh and other:
        pytest.skip(f"{' and '.join(other)} may give digits other pixels or rows than the version of then: {fresh}")
    assert not fresh, "images are encoded again"
    near = {"rel": 1e-2, "abs": 1e-3} if what in TRAINED else {"rel": 1e-4, "abs": 1e-6}
    kept = {path: value for path, value in after.items() if path in before}  # further facts may have come
    assert kept == {path: pytest.approx(value, **near) if isinstance(value, float) else value
                    for path, value in before.items()}  # fmt: skip

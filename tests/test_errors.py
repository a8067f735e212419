import re
from pathlib import Path

import pytest

from ood_toolkit import errors
from ood_toolkit.errors import OodkitError

pytestmark = pytest.mark.quick


def below(kind: type[OodkitError]) -> list[type[OodkitError]]:
    return [deeper for child in kind.__subclasses__() for deeper in [child, *below(child)] if of_ours(child)]


def of_ours(kind: type) -> bool:
    return kind.__module__ == errors.__name__


def tree(kind: type[OodkitError], depth: int = 0) -> list[str]:
    """Draw an error and those below it, each with the builtins that it is by itself."""
    also = ", ".join(base.__name__ for base in kind.__bases__ if base.__module__ == "builtins")
    line = "  " * depth + "- " + kind.__name__ + (f" ({also})" if also else "")
    return [line, *(deeper for child in kind.__subclasses__() if of_ours(child) for deeper in tree(child, depth + 1))]


def test_the_docstring_draws_the_tree_of_errors():
    drawn = [line for line in (errors.__doc__ or "").splitlines() if line.lstrip().startswith("- ")]
    assert drawn == tree(OodkitError)
    assert len(drawn) == len(re.findall(r"^class ", Path(errors.__file__).read_text(), re.MULTILINE))


@pytest.mark.parametrize("kind", below(OodkitError), ids=lambda kind: kind.__name__)
def test_every_error_is_also_a_builtin_that_a_caller_would_catch(kind):
    assert issubclass(kind, (ValueError, TypeError, RuntimeError))
    assert errors.one_line(kind("two\n  lines")) == "two lines"

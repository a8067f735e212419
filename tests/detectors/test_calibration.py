"""What a calibration record says."""

from dataclasses import dataclass

import pytest

from ood_toolkit.detectors.calibration import guarantee
from ood_toolkit.errors import DetectorError
from ood_toolkit.scorers.rules import PROMISING, RULES, Rule

pytestmark = pytest.mark.quick


@dataclass(frozen=True)
class Unheard(Rule):
    """A rule that somebody added without a sentence on what it promises."""

    def __post_init__(self):
        """Leave out the checks."""


@pytest.mark.parametrize("name", RULES)
def test_every_rule_says_what_it_promises(name):
    assert guarantee(Rule.of(name)).startswith("No promise") == (name not in PROMISING)


def test_no_rule_promises_what_another_does():
    said = [guarantee(Rule.of(name)) for name in sorted(PROMISING)]
    assert len(set(said)) == len(said)
    with pytest.raises(DetectorError, match="nothing is said here of what median promises"):
        guarantee(Unheard("median"))

"""What a calibration record says."""

import pytest

from ood_toolkit.detectors.calibration import guarantee
from ood_toolkit.scorers.rules import RULES, Rule

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("name", RULES)
def test_every_rule_says_what_it_promises(name):
    assert guarantee(Rule.of(name)).startswith("No promise") == (not Rule.of(name).promises)


def test_no_rule_promises_what_another_does():
    said = [guarantee(Rule.of(name)) for name in ("conformal", "pac", "risk")]
    assert len(set(said)) == len(said)
    assert all(said[place].startswith(begin) for place, begin in enumerate(("At least 95 %", "With 95 %", "With 90 %")))

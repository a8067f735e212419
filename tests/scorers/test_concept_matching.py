import math

import numpy as np
import pytest

from ood_toolkit.errors import OutputsError, ScorerError
from ood_toolkit.outputs import Outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.scorers.cma import CMA
from ood_toolkit.scorers.concept_matching import AGENTS, ConceptMatching
from ood_toolkit.scorers.mcm import MCM
from ood_toolkit.testing import check_scorer

pytestmark = [pytest.mark.quick, pytest.mark.usefixtures("one_thread")]


def problem(k=6, agents=5, n=40, d=7):
    rng = np.random.default_rng(0)
    texts, others, images = (rng.normal(size=shape) for shape in ((k, d), (agents, d), (n, d)))
    head = Head.zero_shot(texts, [f"class {i}" for i in range(k)], 100.0, texts={"agents": others})
    return Outputs.from_embeddings(images, head), *(row / np.linalg.norm(row, axis=1, keepdims=True)
                                                    for row in (images, texts, others))  # fmt: skip


def slow(images, texts, agents, temperature, ratio):
    """Write the list of agents out, taken in turn until there are ceil(ratio k), and sum image by image."""
    total = max(1, math.ceil(ratio * len(texts)))
    taken = [agents[i % len(agents)] for i in range(total)]
    found = []
    for v in images:
        inside = [math.exp(float(v @ t) / temperature) for t in texts]
        outside = [math.exp(float(v @ a) / temperature) for a in taken]
        found.append(max(inside) / (sum(inside) + sum(outside)))
    return found


@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0])
@pytest.mark.parametrize(("k", "agents", "ratio"), [(6, 5, 1.0), (3, 5, 1.0), (6, 5, 2.5), (6, 4, 0.01), (2, 1, 1.0)])
def test_equals_the_sum_with_agents_in_turn(k, agents, ratio, temperature):
    x, *arrays = problem(k, agents)
    wanted = slow(*arrays, temperature, ratio)
    assert ConceptMatching(temperature, ratio).score(x).numpy() == pytest.approx(wanted, rel=1e-9)


def test_many_agents_change_what_mcm_says_and_few_hardly_do():
    x, *_ = problem()
    alone, beside = MCM().score(x), ConceptMatching(ratio=0.01).score(x)
    assert bool((beside < alone).all())
    assert bool((ConceptMatching(ratio=3.0).score(x) < beside).all())


def test_the_reference_code_s_agents_are_encoded_as_they_are():
    (bank,) = ConceptMatching().prompts.banks
    assert (bank.name, bank.source, bank.templates) == ("agents", AGENTS, ("{}",))
    assert len(AGENTS) == 5
    assert ConceptMatching().prompts.templates == ("a photo of a {}",)


def test_both_of_the_name_say_that_it_is_shared():
    assert "concept-matching" in CMA.__doc__
    assert "`cma`" in ConceptMatching.__doc__


def test_wrong_parameters_and_missing_texts():
    for name in ("temperature", "ratio"):
        with pytest.raises(ScorerError, match=f"concept-matching: {name}: expected a number above 0, got 0"):
            ConceptMatching(**{name: 0})
    x = Outputs.from_embeddings(np.eye(3), Head.zero_shot(np.eye(3), "abc"))
    with pytest.raises(OutputsError, match="text:agents: this head holds no such bank"):
        ConceptMatching().score(x)


def test_conformance():
    assert check_scorer("concept-matching").passed

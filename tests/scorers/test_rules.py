from dataclasses import fields

import pytest

from ood_toolkit import Detector, get_registry
from ood_toolkit.errors import ScorerError
from ood_toolkit.scorers.rules import KINDS, RULES, Rule, check_rule

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("tpr", "tpr"),
        ("tpr:target=0.95", "tpr"),
        ("tpr:target=0.9", "tpr:target=0.9"),
        ("conformal:by=predicted", "conformal:by=predicted"),
        ("conformal:by='true'", "conformal:by=true"),
        ("conformal:by=true:target=0.9", "conformal:target=0.9:by=true"),
        ("conformal:by=none:target=0.9", "conformal:target=0.9"),
        ("(pac:delta=0.1:target=0.95)", "pac:delta=0.1"),
        ("risk:target=0.02:delta=0.1", "risk"),
        ("cost:error=5:reject=1", "cost:error=5.0"),
    ],
)
def test_a_rule_is_written_and_read(text, canonical):
    made = Rule.of(text)
    assert made.text == canonical
    assert Rule.of(made.text) == made
    assert Rule.of(made) is made


def test_a_target_given_apart_holds_where_the_text_names_none():
    assert Rule.of("pac", 0.9).target == 0.9
    assert Rule.of("pac:target=0.8", 0.9).target == 0.8
    assert Rule.of("risk", 0.05).target == 0.05
    assert [Rule.of(name).promises for name in RULES] == [n in ("conformal", "pac", "risk") for n in RULES]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_row_of_the_table_is_whole(kind):
    assert (kind.rank is None) != (kind.cut is None)
    assert not (kind.shrinks and kind.promise)  # what is promised would not be of the shrunk threshold
    assert not (kind.compares and (kind.cut is None or "target" not in kind.parameters))
    assert set(kind.parameters) <= {one.name for one in fields(Rule)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("conformat", "unknown rule 'conformat'; did you mean 'conformal'"),
        ("tpr:by=true", "tpr has no parameter 'by'"),
        ("conformal:by=classes", "by: expected none, predicted, true, got 'classes'"),
        ("pac:delta=2", r"delta: expected a share between 0 and 1, got 2\.0"),
        ("pac:delta=nan", "delta: expected a share between 0 and 1, got nan"),
        ("risk:target=a", "risk: target: expected a number, got 'a'"),
        ("cost:error=0", r"error: expected a cost above 0, got 0\.0"),
        ("cost:reject=inf", "reject: expected a cost above 0, got inf"),
        ("tpr:target", "expected key=value"),
        ("", "expected a name"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(text, said):
    with pytest.raises(ScorerError, match=said):
        Rule.of(text)


def test_class_wise_scorers_take_the_rules_with_a_promise(make_outputs):
    val = make_outputs(400)
    for text in ("classwise:rule=pac:target=0.5", "classwise:rule='risk:target=0.2'", "classwise:rule='cost:error=2'"):
        scorer = get_registry().scorer(text)
        assert get_registry().scorer(scorer.spec) == scorer
        margins = Detector.fit(scorer, val).score(val)
        assert (margins >= 0).any()
        assert (margins < 0).any()
    assert get_registry().scorer("classwise:rule='risk'").needs >= {"val_labels"}
    with pytest.raises(ScorerError, match="one threshold for all classes"):
        get_registry().scorer("classwise:rule='conformal:by=true'")
    with pytest.raises(ScorerError, match="risk takes its numbers in the rule"):
        check_rule("risk", 0.9)


def test_a_class_that_must_accept_nothing_has_margins_below_zero(make_outputs, tmp_path):
    made = Detector.fit("classwise:rule=risk", make_outputs(40))  # far too few
    x = make_outputs(30, seed=1)
    assert not made.predict(x).any()
    made.save(tmp_path / "d")
    assert not Detector.load(tmp_path / "d").predict(x).any()
    assert any("classes accept nothing" in note for note in made.notes)

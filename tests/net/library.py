"""Calls of the library, by its public names alone: `python library.py CASE` prints what they give, digit for digit."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import runpy
import sys
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inputs import NAMES
from showing import flat, shown

import ood_toolkit
from ood_toolkit import Detector, Member, NotFittedError, OodkitError, Scorer, StreamScorer, bench, fit, metrics, score
from ood_toolkit import errors as error_module
from ood_toolkit.outputs import Bank, Head, Outputs
from ood_toolkit.testing import check_scorer, make_problem

PER_IMAGE = (
    "embeddings", "head_input", "cosine", "logits", "no_logits", "probs", "log_probs", "prediction", "right",
    "max_logit", "logsumexp", "confidence", "entropy",
)  # fmt: skip
PAIRS = (
    "ap_in", "ap_out", "aupr_in", "aupr_out", "auroc", "auroc_variance", "detection_error", "fpr95_id", "fpr95_ood",
    "tnr_at_tpr95",
)  # fmt: skip
DETECTORS = (
    "energy", "msp", "classwise", "classwise:rule=conformal:target=0.9", "grid", "knn:k=5", "mahalanobis", "gmm",
    "neglabel:groups=2", "classwise:base=(knn:k=20)",
)  # fmt: skip
STREAMS = ("adaneg", "tanl")
CONFORMANCE = ("msp", "classwise", "knn:k=5", "react", "neglabel", "adaneg")


def say(name: str, value: Any) -> None:
    """Print a value under a name: floats with all digits, arrays as a hash with their first values."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    for line in flat(name, value):
        print(line)


def attempt(name: str, call: Callable[[], Any]) -> None:
    """Print what a call gives, or which error it raises."""
    try:
        say(name, call())
    except Exception as error:
        kinds = [kind.__name__ for kind in type(error).__mro__[:-2]]
        print(f"{name}: raised {' < '.join(kinds)}: {error}")


def toys(count: int = 80, seed: int = 0, names: tuple[str, ...] = NAMES) -> Outputs:
    """Make labelled zero-shot outputs of four classes with all banks that scores ask for."""
    texts, draw = np.random.default_rng(7), np.random.default_rng(seed)
    text = texts.normal(size=(len(names), 12)).astype("f4")
    head = Head.zero_shot(
        text, names, scale=30.0, bias=0.5, no=-text, negatives=(["red", "blue"], texts.normal(size=(2, 12))),
        texts={"prompts": texts.normal(size=(3, len(names), 12))},
    )  # fmt: skip
    labels = np.arange(count) % len(names)
    return Outputs(text[labels] + 0.9 * draw.normal(size=(count, 12)).astype("f4"), labels=labels, head=head)


def strange(count: int = 50) -> Outputs:
    """Make outputs of none of the classes, under the same head."""
    return Outputs(np.random.default_rng(3).normal(size=(count, 12)).astype("f4"), head=toys().head)


def names() -> None:
    """Tell the public names, and that each can be had."""
    say("all", sorted(ood_toolkit.__all__))
    say("dir", [name for name in dir(ood_toolkit) if name in ood_toolkit.__all__])
    for name in sorted(ood_toolkit.__all__):
        say(name, type(getattr(ood_toolkit, name)).__name__)
    for name in ("metrics", "testing"):
        module = importlib.import_module(f"ood_toolkit.{name}")
        say(name, sorted(module.__all__))
        say(f"{name} had", [key for key in module.__all__ if hasattr(module, key)])
    kinds = {key: kind for key, kind in vars(error_module).items() if isinstance(kind, type)}
    for key, kind in sorted(kinds.items()):
        say(key, " < ".join(base.__name__ for base in kind.__mro__))
    attempt("nothing", lambda: ood_toolkit.nothing)


def outputs() -> None:
    """Tell everything that outputs derive, with a zero-shot head, a linear one and ready logits."""
    x = toys()
    raw = np.random.default_rng(5).normal(size=(40, 6))
    linear = Head.linear(np.random.default_rng(6).normal(size=(4, 6)), [0.1, 0.2, 0.3, 0.4], NAMES, unit_rows=True)
    ready = Outputs.from_logits(raw, np.arange(40) % 6)
    kinds = {"zero-shot": x, "linear": Outputs.from_embeddings(raw, linear, np.arange(40) % 4), "logits": ready}
    kinds["part"] = x[5:30:2]
    kinds["other head"] = x.with_head(Head.zero_shot(np.eye(4, 12), NAMES[::-1]))
    for kind, x in kinds.items():
        say(kind, repr(x))
        say(f"{kind} provides", sorted(x.provides))
        say(f"{kind} lacks", sorted(x.lacking(frozenset({"text:no", "linear_head", "val", "extra:local"}))))
        for name in PER_IMAGE:
            attempt(f"{kind}.{name}", partial(getattr, x, name))
        attempt(f"{kind}.top", partial(x.top_logits, 2))
        attempt(f"{kind}.negatives", partial(x.cosine_to, "negatives"))
        say(f"{kind}.chunks", [len(chunk) for chunk in x.chunks(17)])
        say(f"{kind}.head", None if x.head is None else [repr(x.head.kind), x.head.fingerprint, x.head.class_names])
    _network()


def _network() -> None:
    """Tell what outputs of a torch classifier are."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Linear(7, 3))
    loader = [(torch.randn(6, 5), torch.tensor([0, 1, 2, 0, 1, 2])) for _ in range(3)]
    x = Outputs.from_model(module, loader)
    say("network", [x.features, x.logits, x.labels, x.head.fingerprint if x.head else None])
    bank = Bank.of((["red", "blue"], np.eye(2, 5)), "bank")
    say("bank", [bank.embeddings, bank.texts, bank.rows])


def numbers() -> None:
    """Tell every metric, with and without ties, and every protocol."""
    draw = np.random.default_rng(0)
    cases = {
        "docs": ([3, *range(5, 24)], [0, 1, 2, 4, 5, 5, 6, 9, 13, 20]),
        "ties": (draw.normal(1, 1, 300).round(1), draw.normal(0, 1, 200).round(1)),
        "apart": ([2.0, 3.0, np.inf], [-np.inf, 0.0]),
        "constant": ([1, 1, 1, 1], [1, 1, 1]),
    }
    for kind, (inside, outside) in cases.items():
        for name in PAIRS:
            attempt(f"{kind}.{name}", partial(getattr(metrics, name), inside, outside))
        for name in metrics.PROTOCOLS:
            attempt(f"{kind}.{name}", partial(metrics.evaluate, inside, outside, name))
        attempt(f"{kind}.interval", partial(metrics.auroc_interval, inside, outside, 0.9))
        attempt(f"{kind}.plain", partial(metrics.auroc_interval, inside, outside, scale="plain"))
        attempt(f"{kind}.intervals", partial(metrics.intervals, inside, outside, "native", 50, 3))
        other = np.asarray(inside, dtype=float) - np.arange(len(inside)) % 2
        attempt(f"{kind}.delong", partial(metrics.delong_test, inside, outside, other, outside))
        attempt(f"{kind}.paired", partial(metrics.paired_bootstrap, inside, outside, other, outside, "mcm", 40))
    say("holm", metrics.holm([0.01, 0.04, 0.03]))
    scores, right = draw.normal(size=100).round(1), draw.random(100) < 0.8
    say("aurc", [metrics.aurc(scores, right), metrics.eaurc(scores, right)])
    say("calibration", [metrics.accuracy(right), metrics.ece(draw.random(100), right, bins=10)])
    decided = scores > 0
    for name in ("f1_uncertain", "accuracy_uncertain"):
        attempt(name, partial(getattr(metrics, name), decided, right))
    say("rates", [metrics.id_accepted(decided), metrics.ood_detected(~decided)])
    for name in metrics.PROTOCOLS:
        found = metrics.find_protocol(name)
        say(name, [found.fpr_rule, found.averaging, list(found.measures)])
    for wrong in (([], [1]), ([np.nan], [1]), ([[1.0]], [1]), (["a"], [1])):
        attempt(f"auroc{wrong}", partial(metrics.auroc, *wrong))
    attempt("unknown protocol", lambda: metrics.evaluate([1], [0], "nativ"))


def _listed() -> list[dict[str, Any]]:
    """Give all scorers as the command line lists them."""
    out = io.StringIO()
    before, sys.argv = sys.argv, ["oodkit", "scorers", "--json"]
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        runpy.run_module("ood_toolkit", run_name="__main__")
    sys.argv = before
    return json.loads(out.getvalue())


def scorers() -> None:
    """Tell what every scorer gives on the problem of the conformance kit."""
    for one in _listed():
        name, needs = one["name"], frozenset(one.get("needs", ()))
        problem = make_problem(needs | {"val", "train"}, 4)
        attempt(name, partial(_scored, name, problem))
        attempt(f"{name} at edges", partial(_scored, name, problem, problem.edges))


def _scored(name: str, problem: Any, x: Outputs | None = None) -> Any:
    if name in STREAMS:
        return score(name, problem.x if x is None else x)
    fitted = fit(name, problem.val, problem.train)
    given = fitted.score(problem.x if x is None else x)
    state = fitted.state() if hasattr(fitted, "state") else {}
    return {"scores": given, "notes": list(getattr(fitted, "notes_", ())), "state": state}


def _flaky() -> type[Scorer]:
    class Flaky(Scorer):
        """Fails when it scores."""

        name = "flaky"
        needs = frozenset({"logits"})

        def score(self, x):
            raise ZeroDivisionError("no luck")

    return Flaky


def _counting() -> type[StreamScorer]:
    return type("Nothing", (StreamScorer,), {"name": "nothing", "__doc__": "Gives nothing."})


def _forms(name: str, report: Any, folder: str | None = None) -> None:
    """Print a report in all forms."""
    for form in ("table", "to_json", "to_csv", "to_markdown", "to_latex"):
        print(f"== {name} {form}\n{getattr(report, form)()}")
    print(f"== {name} pandas\n{report.to_pandas().drop(columns='seconds').to_string()}")
    say("failed", [row.scorer for row in report.failed])
    say("ran", report.ran)
    if folder:
        report.save(folder)
        print(shown(Path(folder), {}))


def benches() -> None:
    """Tell reports of outputs in memory."""
    test, val, train, ood = toys(), toys(60, 1), toys(100, 2), {"noise": strange(), "less": strange(20)}
    some = ["msp", "energy", "classwise", "knn:k=5", "neglabel:groups=2", "gl-mcm", _flaky()()]
    given = {"test": test, "val": val, "train": train, "ood": ood}
    about = {"note": "mine"}
    plain = bench(some, **given, id_name="toys", groups={"far": ["noise"]}, about=about, ci=40, paired="first")
    _forms("plain", plain, "library-run")
    _forms("mcm", bench("msp,mcm", **given, protocol="mcm", tune={"hard": strange(30)}, csid={"shift": toys(30, 4)}))
    _forms("tuned", bench("knn,gen", **given, tune={"hard": strange(30)}, seed=2))
    _forms("members", _members())
    logits = np.random.default_rng(0).normal(size=(60, 5))
    _forms("arrays", bench("msp,energy", test=logits[:40] * 3, ood={"rest": logits[40:]}))


def _members() -> Any:
    heads = {name: toys(names=names).head for name, names in (("one", NAMES), ("two", ("fox", "gnu", "hen", "ibex")))}
    rows = {"one": toys(), "two": toys(40, 8), "noise": strange(), "val": toys(60, 1)}

    def under(name: str, head: Head, *, known: bool) -> Outputs:
        x = rows[name]
        return Outputs(x.features, labels=x.labels if known else None, head=head)

    members = {}
    for name, head in heads.items():
        tests = {other: under(other, head, known=other == name) for other in heads}
        members[name] = Member(under("val", head, known=True), tests, {"noise": under("noise", head, known=False)})
    return bench("msp,classwise", members=members, combiners="max-confidence,vote,mean-score:target=0.9")


def detectors() -> None:
    """Tell what detectors decide, before and after they were saved, and what is in their files."""
    val, train, test, ood = toys(60, 1), toys(100, 2), toys(), strange()
    for number, spec in enumerate(DETECTORS):
        made = Detector.fit(spec, val, train)
        file = Path(f"gate-{number}.safetensors")
        made.save(file)
        gate = Detector.load(file)
        for which, one in (("made", made), ("loaded", gate)):
            about = [one.threshold.hex(), one.rule, one.classes, one.width, one.notes, one.class_names]
            say(f"{spec} {which}", [about, one.score(test), one.predict(test), one.score(ood), one.predict(ood)])
        print(shown(file, {}))
    gate = Detector.fit("energy", val, rule="tpr", target=0.99)
    say("bare rows", [gate.threshold.hex(), gate.predict(Outputs(features=ood.features))])
    say("score", score("mcm", test))
    attempt("other model", lambda: gate.predict(Outputs.from_logits(np.eye(3))))
    attempt("own threshold", lambda: Detector.fit("classwise", val, target=0.5))
    attempt("unfit", lambda: Detector.fit("knn", val))
    attempt("absent", lambda: Detector.load("absent.safetensors"))
    attempt("no detector", lambda: Detector.load("tiny.safetensors"))


def conformance() -> None:
    """Tell what the conformance kit finds."""
    for spec in CONFORMANCE:
        attempt(spec, partial(_checked, spec))
    attempt("flaky", partial(_checked, _flaky()()))
    attempt("a class", partial(_checked, _flaky()))
    attempt("nothing", partial(_checked, _counting()))


def _checked(scorer: Any) -> Any:
    found = check_scorer(scorer)
    return [found.scorer, found.passed, dict(found.exempted)]


def errors() -> None:
    """Tell the errors of wrong calls."""
    x, rows = toys(), np.ones((6, 12))
    calls: dict[str, Callable[[], Any]] = {
        "neither": lambda: Outputs(),
        "nan": lambda: Outputs(rows * np.nan),
        "no rows": lambda: Outputs(rows[:0]),
        "flat": lambda: Outputs(rows[0]),
        "words": lambda: Outputs([["a", "b"]]),
        "labels outside": lambda: Outputs.from_logits(np.eye(3), [0, 1, 3]),
        "labels of other length": lambda: Outputs.from_logits(np.eye(3), [0, 1]),
        "other width": lambda: Outputs.from_embeddings(np.ones((3, 5)), x.head),
        "contradiction": lambda: Outputs(x.features, logits=x.logits + 1, head=x.head),
        "immutable": lambda: setattr(x, "labels", None),
        "row": lambda: x[500],
        "no head": lambda: Outputs(rows).logits,
        "no bank": lambda: x.cosine_to("nothing"),
        "zero row": lambda: Head.zero_shot(np.zeros((2, 3)), ["a", "b"]),
        "names": lambda: Head.zero_shot(np.eye(3), ["a", "b"]),
        "scale": lambda: Head.zero_shot(np.eye(2), ["a", "b"], scale=-1),
        "bias": lambda: Head.linear(np.eye(2), [1, 2, 3]),
        "unknown scorer": lambda: score("mps", x),
        "unknown parameter": lambda: score("knn:q=3", x),
        "bad value": lambda: score("knn:k=many", x),
        "out of range": lambda: fit("knn:k=0", x, x),
        "open parenthesis": lambda: score("classwise:base=(knn:k=3", x),
        "too few": lambda: fit("knn:k=500", x, x),
        "unmet": lambda: score("react", x),
        "not fitted": lambda: _unfitted(),
        "no test": lambda: bench("msp"),
        "both": lambda: bench("msp", test=x, members={}),
        "ood list": lambda: bench("msp", test=x, ood=[x]),
        "unknown group": lambda: bench("msp", test=x, ood={"a": strange()}, groups={"far": ["b"]}),
        "combiners alone": lambda: bench("msp", test=x, combiners="vote"),
        "unknown combiner": lambda: bench("msp", members={}, combiners="vot"),
        "empty": lambda: bench("", test=x),
        "twice": lambda: bench("msp,msp", test=x, ood={"a": strange()}).to_csv().count("\n"),
        "full folder": lambda: bench("msp", test=x, ood={"a": strange()}).save("pictures"),
        "no folder": lambda: Detector.fit("msp", x).save("absent/gate.safetensors"),
        "roots": lambda: [issubclass(NotFittedError, OodkitError), issubclass(NotFittedError, AttributeError)],
    }
    for name, call in calls.items():
        attempt(name, call)


def _unfitted() -> Any:
    fitted = fit("classwise", toys())
    return type(fitted)().score(toys())


def cases() -> dict[str, Callable[[], None]]:
    """Give the cases by name."""
    own = (names, outputs, numbers, scorers, benches, detectors, conformance, errors)
    return {case.__name__: case for case in own}


def main(arguments: list[str]) -> None:
    """Run the cases that are named."""
    torch.set_num_threads(1)
    for name in arguments:
        cases()[name]()


if __name__ == "__main__":
    main(sys.argv[1:])

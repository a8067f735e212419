"""`bench`: scorers on ID and OOD sets, single models and combinations, to a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ood_toolkit.api.combiner import Combiner
from ood_toolkit.api.registry import get_registry
from ood_toolkit.api.scorer import Prompts
from ood_toolkit.api.stream import AnyScorer
from ood_toolkit.benchmark.checks import check_labels, merging
from ood_toolkit.benchmark.classifiers import Classifiers
from ood_toolkit.benchmark.members import Member, check_groups, check_shifted, named, shared_set, sharing
from ood_toolkit.benchmark.progress import spoken
from ood_toolkit.benchmark.ready import checked, put
from ood_toolkit.benchmark.reported import lost, reported
from ood_toolkit.benchmark.rows import Rows
from ood_toolkit.benchmark.scoring import Scoring
from ood_toolkit.benchmark.tuning import tuned
from ood_toolkit.errors import OutputsError
from ood_toolkit.metrics import find_protocol
from ood_toolkit.outputs import Outputs, as_outputs
from ood_toolkit.outputs.head import Head
from ood_toolkit.report import Report
from ood_toolkit.report.comparison import compared
from ood_toolkit.report.evaluation import (
    About,
    full_header,
    full_spectrum,
    header_of,
    mean_rows,
    ood_rows,
)
from ood_toolkit.report.results import TEST, Answers, Row
from ood_toolkit.report.versions import versions

__all__ = ["Member", "bench", "bench_scores"]


def bench(
    scorers: str | AnyScorer | Iterable[str | AnyScorer],
    test: Outputs | None = None,
    ood: Mapping[str, Outputs] | None = None,
    val: Outputs | None = None,
    train: Outputs | None = None,
    combiners: str | Combiner | Iterable[str | Combiner] = (),
    members: Mapping[str, Member] | Sequence[Member] | None = None,
    *,
    id_name: str = "id",
    groups: Mapping[str, Sequence[str]] | None = None,
    protocol: str = "native",
    heads: Callable[[Prompts], Head] | None = None,
    about: Mapping[str, Any] | None = None,
    progress: Callable[..., None] | None = None,
    seed: int = 0,
    ci: int = 0,
    paired: bool = False,
    tune: Mapping[str, Outputs] | None = None,
    csid: Mapping[str, Outputs] | None = None,
    ready: Mapping[str, Mapping[str, Any]] | None = None,
) -> Report:
    """Score an ID test set and OOD sets with every scorer and report how well they are told apart.

    `test`, `val` and `train` are ID outputs of one model, `ood` maps names to OOD outputs under the same head; or
    `members` names several models, one an ID set, or several classifiers of one ID set, and `combiners` merge them.
    `fit` sees `val` and `train` only. Without `val` no decision is made and scorers that need it are skipped. A scorer
    with unmet needs gives rows "skipped", one that raises rows "failed"; the rest goes on.

    `groups` maps a name to OOD sets that are averaged together; `protocol` is whose rules the metrics follow; `heads`
    makes the head of a scorer's own prompts; `about` is added to the header; `seed` shuffles what scorers of streams
    see, the ID test and one OOD set at a time, and draws the `ci` resamples of 95 % intervals; `paired` tests each
    scorer against the first. `tune` maps names to OOD validation outputs: the values in a scorer's `grid` that tell ID
    validation from them best take the place of its defaults. `csid` maps names to covariate-shifted ID outputs, which
    nothing is fitted on: every scorer is shown once more on the full spectrum, the ID test and these together, in rows
    whose `id` is `ID+csid`. `ready` maps the label of a method of your own to its scores by set, one for each image of
    the ID test (`id_name`), of every set in `ood` and in `csid`, in the order of their outputs, higher = more
    in-distribution: it stands as a row beside the scorers. `progress` is told each step as a text; one that takes five
    values is told, often, the step, how much of it is done, of how much, of what, and which scorer is at work.

    Raises `OutputsError` for arguments that contradict each other, `SpecError` for a spec that is not understood,
    `MetricError` for an unknown protocol, `DataError` for a label of `ready` that a scorer of the run has, `UsageError`
    for a combiner that these members do not allow.

    >>> import numpy as np
    >>> from ood_toolkit import Outputs, bench
    >>> draw = np.random.default_rng(0)
    >>> known, other = draw.normal(size=(2, 200, 5)) * [[[4.0]], [[1.0]]]  # logits of ID and OOD images
    >>> report = bench("msp", Outputs.from_logits(known), {"other": Outputs.from_logits(other)})
    >>> report.rows[0].scorer, report.rows[0].ood, report.rows[0].metrics["auroc"] > 0.8
    ('msp', 'other', True)
    """
    registry, out_of_service = get_registry(), dict[str, str]()
    find_protocol(protocol)
    instances = registry.scorers(scorers, out_of_service)
    shared = None if members is None else shared_set(members)
    merged_by = merging(combiners, registry, members is not None and shared is None)
    if members is None:
        if test is None:
            raise OutputsError("bench: expected test=, the ID test outputs, or members=")
        if merged_by:
            raise OutputsError("bench: combiners merge members; pass members= with one for each model")
        by_name = {id_name: _only_member(id_name, test, ood, val, train, heads, csid)}
    elif any(given is not None for given in (test, ood, val, train, csid)):
        raise OutputsError("bench: expected members= or test=, ood=, val=, train= and csid=, got both")
    elif shared is not None:
        if ready or tune is not None:
            raise OutputsError(f"bench: {'ready' if ready else 'tune'}: goes with one classifier of {shared}")
        run = Classifiers(shared, sharing(members, shared), instances, spoken(progress), groups or {}, protocol, seed)
        found = run.report(merged_by, out_of_service, dict.fromkeys(run.members, about or {}))
        return compared(found, ci, paired, seed)
    else:
        by_name = named(members)
    check_shifted(by_name)
    (first, member), *_ = by_name.items()
    check_groups(groups or {}, member.ood)
    told = spoken(progress)
    tuning = None if tune is None else tuned(instances, by_name, tune, told)
    instances = instances if tuning is None else tuning.scorers
    scoring = Scoring(instances, told, seed)
    check_labels(ready or {}, [scorer.spec for scorer in instances])
    own = checked(ready or {}, by_name)
    answers = {name: scoring.answer(name, member, by_name) for name, member in by_name.items()}
    put(own, answers)
    notes = {} if tuning is None else tuning.notes
    rows = Rows(by_name, answers, scoring, groups or {}, protocol, notes, list(own))
    listed = [row for name in by_name for row in rows.of_member(name)]
    listed += lost(out_of_service, first, list(member.ood))
    for combiner in merged_by:
        listed += [row for scorer in instances for row in rows.of_combination(combiner, scorer.spec)]
    report = reported(rows, listed, about or {}, None if tuning is None else tuning.about)
    return compared(report, ci, paired, seed)


def _only_member(
    id_name: str,
    test: Outputs,
    ood: Mapping[str, Outputs] | None,
    val: Outputs | None,
    train: Outputs | None,
    heads: Callable[[Prompts], Head] | None,
    csid: Mapping[str, Outputs] | None,
) -> Member:
    """Make the one member of a run without combiners; arrays (n, k) stand for logits."""
    for what, given in (("ood", ood), ("csid", csid)):
        if not isinstance(given or {}, Mapping):
            raise OutputsError(f"{what}: expected a mapping of names to outputs, got {type(given).__name__}")
    sets = {name: as_outputs(x, f"ood {name!r}") for name, x in (ood or {}).items()}
    shifted = {name: as_outputs(x, f"csid {name!r}") for name, x in (csid or {}).items()}
    return Member(
        None if val is None else as_outputs(val, "val"),
        {id_name: as_outputs(test, "test")},
        sets,
        None if train is None else as_outputs(train, "train"),
        heads,
        csid=shifted,
    )


def bench_scores(
    arrays: Mapping[str, Mapping[str, np.ndarray]],
    ids: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    about: Mapping[str, Any] | None = None,
    protocol: str = "native",
    csid: Sequence[str] = (),
) -> Report:
    """Report on ready scores (n,), higher = more in-distribution: `arrays` maps each set to `scores` and perhaps `ids`.

    There are no predictions and no validation, so nothing is decided and nothing said of misclassification. The sets
    `csid` count as in-distribution beside the one ID set.
    """
    model = str((about or {}).get("model", ""))
    spec = model or "scores"
    said = {
        name: Answers(held.get("ids", np.arange(len(held["scores"])).astype(str)), {spec: held["scores"]})
        for name, held in arrays.items()
    }
    ood = dict.fromkeys(name for names in groups.values() for name in names)
    named_groups = {group: names for group, names in groups.items() if group}
    if csid and len(ids) > 1:
        raise OutputsError(f"csid: expected one ID set, got {len(ids)}: {', '.join(ids)}; leave csid out")
    rows: list[Row] = []
    sets = {f"ood:{name}": said[name] for name in ood} | {f"csid:{name}": said[name] for name in csid}
    tests = [(About(spec, name), said[name]) for name in ids]
    if csid:
        tests.append((tests[0][0].full, full_spectrum({TEST: tests[0][1], **sets}, csid)))
    for shown, test in tests:
        made = ood_rows(shown, test, {other: said[other] for other in ood}, protocol)
        rows += [replace(row, model=model) for row in (*made, *mean_rows(made, named_groups))]
    header = {
        "protocol": protocol,
        "id": [header_of(name, {TEST: said[name], **sets}) for name in ids],
        "ood": {name: len(said[name]) for name in ood},
        **({"groups": named_groups} if named_groups else {}),
        **({"csid": full_header(ids[0], {TEST: said[ids[0]], **sets}, csid)} if csid else {}),
        "versions": versions(),
        **(about or {}),
    }
    kept: dict[tuple[str, ...], Answers] = {
        (name, key): held for name in ids for key, held in {TEST: said[name], **sets}.items()
    }
    return Report(rows, header, kept)

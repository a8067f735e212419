"""`oodkit bench`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ood_toolkit.cli import options
from ood_toolkit.cli.seminar import NAME as SEMINAR
from ood_toolkit.cli.seminar import seminar

if TYPE_CHECKING:
    from ood_toolkit.benchmark.presets.applied import Benchmark
    from ood_toolkit.report import Report

DEFAULT_SCORERS = "classwise,grid,mean,msp,mcm"
DEFAULT_OOD = "letters,patches"
FORMATS = ("table", "json", "csv", "markdown", "latex")


@click.command("bench")
@click.option(
    "--preset",
    metavar="NAME",
    help="A named benchmark, or the path of a .toml file: its sets, protocol, prompts, preprocessing and scorers hold "
    "where no option says otherwise, and published values stand beside the measured ones. oodkit published lists them.",
)
@click.option(
    "--scorers", default=DEFAULT_SCORERS, show_default=True, help="Specs such as msp,knn:k=100; all; a group."
)
@click.option("--id", "ids", multiple=True, metavar="NAME", help="ID set; repeat it for a combiner. Default: digits.")
@click.option(
    "--ood",
    "ood",
    multiple=True,
    metavar="A,B",
    help="OOD sets, or GROUP=A,B for a mean. Default: letters,patches.",
)
@click.option(
    "--csid",
    multiple=True,
    metavar="A,B",
    help="Covariate-shifted ID sets, such as imagenet-v2: every scorer is shown once more on the full spectrum, where "
    "their images count as in-distribution beside the ID test. Nothing is fitted or calibrated on them.",
)
@options.models
@options.prompts
@options.head
@options.recipe
@options.negatives
@options.texts
@click.option("--combiners", default="", help="Specs of combiners, or all; they merge the models of several ID sets.")
@click.option(
    "--val-split",
    type=click.FloatRange(0, 1, max_open=True),
    help="Share of the ID test images to calibrate on; 0 scores all of them and decides nothing. "
    "Default: the set's own validation, else 0.2.",
)
@click.option(
    "--tune",
    default="",
    metavar="A,B",
    help="OOD validation sets, which are not tested on: each scorer takes the values of its grid that tell ID "
    "validation from them best. oodkit scorers lists the grids.",
)
@click.option(
    "--protocol",
    default="native",
    show_default=True,
    metavar="NAME",
    help="Whose rules the metrics follow: native, openood-v1.5, pytorch-ood, mcm, clipn, knn-ood or vim.",
)
@options.ci
@options.ci_replicates
@options.paired
@options.against
@options.keep
@options.seed
@options.limit
@options.encoding
@options.store
@click.option(
    "--format",
    "style",
    type=click.Choice(FORMATS),
    default="table",
    show_default=True,
    help="Form of the result.",
)
@click.option("--output", type=click.Path(path_type=Path), metavar="DIR", help="Also write the run folder.")
@click.option(
    "--on",
    metavar="embedded|DIR",
    help="With --preset ust-etri: run it on the embedded sets, or on the CLIP vectors in a folder.",
)
def command(
    style: str, output: Path | None, preset: str | None, on: str | None, ci: bool, ci_replicates: int, paired: bool,
    against: str, **asked: Any,
) -> int:  # fmt: skip
    """Compare scorers: how well each tells an ID set from OOD sets, and right from wrong predictions.

    Without options: the embedded digits against letters and patches, encoded by digits-clip.
    """
    from ood_toolkit.cli.progress import clear, progress
    from ood_toolkit.report.run_folder import check_new_folder

    if output is not None:
        check_new_folder(output)
    if preset == SEMINAR:
        report = seminar(on, _given(), **asked)
        clear()
        return _told(report, style, output)
    if on is not None:
        raise click.UsageError(f"--on: goes with --preset {SEMINAR}")
    benchmark = None if preset is None else _benchmark(preset)
    options.check_comparisons(ci, ci_replicates, paired, against)
    asked = asked if benchmark is None else benchmark.filled(asked, _given())
    against = _reference(against, **asked)
    report = _report(**asked)
    if ci or paired:
        from ood_toolkit.report.comparison import compared

        report = compared(report, ci_replicates if ci else 0, paired, asked["seed"], against, progress)
    if benchmark is not None:
        report = benchmark.beside(report)
    clear()
    return _told(report, style, output)


def _told(report: Report, style: str, output: Path | None) -> int:
    """Print and save a report; exit code 1 where something failed, or nothing ran."""
    from ood_toolkit.cli.printing import print_report

    print_report(report, style)
    if output is not None:
        report.save(output)
    for row in report.failed[:1]:
        click.echo(f"oodkit: {row.scorer} failed: {row.notes[0]}", err=True)
    if not report.ran:
        click.echo("oodkit: no scorer could run; see the notes above", err=True)
    return 1 if report.failed or not report.ran else 0


def _benchmark(preset: str) -> Benchmark:
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.benchmark.presets import find_preset
    from ood_toolkit.benchmark.presets.applied import Benchmark

    return Benchmark(find_preset(preset), get_registry())


def _given() -> set[str]:
    """Name the options that the user gave."""
    context = click.get_current_context()
    return {name for name in context.params if context.get_parameter_source(name) is not ParameterSource.DEFAULT}


def _report(
    scorers: str, ids: tuple[str, ...], ood: tuple[str, ...], combiners: str, protocol: str, models: tuple[str, ...],
    **where: Any,
) -> Report:  # fmt: skip
    """Run every model on the same sets and scorers, and join what they gave."""
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.errors import DataError
    from ood_toolkit.metrics import find_protocol

    find_protocol(protocol)
    if where["recipe"] == "average-scores":
        scorers = averaged(scorers)
    get_registry().scorers(scorers, {})  # what is out of service becomes rows of the report
    merging = get_registry().combiners(combiners) if combiners else []
    groups = _groups(ood or (() if ids else (DEFAULT_OOD,)))
    names = tuple(dict.fromkeys(name.strip() for name in ids)) or ("digits",)
    if not any(groups.values()):
        raise click.UsageError("--ood: name the OOD sets, such as --ood letters,patches")
    both = [name for name in names if any(name in group for group in groups.values())]
    if both:
        raise DataError(f"{both[0]}: named after --id and --ood; an OOD set cannot be an ID set too")
    if merging and len(names) < 2:
        raise click.UsageError("--combiners: merges the models of several ID sets; repeat --id")
    where["tune"] = _tune_sets(where["tune"], scorers, names, groups, where["val_split"])
    where["csid"] = _csid_sets(where["csid"], names, groups, where["tune"])
    chosen = tuple(dict.fromkeys(models)) or (None,)
    for model in chosen[1:]:  # what must be refused is refused before the first one runs
        options.chosen(model, (*names, *where["csid"], *where["tune"]), groups, **where)
    reports = [_of_model(model, scorers, names, groups, merging, protocol, where) for model in chosen]
    from ood_toolkit.report.report import joined

    return joined(reports)


def _csid_sets(
    given: tuple[str, ...], ids: tuple[str, ...], groups: dict[str, tuple[str, ...]], tune: tuple[str, ...]
) -> tuple[str, ...]:
    """Read `--csid`; an empty text is none, as a preset may have some."""
    from ood_toolkit.errors import DataError

    names = tuple(dict.fromkeys(name.strip() for text in given for name in text.split(",") if name.strip()))
    if names and len(ids) > 1:
        raise DataError(f"--csid: expected one ID set, got {len(ids)}: {', '.join(ids)}; give each a run of its own")
    for option, others in (("--id", ids), ("--ood", sum(groups.values(), ())), ("--tune", tune)):
        if both := [name for name in names if name in others]:
            raise DataError(f"{both[0]}: named after --csid and {option}; a set has one part in a run")
    return names


def _tune_sets(
    given: str, scorers: str, ids: tuple[str, ...], groups: dict[str, tuple[str, ...]], val_split: float | None
) -> tuple[str, ...]:
    """Read `--tune`, and refuse what cannot be searched before anything is encoded."""
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.errors import DataError

    names = tuple(dict.fromkeys(name.strip() for name in given.split(",") if name.strip()))
    if not names:
        if given:
            raise DataError(f"--tune: expected names of OOD validation sets, got {given!r}")
        return ()
    for option, tested in (("--id", ids), ("--ood", [name for group in groups.values() for name in group])):
        if both := [name for name in names if name in tested]:
            raise DataError(f"{both[0]}: named after --tune and {option}; it cannot be tested on too")
    if len(ids) > 1:
        raise DataError(f"--tune: expected one ID set, got {len(ids)}: {', '.join(ids)}; tune each in a run of its own")
    if val_split == 0:
        raise DataError("--tune: needs ID validation images; leave out --val-split 0")
    from ood_toolkit.benchmark.tuning import check_searched

    check_searched(get_registry().scorers(scorers, {}))
    return names


def _reference(against: str, scorers: str, recipe: str, tune: str, **_: Any) -> str:
    """Find the scorer that others are to be tested against, before any is run."""
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.errors import ScorerError

    if against in ("first", "best"):
        return against
    one, listed = (averaged(text) if recipe == "average-scores" else text for text in (against, scorers))
    wanted, known = get_registry().scorer(one).spec, [scorer.spec for scorer in get_registry().scorers(listed, {})]
    if wanted not in known:
        raise ScorerError(f"--against: expected one of the scorers of this run, {', '.join(known)}; got {against!r}")
    if tune:
        from ood_toolkit.scorers.candidates import searched

        if searched(get_registry().scorer(one)):
            raise ScorerError(f"--against: --tune is yet to choose the parameters of {one}; expected first or best")
    return wanted


def averaged(scorers: str) -> str:
    """Make each scorer average over prompts."""
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.api.stream import each_alone
    from ood_toolkit.scorers.prompt_average import averaged

    made = [each_alone(scorer, "leave out --recipe average-scores") for scorer in get_registry().scorers(scorers)]
    return ",".join(averaged(scorer).spec for scorer in made)


def _of_model(
    model: str | None, scorers: str, names: tuple[str, ...], groups: dict[str, tuple[str, ...]], merging: list[Any],
    protocol: str, where: dict[str, Any],
) -> Report:  # fmt: skip
    """Encode what the store lacks of one model, and score."""
    from ood_toolkit.api.registry import get_registry
    from ood_toolkit.cli.progress import progress

    asked = get_registry().scorers(scorers, {})
    needs = {need for scorer in asked for need in scorer.needs}
    request, sets = options.opened(names, groups, model=model, **options.asked_by(asked, scorers, where))
    from ood_toolkit.benchmark.gather import ready_scores
    from ood_toolkit.benchmark.runner import bench, bench_scores

    ready = ready_scores(sets, [*names, *request.ood, *request.csid])
    if ready is not None:
        _refuse_what_does_not_apply()
        return bench_scores(
            ready, names, groups, {"model": sets.label, "command": sys.argv[1:]}, protocol, request.csid
        )
    gathered = options.gathered(request, sets, needs)
    return bench(
        scorers,
        members=gathered.members,
        combiners=merging,
        groups=gathered.groups,
        protocol=protocol,
        about={**gathered.about, "command": sys.argv[1:]},
        progress=progress,
        seed=where["seed"],
        tune=gathered.tune or None,
    )


def _refuse_what_does_not_apply() -> None:
    """Ready scores are what they are: nothing is fitted, split or drawn from them."""
    context = click.get_current_context()
    for name in ("scorers", "combiners", "prompts", "heads", "val_split", "tune", "limit"):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = "head" if name == "heads" else name.replace("_", "-")
            raise click.UsageError(f"--{option}: does not apply to sets of which ready scores were imported")


def _groups(given: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """Read `a,b` and `near=a,b`."""
    groups: dict[str, tuple[str, ...]] = {}
    for text in given:
        group, equals, sets = text.rpartition("=")
        names = tuple(name.strip() for name in sets.split(",") if name.strip())
        if equals and not (group.strip() and names):
            raise click.UsageError(f"--ood: expected GROUP=A,B, got {text!r}")
        groups[group.strip()] = tuple(dict.fromkeys(groups.get(group.strip(), ()) + names))
    return groups

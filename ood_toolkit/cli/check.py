"""`oodkit check`."""

from __future__ import annotations

from pathlib import Path

import click

from ood_toolkit.cli.choice import Choice
from ood_toolkit.cli.listing import as_json
from ood_toolkit.cli.place import Place
from ood_toolkit.cli.streams import print_json, print_line

KINDS = ("scorers", "combiners", "datasets", "models")


@click.command("check")
@click.argument("name")
@click.option("--kind", type=Choice(KINDS), help="What it is, where several things bear the name.")
@click.option("--data-root", type=Place(file_okay=False), help="Of a data set: where its pictures lie.")
@as_json
def command(name: str, kind: str | None, data_root: Path | None, as_json: bool) -> None:
    """Hold a scorer, combiner, data set or model to its contract.

    NAME is as elsewhere, such as knn:k=5. Prints each check; the exit code is 1 where one failed.
    """
    from ood_toolkit.data.root import default_data_root
    from ood_toolkit.testing.named import check_named
    from ood_toolkit.testing.outcome import ConformanceError, reasons

    try:
        report = check_named(name, kind, data_root or default_data_root())
        passed, failed, exempted = report.passed, dict[str, str](), dict(report.exempted)
    except ConformanceError as error:
        passed, failed, exempted = error.passed, error.failures, error.exempted
    if as_json:
        print_json({"name": name, "passed": list(passed), "failed": failed, "exempted": exempted})
    else:
        for check in passed:
            print_line(f"passed   {check}")
        for check, why in exempted.items():
            print_line(f"left out {check}: {why}")
        for line in reasons(failed):
            print_line(f"FAILED   {line}")
        print_line(f"{name}: {len(passed)} passed, {len(exempted)} left out, {len(failed)} failed")
    if failed:
        raise click.exceptions.Exit(1)

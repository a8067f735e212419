"""Words of which one must be chosen: missing, misspelt, in capitals."""

import click
import pytest

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("plot run -o roc.pdf", "'--kind'. Expected one of roc, hist, thresholds, risk-coverage, scatter, pareto, rel"),
        ("new", "Missing argument '{scorer}'. Expected scorer."),
        ("plot run -o roc.pdf --kind rco", "reliability, got 'rco'; did you mean 'roc'?"),
        ("bench --format JSON", "expected one of table, json, csv, markdown, latex, got 'JSON'; did you mean 'json'?"),
        ("report run --format excel", "expected one of table, json, csv, markdown, latex, got 'excel'"),
        ("compare run run --format tabel", "did you mean 'table'?"),
        ("bench --keep locl", "expected one of pre_projection, local, got 'locl'; did you mean 'local'?"),
    ],
)
def test_what_could_be_chosen_stands_on_one_line(oodkit, line, said):
    done = oodkit(line)
    assert (done.code, done.out) == (2, "")
    assert said in done.err.splitlines()[-1]
    assert "\\t" not in done.err


def test_choices_of_plugins_are_printed_without_signs_for_tabs(oodkit, monkeypatch):
    from ood_toolkit.cli.program import cli

    @click.command("loud")
    @click.option("--how", type=click.Choice(["soft", "hard"]), required=True)
    def loud(how):
        click.echo(how)

    monkeypatch.setattr(cli, "commands", {"loud": loud})
    said = oodkit("loud").err
    assert "soft" in said
    assert "\\t" not in said
    assert oodkit("loud --how hard").out == "hard\n"

"""What is refused before torch is imported, by every command that takes the options."""

import json
import subprocess
import sys

import pytest

from ood_toolkit.benchmark.checks import check_comparisons
from ood_toolkit.benchmark.settings import Settings
from ood_toolkit.errors import UsageError

pytestmark = pytest.mark.quick

SHARED = ("--share s3://bucket", "--share goes with --engine ray")
REFUSED = {
    "bench": [
        SHARED,
        ("--data-root no/such/folder", "--data-root: no such folder"),
        ("--head a --prompts {}", "--head and --prompts are two heads"),
        ("--head no/such/head", "--head: no such file or folder"),
        ("--against best", "--against: goes with --paired"),
        ("--ci-replicates 5", "--ci-replicates: goes with --ci"),
        ("--csid digits", "digits: named after --csid and --id"),
        (f"--texts odd={__file__}", "--texts: no scorer of this run asks for text:odd"),
        ("--gallery 3", "--gallery: goes with --output DIR or --html FILE"),
        ("--gallery 3 --output o --seeds 0,1", "--gallery: goes without --seeds"),
        ("--on embedded", "--on: goes with --preset ust-etri"),
        ("--preset ust-etri --dry-run", "--dry-run: does not go with --preset ust-etri"),
        ("--preset ust-etri --seeds 0,1", "--seeds: does not go with --preset ust-etri"),
        ("--preset ust-etri --ood letters", "--ood: does not go with --preset ust-etri, which decides it"),
        ("--preset ust-etri --on vectors --limit 3", "--limit: the vectors in vectors are used as they are"),
        ("--preset ust-etri --model a --model b", "--model: --preset ust-etri runs one model at a time"),
    ],
    "score msp --id digits": [SHARED],
    "encode digits": [SHARED],
    "fit msp --id digits -o detector": [SHARED],
    "train head --id digits --output head": [SHARED],
    "report no/such/run": [("--against best", "--against: goes with --paired")],
}
PROGRAM = """
import contextlib, io, json, sys
from ood_toolkit.cli import main

found = []
for line in json.loads(sys.argv[1]):
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        try:
            code = main(line)
        except SystemExit as stop:
            code = stop.code
    found.append([code, err.getvalue(), "torch" in sys.modules])
print(json.dumps(found))
"""


def test_it_is_refused_without_torch(tmp_path, monkeypatch):
    monkeypatch.setenv("OODKIT_NO_PLUGINS", "1")
    monkeypatch.setenv("OODKIT_STORE", str(tmp_path / "store"))
    lines = [(f"{command} {typed}".split(" "), said) for command, cases in REFUSED.items() for typed, said in cases]
    program = [sys.executable, "-c", PROGRAM, json.dumps([line for line, _ in lines])]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=True)
    for (line, said), (code, err, loaded) in zip(lines, json.loads(done.stdout), strict=True):
        assert (line, code in (1, 2), said in " ".join(err.split()), loaded) == (line, True, True, False), err
    assert list(tmp_path.iterdir()) == []


def test_what_has_no_effect_is_told_from_the_declared_defaults(monkeypatch):
    usual = Settings()
    check_comparisons(usual)
    check_comparisons(Settings(against="best", paired=True, ci_replicates=7, ci=True))
    for changed in ({"against": "best"}, {"ci_replicates": usual.ci_replicates + 1}):
        with pytest.raises(UsageError, match="goes with"):
            check_comparisons(Settings(**changed))

"""What can be checked of the Dockerfile without Docker."""

import re
from pathlib import Path

import pytest

from ood_toolkit.cli.serve import command

pytestmark = pytest.mark.quick

ROOT = Path(__file__).parents[3]
LINES = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()


def given(word):
    return [line.removeprefix(word).strip() for line in LINES if line.startswith(f"{word} ")]


def test_it_runs_as_a_user_without_rights_and_listens_to_all():
    assert given("USER") == ["oodkit"]
    words = re.findall(r'"([^"]*)"', given("ENTRYPOINT")[0])
    assert words[:2] == ["oodkit", "serve"]
    made = command.make_context("serve", words[2:]).params
    assert (str(made["file"]), made["host"], str(made["port"])) == ("/detector.oodkit", "0.0.0.0", given("EXPOSE")[0])
    assert LINES.index("USER oodkit") > max(row for row, line in enumerate(LINES) if line.startswith("RUN"))


def test_what_it_copies_is_there_and_not_left_out():
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {word for line in given("COPY") for word in line.split()[:-1]}
    assert copied == kept
    assert all((ROOT / name).exists() for name in copied)

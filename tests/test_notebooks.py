"""The notebooks: each runs and shows what is stored in it, and what is stored can be read anywhere."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "docs" / "notebooks.py"
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
each = pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda file: file.stem)


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("notebooks_of_the_docs", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells_of(file, kind):
    return [cell for cell in json.loads(file.read_text())["cells"] if cell["cell_type"] == kind]


def sources(file, kind):
    return ["".join(cell["source"]) for cell in cells_of(file, kind)]


@each
def test_it_runs_and_shows_what_is_stored(file):
    done = subprocess.run([sys.executable, SCRIPT, "--check", file], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@each
def test_every_cell_of_code_has_run_in_order_and_shows_something_of_use(file):
    code = cells_of(file, "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data"}
    assert sum("image/png" in output.get("data", {}) for output in outputs) <= 1
    assert sum(bool(cell["outputs"]) for cell in code) > 5


@each
def test_it_is_small_and_of_the_form_that_forges_read(file):
    text, notebook = file.read_text(), json.loads(file.read_text())
    assert len(text.encode()) < 150_000
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[\w-]{1,64}", name) for name in ids)
    assert notebook["cells"][0]["source"][0].startswith("# ")
    assert text == json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


@each
def test_it_names_no_path_of_a_machine_and_no_time(file):
    notebook = json.loads(file.read_text())
    texts = [line for cell in notebook["cells"] for one in cell.get("outputs", []) for line in one.get("text", [])]
    assert [line for line in texts if re.search(r"\d\s*(?:ms|s|sec|seconds)\b", line)] == []
    texts += [line for cell in notebook["cells"] for line in cell["source"]]
    assert [line for line in texts if re.search(r"/(?:work|tmp|root|home|usr|var|mnt|Users)\b", line)] == []


@each
def test_its_links_lead_somewhere(file):
    for target in re.findall(r"\]\(([^)\s]+)\)", "\n".join(sources(file, "markdown"))):
        path, _, anchor = target.partition("#")
        assert (file.parent / path).is_file(), target
        headings = re.findall(r"^#+ (.+)$", (file.parent / path).read_text(), re.MULTILINE) if anchor else ()
        slugs = [re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings]
        assert not anchor or anchor in slugs, target


@each
def test_it_takes_what_is_public_and_asks_for_no_download(file):
    code = "\n".join(sources(file, "code"))
    modules = re.findall(r"^\s*(?:from|import) (ood_toolkit[\w.]*)", code, re.MULTILINE)
    assert set(modules) <= {"ood_toolkit", "ood_toolkit.testing", "ood_toolkit.metrics"}
    assert "download" not in code


def a_notebook(folder, *sources, alt="a line"):
    """Write a notebook with a cell for each source."""
    cells = [{"cell_type": "markdown", "id": "title", "metadata": {}, "source": ["# Title\n", "\n", "Words."]}]
    for number, source in enumerate(sources):
        about = {"execution_count": None, "id": f"code-{number}", "metadata": {"alt": alt} if alt else {}}
        cells.append({"cell_type": "code", "outputs": [], "source": source.splitlines(keepends=True), **about})
    file = folder / "a.ipynb"
    file.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return file


DRAWING = "from matplotlib import pyplot\npyplot.plot([0, 1])\nprint('drawn')"


def test_outputs_are_stored_and_the_same_again_to_the_byte(script, tmp_path):
    file = a_notebook(tmp_path, "x = 2\nprint('sum', x + 0.5)", "x", "None", DRAWING + "\n_ = 3")
    script.refreshed(file)
    first = file.read_bytes()
    script.refreshed(file)
    assert file.read_bytes() == first
    outputs = [cell["outputs"] for cell in cells_of(file, "code")]
    assert outputs[0] == [{"name": "stdout", "output_type": "stream", "text": ["sum 2.5\n"]}]
    assert outputs[1][0]["data"] == {"text/plain": ["2"]}
    assert outputs[2] == []
    assert outputs[3][1]["data"]["text/plain"] == ["a line"]
    assert outputs[3][1]["data"]["image/png"].startswith("iVBOR")
    assert script.refreshed(file, check=True) == []


@pytest.mark.parametrize(
    ("stored", "now", "told"),
    [
        ("print('AUROC 97.40 of 360')", "print('AUROC 97.41  of 360')", ""),
        ("print('AUROC 97.40')", "print('FPR95 97.40')", "expected 'AUROC 97.40', got 'FPR95 97.40'"),
        ("print('AUROC 97.40')", "print('AUROC 93.40')", "expected 'AUROC 97.40', got 'AUROC 93.40'"),
        ("print('p', 1e-8)", "print('p', 4e-8)", "expected 'p 1e-08', got 'p 4e-08'"),
        ("print('gain', -0.2)", "print('gain', 0.2)", "expected 'gain -0.2', got 'gain 0.2'"),
        ("print('a')", "print('a\\nb')", "expected '', got 'b'"),
        ("print('a\\nb')", "print('a')", "expected 'b', got ''"),
        ("print('a')", "'a'", "expected outputs [('stream',)], got [('execute_result', 'text/plain')]"),
        ("print('a')", "pass", "expected outputs [('stream',)], got []"),
    ],
)
def test_other_outputs_than_those_stored_are_told_in_a_line(script, tmp_path, stored, now, told):
    file = a_notebook(tmp_path, stored)
    script.refreshed(file)
    notebook = json.loads(file.read_text())
    notebook["cells"][1]["source"] = now.splitlines(keepends=True)
    file.write_text(json.dumps(notebook))
    found = script.refreshed(file, check=True)
    assert found == ([f"a.ipynb, cell code-0: {told}"] if told else [])


@pytest.mark.parametrize("code", ["1 / 0", "import warnings\nwarnings.warn('old')"])
def test_a_cell_that_raises_or_warns_is_an_error_that_names_it(script, tmp_path, code):
    file = a_notebook(tmp_path, "x = 1", code)
    before = file.read_text()
    with pytest.raises((ZeroDivisionError, UserWarning)) as caught:
        script.refreshed(file)
    assert caught.value.__notes__ == ["in a.ipynb, cell code-1"]
    assert file.read_text() == before


def test_a_picture_needs_words(script, tmp_path):
    with pytest.raises(ValueError, match=r'expected "alt" in the metadata'):
        script.refreshed(a_notebook(tmp_path, DRAWING, alt=""))


def test_what_is_wrong_ends_the_script_with_1(tmp_path):
    file = a_notebook(tmp_path, "print('now')")
    done = subprocess.run([sys.executable, SCRIPT, "--check", file], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "a.ipynb, cell code-0: expected outputs [], got [('stream',)]",
        "run python docs/notebooks.py if that is meant",
    ]

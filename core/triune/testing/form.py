"""Checks of the class: what it says of itself, what a user may write, what importing it costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from types import new_class
from typing import TYPE_CHECKING, cast

from triune.errors import PluginError, listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

    from triune.testing.subject import Subject

HEAVY = ("torch", "transformers", "pandas", "sklearn", "numpy")
LOOK = """
import importlib, json, sys
before = set(sys.modules)
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def docstring(subject: Subject) -> Iterator[str]:
    """The class says what it does."""
    if not (vars(subject.cls).get("__doc__") or "").strip():
        yield f"class {subject.cls.__name__!r} has no docstring: say in a sentence what it does, and name the source"


def config(subject: Subject) -> Iterator[str]:
    """`Config` is a frozen pydantic model that refuses unknown keys, describes its fields and takes its defaults."""
    from pydantic import BaseModel

    model = getattr(subject.cls, "Config", None)
    if model is None:
        if subject.config:
            yield f"settings {dict(subject.config)!r} are given and the class has no Config: give it one"
        return
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        yield "Config is no pydantic model: derive it from pydantic.BaseModel"
        return
    for setting, wanted in (("frozen", True), ("extra", "forbid")):
        if model.model_config.get(setting) != wanted:
            yield f"Config has {setting}={model.model_config.get(setting)!r}: write `{setting}={wanted!r}`"
    for name, field in model.model_fields.items():
        if name in ("use", "name"):
            yield f"Config has a field {name!r}, which every section of a configuration has already: rename it"
        if not field.description:
            yield f"Config.{name} has no description: write Field(…, description='…'), which users read"
    yield from _defaults(subject, model)


def _defaults(subject: Subject, model: type[BaseModel]) -> Iterator[str]:
    from pydantic import ValidationError

    if subject.config is None and not isinstance(subject.make, type):
        return  # the function that makes the plugin knows its settings
    settings = dict(subject.config or {})
    try:
        plain = model.model_validate(settings)
    except ValidationError as error:
        told = "; ".join(
            ": ".join(filter(None, (".".join(map(str, one["loc"])), one["msg"]))) for one in error.errors()
        )
        yield f"settings {settings!r} are refused: {told}; give valid ones as config={{…}}"
        return
    try:
        checking = cast("type[BaseModel]", new_class(model.__name__, (model,), {"validate_default": True}))
        strict = checking.model_validate(settings)
    except ValidationError as error:
        for one in error.errors():
            yield f"the default of Config.{'.'.join(map(str, one['loc']))} is refused by its own type: {one['msg']}"
        return
    for name in model.model_fields:
        found, wanted = getattr(plain, name), getattr(strict, name)
        if type(found) is not type(wanted):
            yield (
                f"the default of Config.{name} is {found!r}, and a user who writes the same gets {wanted!r}: "
                f"write the default as a {type(wanted).__name__}"
            )


def making(subject: Subject) -> Iterator[str]:
    """It can be made, twice, as two objects."""
    if subject.fresh() is subject.fresh():
        yield "make() returns the same object twice, and every run needs its own: return a new one"


def hooks(subject: Subject) -> Iterator[str]:
    """Its hooks are hooks, with arguments that exist."""
    from triune.hooks import HOOKS, Hooks, check_methods

    try:
        check_methods(subject.name, subject.plugin)
        Hooks({subject.name: subject.plugin, **{name: make() for name, make in subject.company.items()}})
    except PluginError as error:
        yield str(error)
        return
    if not subject.implements(*HOOKS):
        yield f"it implements no hook, so a run would never call it; hooks: {listed(HOOKS, 20)}"


def light(subject: Subject) -> Iterator[str]:
    """Importing the class's module brings none of the heavy libraries."""
    module = subject.cls.__module__
    if module == "__main__":
        return  # typed into an interpreter
    loaded, trouble = _imported_by(module)
    if trouble:
        yield f"module {module!r} cannot be imported by itself: {trouble}"
    if found := [name for name in HEAVY if name in loaded]:
        yield (
            f"importing {module!r} imports {listed(found)}, so that listing plugins gets slow: import them inside the "
            "functions that need them, or under TYPE_CHECKING"
        )


@cache
def _imported_by(module: str) -> tuple[frozenset[str], str]:
    """Return the modules that a fresh Python imports with this one, and what went wrong."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.curdir for path in sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", LOOK, module], capture_output=True, text=True, env=environment, check=False
    )
    if done.returncode:
        return frozenset(), (done.stderr.strip().splitlines() or ["no reason given"])[-1]
    return frozenset(json.loads(done.stdout.splitlines()[-1])), ""

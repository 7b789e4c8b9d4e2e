"""Runs of the toy task: what a plugin lacks to be a whole run is put beside it."""

from __future__ import annotations

import inspect
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from triune.events import Event
    from triune.result import Result

TRAINING: Mapping[str, object] = {
    "epochs": 2,
    "batch_size": 8,
    "learning_rate": 0.01,
    "threads": 1,
    "device": "cpu",
    "validation": 0.1,
    "baselines": False,
    "report": "off",
}


def toy_run(folder: Path, *methods: object, **training: object) -> Result:
    """Run plugins on the toy task.

    Args:
        folder: the output; it must not hold a run yet.
        methods: plugin objects, of any family; what they lack (task, tables, a learning method) is added.
        training: keys of the section `training`, over settings that suit the toy.
    """
    return run(completed({name_of(type(one)): one for one in methods}), folder, training)


def run(
    plugins: Mapping[str, object],
    folder: Path,
    training: Mapping[str, object],
    resume: str | None = None,
    observers: tuple[Callable[[Event], None], ...] = (),
) -> Result:
    """Run plugins that are complete, as `completed` returns them."""
    from triune import runs

    given = {f"{name}, from Python": plugin for name, plugin in plugins.items()}
    return runs.run(configuration(plugins, training), plugins=given, output=folder, resume=resume, observers=observers)


def configuration(plugins: Mapping[str, object], training: Mapping[str, object]) -> dict[str, object]:
    """Return the configuration of a run of these plugins, each under its own name.

    A plugin's `use` differs from its name, so that it may have the name of one that is installed.
    """
    sections: dict[str, list[dict[str, str]]] = {"task": [], "data": [], "methods": []}
    for name, plugin in plugins.items():
        sections[_section_of(plugin)].append({"use": f"{name}, from Python", "name": name})
    sections["data"].sort(key=lambda one: not implements(plugins[one["name"]], "load_data"))  # the first one loads
    return {**sections, "task": sections["task"][0], "training": {**TRAINING, **training}}


def completed(plugins: Mapping[str, object]) -> dict[str, object]:
    """Return the plugins, and toys for what they lack: a task, tables, a learning method, rules, their reader."""
    from triune.testing.toys import All, Reader, ToyRules, ToyTask, toy_tables

    found = dict(plugins)

    def lack(hook: str) -> bool:
        return not any(implements(plugin, hook) for plugin in plugins.values())

    if lack("build_model"):
        found["toy"] = ToyTask()
    if lack("load_data"):
        found["tables"] = toy_tables()
    if lack("claim_parameters"):
        found["all"] = All()
    if lack("rules") and any(map(asks_for_rules, plugins.values())):
        found["toy-rules"] = ToyRules()
    if not lack("rules") and not any(map(asks_for_rules, plugins.values())):
        found["reader"] = Reader()
    return found


def implements(plugin: object, hook: str) -> bool:
    """Return whether a plugin implements a hook."""
    return hasattr(getattr(plugin, hook, None), "triune_impl")


def asks_for_rules(plugin: object) -> bool:
    """Return whether a plugin reads rules: it names seats, or a hook of it takes them."""
    readers = [getattr(plugin, hook, None) for hook in ("label_examples", "constrain_outputs", "loss_terms")]
    taken = any("rules" in inspect.signature(reader).parameters for reader in readers if callable(reader))
    return taken or bool(getattr(plugin, "seats", ())) or implements(plugin, "label_examples")


def name_of(cls: type) -> str:
    """Return the name of a plugin: that of its entry point, otherwise its class's in lower case."""
    from triune.catalog import installed

    value = f"{cls.__module__}:{cls.__qualname__}"
    entries = [entry.name for entry in installed() if entry.value == value]
    return entries[0] if entries else re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()


@contextmanager
def as_in_a_run(seed: int) -> Iterator[None]:
    """Compute on one thread from a seed inside the block, as a run does; give random states back after it."""
    from triune.machine import threads
    from triune.state import random_state, seed_everything, set_random_state

    before = random_state()
    try:
        with threads(1):
            seed_everything(seed)
            yield
    finally:
        set_random_state(before)


def _section_of(plugin: object) -> str:
    if implements(plugin, "build_model"):
        return "task"
    return "data" if implements(plugin, "load_data") or implements(plugin, "prepare_data") else "methods"

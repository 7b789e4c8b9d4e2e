"""The kit for plugin authors: one call that proves a plugin right, and a task so small that a run takes no time.

Read `conformance` first: `check_plugin` and the list of what it checks. `toys` is the task, `toy_runs` runs it.
The checks themselves are in `form` (the class), `tables` (data), `terms` (losses), `parameters` (claims, adapters),
`outputs` (rules, constraints) and `training` (whole runs). `pytest_plugin` has the fixtures.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triune.testing.conformance import check_plugin
    from triune.testing.toy_runs import toy_run
    from triune.testing.toys import All, Blocks, Tables, ToyRules, ToyTask, table, toy_tables

__all__ = ["All", "Blocks", "Tables", "ToyRules", "ToyTask", "check_plugin", "table", "toy_run", "toy_tables"]

_HOME = {"check_plugin": "conformance", "toy_run": "toy_runs"}


# lazily, because pytest imports this package in every run of anyone who has triune installed
def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'triune.testing' has no attribute {name!r}")
    value: object = getattr(import_module(f"triune.testing.{_HOME.get(name, 'toys')}"), name)
    globals()[name] = value
    return value

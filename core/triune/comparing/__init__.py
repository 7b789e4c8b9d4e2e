"""`triune compare`: several ways of learning on the same splits, seeds and budget, and what their difference is worth.

Who calls it reads `course` (`compare`) and `comparison` (what comes back, with its frames). A core developer goes on
in the order of the work: `scene` (what there is to learn from), `arms` (who takes part), `blind` (labels hidden from
rules alone), `budget` (how long), `jobs` (which runs), `working` and `recording` (the runs done), `outcomes` (a row a
run), `answers`, `significance`, `pairs` (what a difference is worth), `constraints` (who wins), `page` (all of it
printed).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triune.comparing.comparison import Comparison
    from triune.comparing.course import compare

__all__ = ["Comparison", "compare"]

_HOME = {"Comparison": "comparison", "compare": "course"}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

"""`triune advise`: which family of strategies suits some texts, answered by what is measured on them.

Who calls it reads `course` (`advise`) and `advice` (what comes back, with its frames). A core developer goes on in the
order of the work: `material` (texts, rules, features), `voting` (rules as arrays), `heads` and `ways` (linear heads in
place of models: what is tried), `probing` (on which labels held out), `forecast` (more labels, more rules), `findings`
(rows of all that), `choosing` (what is recommended, and why), `recipe` (the configuration), `page` (all of it printed).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triune.advising.advice import Advice
    from triune.advising.course import advise

__all__ = ["Advice", "advise"]

_HOME = {"Advice": "advice", "advise": "course"}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)

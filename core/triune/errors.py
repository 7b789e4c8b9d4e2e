"""What can go wrong through no fault of triune, and how it is said.

Every message answers, a sentence or a clause each: where, what is wrong, what was found, what to do.
The command line prints these without a traceback and leaves with `exit_code`.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class TriuneError(Exception):
    """Something that its reader can mend."""

    exit_code = 2


class ConfigError(TriuneError):
    """The configuration is wrong; `problems` holds every mistake, not only the first."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class DataError(TriuneError):
    """A table cannot be read, or says something that no training should go on with."""


class PluginError(TriuneError):
    """A plugin cannot be found, loaded or combined, or breaks the contract of a hook."""


class PlanError(TriuneError):
    """What the plugins declared contradicts itself or cannot be carried out."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class RuleError(TriuneError):
    """Rules cannot be read, or not be applied to this table; `problems` holds every mistake, not only the first."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class ModelError(TriuneError):
    """The pretrained model that is named is nowhere, or what lies there cannot be read as one."""


class OutputError(TriuneError):
    """The output folder cannot be used as asked."""


class CheckpointError(TriuneError):
    """A checkpoint is damaged, or belongs to another run."""


class TrainingError(TriuneError):
    """Training met a number it must not go on with."""


class EnvironmentProblem(TriuneError):  # noqa: N818 - the machine's problem, not an error of ours
    """The machine lacks something: a package, a model, room on the disk."""

    exit_code = 1


def nearest(name: object, known: Iterable[object]) -> str:
    """Return `"; did you mean 'x'?"` for the known name closest to `name`, or an empty string."""
    matches = get_close_matches(str(name), [str(one) for one in known], n=1, cutoff=0.5)
    # in three letters another first one makes another word: gpu, cpu
    if not matches or (len(str(name)) <= 3 and matches[0][:1] != str(name)[:1]):
        return ""
    return f"; did you mean {matches[0]!r}?"


def listed(names: Iterable[object], most: int = 12) -> str:
    """Return the names as an enumeration that stays readable however many there are."""
    shown = [str(name) for name in names]
    rest = len(shown) - most
    return ", ".join(shown[:most]) + (f", … ({rest} more)" if rest > 0 else "")


def count(number: int, noun: str) -> str:
    """Return a number with its noun: "1 step", "2 steps", "1,200 batches"."""
    plural = f"{noun}es" if noun.endswith(("s", "ch")) else f"{noun}s"
    return f"{number:,} {noun if number == 1 else plural}"

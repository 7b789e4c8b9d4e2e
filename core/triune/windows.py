"""Claims resolved: when each parameter trains, and at what scale of the learning rate.

Windows are half-open. Scales of several claims multiply; a default yields to any claim that is none, and a
default to train yields to one to freeze; a claim to train and a claim to freeze that meet in one parameter
at one step are a conflict. Nothing depends on the order of claims.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from triune.errors import listed, nearest
from triune.types import Epochs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triune.types import ModelLayout, ParameterClaim, ParameterInfo, When

Owned = tuple[str, "ParameterClaim"]


@dataclass(frozen=True, slots=True)
class Window:
    """A parameter trains from `start` up to, not including, `stop`."""

    start: int
    stop: int
    lr_scale: float

    def holds(self, step: int) -> bool:
        """Return whether a step lies inside."""
        return self.start <= step < self.stop

    def __str__(self) -> str:
        """Return the window as the plan shows it."""
        scale = "" if self.lr_scale == 1 else f" × {self.lr_scale:g}"
        return f"steps {self.start}–{self.stop}{scale}"


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of every parameter, and what is wrong with the claims."""

    of: dict[str, tuple[Window, ...]]
    problems: tuple[str, ...]


def resolve(layout: ModelLayout, claims: Sequence[Owned], total: int, per_epoch: int) -> Windows:
    """Return when each parameter trains in a run of `total` steps, `per_epoch` of them a pass over the examples."""
    spans = [(owner, claim, *_span(claim, total, per_epoch)) for owner, claim in claims]
    problems = [problem for span in spans for problem in _faults(layout, *span, total)]
    edges = sorted({0, total, *(edge for *_, start, stop in spans for edge in (start, stop) if 0 <= edge <= total)})
    found: dict[str, tuple[Window, ...]] = {}
    conflicts: dict[str, str] = {}
    for parameter in layout.parameters:
        mine = [one for one in spans if one[1].where.takes(parameter, layout)]
        pieces: list[Window] = []
        for start, stop in itertools.pairwise(edges):
            active = [(owner, claim) for owner, claim, begin, end in mine if begin <= start < end]
            window, conflict = _piece(parameter, active, start, stop)
            if conflict:
                conflicts.setdefault(conflict.split(" at ")[0], conflict)
            if window:
                pieces = _extended(pieces, window)
        found[parameter.name] = tuple(pieces)
    return Windows(found, (*problems, *conflicts.values()))


def step_of(when: When, total: int, per_epoch: int) -> int:
    """Return the step that a time of a claim falls on."""
    if isinstance(when, Epochs):
        return round(when.count * per_epoch)
    return round(when * total) if isinstance(when, Fraction) else when


def _span(claim: ParameterClaim, total: int, per_epoch: int) -> tuple[int, int]:
    stop = total if claim.stop is None else step_of(claim.stop, total, per_epoch)
    return step_of(claim.start, total, per_epoch), stop


def _faults(layout: ModelLayout, owner: str, claim: ParameterClaim, start: int, stop: int, total: int) -> list[str]:
    problems = []
    if not layout.where(claim.where):
        names = [one.name for one in layout.parameters]
        problems.append(
            f"plugin {owner!r} claims {claim.where!r}, which matches none of {len(names)} parameters"
            f"{nearest(getattr(claim.where, 'glob', ''), names)}; they are named like {listed(names[:3])}"
        )
    if not (0 <= start < stop) or start >= total:
        problems.append(
            f"plugin {owner!r} claims {claim.where!r} from step {start} to {stop}, and the run has steps 0 to {total}: "
            "the window is empty"
        )
    if not claim.lr_scale > 0:
        problems.append(
            f"plugin {owner!r} claims {claim.where!r} at a learning-rate scale of {claim.lr_scale}: above 0 is needed"
        )
    return problems


def _piece(parameter: ParameterInfo, active: Sequence[Owned], start: int, stop: int) -> tuple[Window | None, str]:
    firm = [one for one in active if not one[1].default]
    training = [one for one in firm if one[1].trainable is True]
    freezing = [one for one in firm if one[1].trainable is False]
    if training and freezing:
        (trainer, wanted), (freezer, refused) = training[0], freezing[0]
        return None, (
            f"plugin {trainer!r} trains {wanted.where!r} and plugin {freezer!r} freezes {refused.where!r}: both take "
            f"{parameter.name!r} at steps {start}–{stop}; leave one of the "
            "methods out, narrow its selector, or mark its claim as a default"
        )
    ruling = training or freezing or [one for one in active if one[1].trainable is not None]
    if not ruling or any(claim.trainable is False for _, claim in ruling):
        return None, ""
    scaling = [one for one in active if one[1].trainable is None and not (one[1].default and firm)]
    return Window(start, stop, prod(claim.lr_scale for _, claim in (*ruling, *scaling))), ""


def _extended(pieces: list[Window], window: Window) -> list[Window]:
    last = pieces[-1] if pieces else None
    if last and last.stop == window.start and last.lr_scale == window.lr_scale:
        return [*pieces[:-1], Window(last.start, window.stop, window.lr_scale)]
    return [*pieces, window]

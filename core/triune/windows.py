"""Claims resolved: when each parameter trains, and at what scale of the learning rate.

Windows are half-open. Times that only training tells (`OnPlateau`) fall at equal shares of the run for the plan, and
where they fell once it is known. Scales of several claims multiply; a default yields to any claim that is none, and a
default to train yields to one to freeze; a claim to train and a claim to freeze that meet in one parameter
at one step are a conflict. Nothing depends on the order of claims.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING

from triune.errors import count, listed, nearest
from triune.select import Depth, Owner, idle_parts
from triune.types import Epochs, OnPlateau

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from triune.select import Selector
    from triune.types import ModelLayout, ParameterClaim, ParameterInfo, When

Owned = tuple[str, "ParameterClaim"]


@dataclass(frozen=True, slots=True)
class Window:
    """A parameter trains from `start` up to, not including, `stop`."""

    start: int
    stop: int
    lr_scale: float
    since: OnPlateau | None = None  # what `start` stands for, where only training tells
    until: OnPlateau | None = None  # what `stop` stands for

    def holds(self, step: int) -> bool:
        """Return whether a step lies inside."""
        return self.start <= step < self.stop

    def __str__(self) -> str:
        """Return the window as the plan shows it."""
        scale = "" if self.lr_scale == 1 else f" × {self.lr_scale:g}"
        begin = f"{self.since} (about {self.start})" if self.since else f"{self.start}"
        end = f"{self.until} (about {self.stop})" if self.until else f"{self.stop}"
        return f"steps {begin}–{end}{scale}"


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows of every parameter, and what is wrong with the claims.

    Attributes:
        of: by the parameter's name.
        problems: a sentence each.
        told: the claims on a parameter whose times only training tells, by their number.
    """

    of: dict[str, tuple[Window, ...]]
    problems: tuple[str, ...]
    told: dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Clash:
    """Two claims that meet in one parameter, of which one trains it and one freezes it."""

    parameter: str
    trains: Owned
    freezes: Owned
    start: int
    stop: int


def resolve(
    layout: ModelLayout, claims: Sequence[Owned], total: int, per_epoch: int, ended: Sequence[int] | None = None
) -> Windows:
    """Return when each parameter trains in a run of `total` steps, `per_epoch` of them a pass over the examples.

    Args:
        layout: the parameters.
        claims: with their owners.
        total: steps of the run.
        per_epoch: steps of a pass over the examples.
        ended: the steps at which phases ended; those that have not end after the run. None: for the plan.
    """
    phases = plateaus_of(claims)
    ends = _nominal(phases, total) if ended is None else [*ended, *[total] * len(phases)]
    spans = [(owner, claim, *_span(claim, total, per_epoch, ends)) for owner, claim in claims]
    problems = [problem for span in spans for problem in _faults(layout, *span, total)] if ended is None else []
    marks = dict(zip(ends, phases, strict=True)) if ended is None else {}
    edges = sorted({0, total, *(edge for *_, start, stop in spans for edge in (start, stop) if 0 <= edge <= total)})
    found: dict[str, tuple[Window, ...]] = {}
    clashes: list[Clash] = []
    for parameter in layout.parameters:
        mine = [one for one in spans if one[1].where.takes(parameter, layout)]
        pieces: list[Window] = []
        for start, stop in itertools.pairwise(edges):
            active = [(owner, claim) for owner, claim, begin, end in mine if begin <= start < end]
            window, clash = _piece(parameter, active, start, stop, marks)
            if clash:
                clashes.append(clash)
            if window:
                pieces = _extended(pieces, window)
        found[parameter.name] = tuple(pieces)
    return Windows(found, (*problems, *_told_once(clashes)), _told(layout, claims))


def plateaus_of(claims: Sequence[Owned]) -> tuple[OnPlateau, ...]:
    """Return the ends of phases that claims speak of, in the order in which they come."""
    times = [time for _, claim in claims for time in (claim.start, claim.stop) if isinstance(time, OnPlateau)]
    return tuple(sorted(dict.fromkeys(times), key=lambda time: time.phase))


def unclear_phases(phases: Sequence[OnPlateau]) -> list[str]:
    """Return what is wrong with the ends of phases: each has one, and they follow one another."""
    numbers = [one.phase for one in phases]
    if numbers == list(range(len(phases))):
        return []
    return [
        f"phases end at {listed(map(repr, phases))}: give every phase from 0 on one end, with one metric and patience"
    ]


def step_of(when: When, total: int, per_epoch: int, ends: Sequence[int] = ()) -> int:
    """Return the step that a time of a claim falls on; `ends` says where phases end."""
    match when:
        case Epochs(count):
            return round(count * per_epoch)
        case OnPlateau(phase=phase):
            return ends[phase] if 0 <= phase < len(ends) else total
        case Fraction():
            return round(when * total)
        case _:
            return when


def _nominal(phases: Sequence[OnPlateau], total: int) -> list[int]:
    """Return where phases end if each takes an equal share of the run."""
    return [round((place + 1) * total / (len(phases) + 1)) for place in range(len(phases))]


def _told(layout: ModelLayout, claims: Sequence[Owned]) -> dict[str, tuple[int, ...]]:
    dynamic = [number for number, owned in enumerate(claims) if plateaus_of([owned])]
    return {
        one.name: tuple(number for number in dynamic if claims[number][1].where.takes(one, layout))
        for one in layout.parameters
    }


def _span(claim: ParameterClaim, total: int, per_epoch: int, ends: Sequence[int]) -> tuple[int, int]:
    stop = total if claim.stop is None else step_of(claim.stop, total, per_epoch, ends)
    return step_of(claim.start, total, per_epoch, ends), stop


def _faults(layout: ModelLayout, owner: str, claim: ParameterClaim, start: int, stop: int, total: int) -> list[str]:
    problems = [
        f"plugin {owner!r} claims {part!r}, which matches none of {len(layout.parameters)} parameters"
        f"{_what_there_is(layout, part)}"
        for part in idle_parts(claim.where, layout)
    ]
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


def _what_there_is(layout: ModelLayout, part: Selector) -> str:
    names = [one.name for one in layout.parameters]
    match part:
        case Depth():
            return f"; the model has {count(layout.blocks, 'block')}" + (", counted from 0" if layout.blocks else "")
        case Owner(plugin):
            owners = sorted({one.owner for one in layout.parameters})
            return f"{nearest(plugin, owners)}; they belong to {listed(owners)}"
        case _:
            return f"{nearest(getattr(part, 'glob', ''), names)}; they are named like {listed(names[:3])}"


def _told_once(clashes: Sequence[Clash]) -> list[str]:
    """Return a sentence for each two plugins that meet, or for each two claims of one plugin."""
    met: dict[tuple[object, ...], list[Clash]] = {}
    for one in clashes:
        (trainer, wanted), (freezer, refused) = one.trains, one.freezes
        claims = (repr(wanted.where), repr(refused.where)) if trainer == freezer else ()
        met.setdefault((trainer, freezer, *claims), []).append(one)
    return [
        _sentence(min(several, key=lambda one: one.start), len({one.parameter for one in several}) - 1)
        for several in met.values()
    ]


def _sentence(first: Clash, more: int) -> str:
    (trainer, wanted), (freezer, refused) = first.trains, first.freezes
    others = f", and {count(more, 'parameter')} more" if more else ""
    return (
        f"plugin {trainer!r} trains {wanted.where!r} and plugin {freezer!r} freezes {refused.where!r}: both take "
        f"{first.parameter!r} at steps {first.start}–{first.stop}{others}; leave one of the methods out, narrow its "
        "selector, or mark its claim as a default"
    )


def _piece(
    parameter: ParameterInfo, active: Sequence[Owned], start: int, stop: int, marks: Mapping[int, OnPlateau]
) -> tuple[Window | None, Clash | None]:
    firm = [one for one in active if not one[1].default]
    training = [one for one in firm if one[1].trainable is True]
    freezing = [one for one in firm if one[1].trainable is False]
    if training and freezing:
        return None, Clash(parameter.name, training[0], freezing[0], start, stop)
    ruling = training or freezing or [one for one in active if one[1].trainable is not None]
    if not ruling or any(claim.trainable is False for _, claim in ruling):
        return None, None
    scaling = [one for one in active if one[1].trainable is None and not (one[1].default and firm)]
    scale = prod(claim.lr_scale for _, claim in (*ruling, *scaling))
    return Window(start, stop, scale, marks.get(start), marks.get(stop)), None


def _extended(pieces: list[Window], window: Window) -> list[Window]:
    last = pieces[-1] if pieces else None
    if last and last.stop == window.start and last.lr_scale == window.lr_scale:
        return [*pieces[:-1], replace(last, stop=window.stop, until=window.until)]
    return [*pieces, window]

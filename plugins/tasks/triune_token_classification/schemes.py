"""How tags mark spans: the schemes IOB1, BIO, BIOES, BILOU and BMES, and which of them some tags follow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.errors import DataError, listed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from triune.types import LabelValue

    Cell = Sequence[LabelValue | None]

NONE = "none"
OUTSIDE = "O"
SCHEMES: Mapping[str, frozenset[str]] = {
    "bio": frozenset("BI"),
    "iob1": frozenset("BI"),
    "bioes": frozenset("BIES"),
    "bilou": frozenset("BILU"),
    "bmes": frozenset("BMES"),
}
"""The letters of each scheme, apart from O."""

ROLES = {"O": "O", "B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S"}
MARKED = re.compile(r"([BIESLUM])(?:-(.+))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """What a tag says of its token: O outside, B first, I inside, E last, S alone in a span of a kind."""

    role: str
    kind: str = ""


OUT = Part("O")


def part(tag: LabelValue | None) -> Part:
    """Return what a tag says; one that marks no span, or is missing, is outside."""
    found = MARKED.fullmatch(str(tag))
    return Part(ROLES[found[1]], found[2] or "") if found else OUT


def spans(tags: Iterable[LabelValue | None]) -> list[tuple[str, int, int]]:
    """Return (kind, start, stop) of every span, as conlleval reads them (Tjong Kim Sang & De Meulder 2003).

    Whatever the scheme, and whether the tags follow it or not: a span begins at B and S, and at any I or E after
    O, after E or S, or after a tag of another kind; it goes on until the next begins, or to the next O.
    """
    found: list[tuple[str, int, int]] = []
    begun: int | None = None
    before = OUT
    for place, tag in enumerate([*tags, OUTSIDE]):
        now = part(tag)
        begins = now.role in "BS" or (now.role in "IE" and (before.role in "OES" or now.kind != before.kind))
        if begun is not None and (begins or now.role == "O"):
            found.append((before.kind, begun, place))
            begun = None
        if begins:
            begun = place
        before = now
    return found


@dataclass(frozen=True, slots=True)
class Open:
    """Where a strict reading of a scheme stands: inside a span of a kind, or (None) in none."""

    kind: str | None


BROKEN = Open("\0")


def after(scheme: str, state: Open, now: Part) -> Open:
    """Return where a strict reading stands after a tag; `BROKEN` for ever once a tag may not stand there.

    BIO: I only continues B or I of its kind. IOB1: B only parts a span from one of its kind directly before.
    BIOES and its like: what B begins, only I of its kind goes on with, and only E of its kind ends.
    """
    if state == BROKEN:
        return BROKEN
    same = state.kind == now.kind
    if scheme == "bio":
        allowed = now.role != "I" or same
    elif scheme == "iob1":
        allowed = now.role != "B" or same
    else:
        allowed = same if now.role in "IE" else state.kind is None
    inside = now.role in "BI"
    return Open(now.kind if inside else None) if allowed else BROKEN


def may_end(scheme: str, state: Open) -> bool:
    """Return whether a sequence may end where a strict reading stands."""
    return state != BROKEN and (state.kind is None or scheme in ("bio", "iob1"))


def follows(scheme: str, tags: Iterable[LabelValue | None]) -> bool:
    """Return whether tags follow a scheme strictly."""
    state = Open(None)
    for tag in tags:
        state = after(scheme, state, part(tag))
    return may_end(scheme, state)


def recognised(tags: Collection[str], sequences: Sequence[Cell], where: Callable[[str], str]) -> str:
    """Return the scheme of some tags, or "none" where they mark no spans.

    B and I alone are BIO or IOB1: the one that fewer sequences break; BIO where that does not tell.

    Args:
        tags: the distinct tags.
        sequences: where they occur.
        where: says where a tag stands, for messages.

    Raises:
        DataError: most tags mark spans and some do not, or they mix schemes.
    """
    marks = {tag for tag in tags if MARKED.fullmatch(tag)}
    others = sorted(set(tags) - marks - {OUTSIDE})
    kinds = {tag for tag in marks if "-" in tag}
    bare = not kinds and OUTSIDE in tags and not others and marks <= set("BI")
    if len(kinds) * 2 < len(kinds) + len(others) or not (kinds or (bare and marks)):
        return NONE
    if others:
        raise DataError(
            f"{where(others[0])}: tag {others[0]!r} marks no span, and {sorted(kinds)[0]!r} and others do; "
            "mend it, or say task.scheme: none if tags are no spans"
        )
    letters = {tag[0] for tag in marks}
    fitting = [scheme for scheme, own in SCHEMES.items() if letters <= own]
    if not fitting:
        raise DataError(
            f"{where(sorted(marks)[0])}: tags begin with {listed(sorted(letters))}, which no scheme has together; "
            f"schemes: {listed(SCHEMES)}; mend them, or say task.scheme: none"
        )
    if fitting[0] != "bio":
        return fitting[0]
    broken = {scheme: sum(not follows(scheme, one) for one in sequences) for scheme in ("bio", "iob1")}
    return min(broken, key=lambda scheme: broken[scheme])


def check_fits(scheme: str, tags: Iterable[str], where: Callable[[str], str]) -> None:
    """Make sure that tags can be of a scheme that was asked for.

    Raises:
        DataError: one cannot.
    """
    if scheme == NONE:
        return
    wrong = [tag for tag in tags if tag != OUTSIDE and not (MARKED.fullmatch(tag) and tag[0] in SCHEMES[scheme])]
    if wrong:
        raise DataError(
            f"{where(wrong[0])}: tag {wrong[0]!r} is none of the scheme {scheme!r}, which has "
            f"{listed(sorted(SCHEMES[scheme]))} and O; mend it, or say another task.scheme"
        )


def completed(scheme: str, tags: Iterable[str]) -> list[str]:
    """Return the tags with O, and with every letter that occurs for every kind that occurs.

    So a kind of which training has single tokens only can still be found in longer spans.
    """
    given = list(tags)
    if scheme == NONE:
        return given
    letters = dict.fromkeys(tag[0] for tag in given if tag != OUTSIDE)
    ends = dict.fromkeys(tag[1:] for tag in given if tag != OUTSIDE)
    return list(dict.fromkeys([*given, OUTSIDE, *(letter + end for end in ends for letter in letters)]))

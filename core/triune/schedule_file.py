"""A schedule of freezing as a file: the claims of a plan, written for editing and taken back.

```yaml
claims:
  - {where: Head(), train: true, from: 0}
  - {where: Depth(-1) | Depth(-2), train: true, from: 2/7, lr_scale: 0.5}
  - {where: Outside(), train: true, from: {phase_ends: 0, metric: macro_f1, patience: 3}}
  - {where: Name('*'), train: false, default: true}
```
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from triune.documents import Document, found, read_document
from triune.errors import ConfigError, listed, nearest
from triune.select import parsed
from triune.types import Epochs, OnPlateau, ParameterClaim

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    from triune.markup import Keys
    from triune.types import When

KEYS = ("where", "train", "from", "to", "lr_scale", "default")
TRAINS = {"True": True, "False": False, "None": None}


def written(claims: Iterable[tuple[str, ParameterClaim]], bringing: Collection[str] = ()) -> str:
    """Return claims as a file of YAML, each with the plugin that made it.

    Plugins `bringing` parameters of their own are needed beside the file. Their rates stay with them, because scales
    that were claimed twice would multiply.
    """
    lines = [
        "# Which parameters train, and when; change what you like, and name the file in the configuration:",
        "#   methods: [{use: schedule, path: schedule.yaml}]",
        "# in place of the methods that stand beside the claims. `from` and `to` are steps, shares of the run (2/7),",
        "# {epochs: 1}, or the end of a phase; what trains in several claims has the product of their scales.",
        *(f"# Keep {owner} beside the file: it brings what trains, and sets its rate." for owner in sorted(bringing)),
        "claims:",
    ]
    for owner, claim in claims:
        kept = replace(claim, lr_scale=1.0) if owner in bringing else claim
        dash = "-" if kept == claim or kept.trainable is not None else "# stays there: -"
        lines.append(f"  {dash} {{{', '.join(_said(claim if dash != '-' else kept))}}}  # {owner}")
    return "\n".join(lines) + "\n"


def _said(claim: ParameterClaim) -> list[str]:
    said = [f"where: {_quoted(repr(claim.where))}", f"train: {_word(claim.trainable)}"]
    said += [f"from: {_time(claim.start)}"] if claim.start != 0 else []
    said += [f"to: {_time(claim.stop)}"] if claim.stop is not None else []
    said += [f"lr_scale: {claim.lr_scale!r}"] if claim.lr_scale != 1 else []
    return said + (["default: true"] if claim.default else [])


def _word(trainable: bool | None) -> str:
    return "null" if trainable is None else str(trainable).lower()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _time(when: When | None) -> str:
    match when:
        case Epochs(count):
            return f"{{epochs: {count}}}"
        case OnPlateau(metric, patience, phase):
            return f"{{phase_ends: {phase}, metric: {metric}, patience: {patience}}}"
        case _:
            return str(when)


def read(path: Path) -> tuple[ParameterClaim, ...]:
    """Return the claims of a file.

    Raises:
        ConfigError: it cannot be read, or claims are not as they should be; every mistake with its line.
    """
    document = read_document(path, starts_with="'claims:'")
    entries = document.data.get("claims")
    if not isinstance(entries, list) or not entries or set(document.data) != {"claims"}:
        raise ConfigError([f"{path}: found {found(entries)}, wanted one key, 'claims', with a list of claims"])
    readers = [_Entry(document, ("claims", number), entry, []) for number, entry in enumerate(entries)]
    claims = [one.claim() for one in readers]
    problems = [problem for one in readers for problem in one.problems]
    if problems:
        raise ConfigError(problems)
    return tuple(claim for claim in claims if claim is not None)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One claim of a file, its place, and what was found wrong in it."""

    document: Document
    where: Keys
    value: object
    problems: list[str]

    def claim(self) -> ParameterClaim | None:
        """Return the claim, or None after noting what is wrong with it."""
        if not isinstance(self.value, dict):
            self.wrong((), f"found {found(self.value)}, wanted a mapping such as {{where: Head(), train: true}}")
            return None
        for key in self.value:
            if key not in KEYS:
                self.wrong((key,), f"unknown key {key!r} of a claim; known: {listed(KEYS)}{nearest(key, KEYS)}")
        try:
            where = parsed(str(self.value.get("where", "")))
        except ValueError as error:
            self.wrong(("where",), str(error))
        scale, train = self.value.get("lr_scale", 1.0), str(self.value.get("train", "missing"))
        if train not in TRAINS:
            self.wrong(("train",), f"found {found(self.value.get('train'))}, wanted true, false, or null to scale only")
        if isinstance(scale, bool) or not isinstance(scale, int | float):
            self.wrong(("lr_scale",), f"found {found(scale)}, wanted a number")
        if not isinstance(self.value.get("default", False), bool):
            self.wrong(("default",), f"found {found(self.value['default'])}, wanted true or false")
        start = self._when("from", 0)
        stop = self._when("to", None)
        if self.problems:
            return None
        default = self.value.get("default", False)
        return ParameterClaim(where, TRAINS[train], float(scale), start or 0, stop, default)

    def _when(self, key: str, missing: When | None) -> When | None:
        assert isinstance(self.value, dict)
        value = self.value.get(key)
        match value:
            case None:
                return missing
            case bool():
                pass
            case int():
                return value
            case {"epochs": int() | float() | str() as count, **rest} if (
                not rest and (passes := _fraction(count)) is not None
            ):
                return Epochs(passes)
            case {"phase_ends": int() as phase, "metric": str() as metric, "patience": int() as patience, **rest} if (
                not rest and not isinstance(phase, bool) and not isinstance(patience, bool)
            ):
                return OnPlateau(metric, patience, phase)
            case str() | float() if (share := _fraction(value)) is not None and 0 <= share <= 1:
                return share
        self.wrong(
            (key,),
            f"found {found(value)}, wanted a step, a share of the run such as 2/7, {{epochs: 1}}, or "
            "{phase_ends: 0, metric: macro_f1, patience: 3}",
        )
        return missing

    def wrong(self, keys: Sequence[str], what: str) -> None:
        """Note what is wrong under a key."""
        self.problems.append(f"{self.document.value_at((*self.where, *keys))[1]}: {what}")


def _fraction(value: float | str) -> Fraction | None:
    try:
        return Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        return None

"""The texts that are asked about as a table that a finished run reads, with the columns that its rules ask for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from triune.conditions.kept import Lasting
from triune.conditions.view import parts
from triune.ensembles import members_of
from triune.errors import DataError, OutputError, listed, nearest
from triune.folder import Folder
from triune.reopened import SPLIT, reopened

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd

    from triune.data import Data
    from triune.reopened import Reopened
    from triune.types import JSON, Rule

    Asked = str | Sequence[str] | Sequence[Sequence[str]] | Path | pd.DataFrame

MOST = 100
"""Texts that are explained at once."""
NOT_NEEDED = ("label", "weight", "completion")


def asked_of(
    folder: Path, text: Asked, columns: Mapping[str, str], plugins: Mapping[str, object] | None
) -> tuple[Reopened, Data, list[str]]:
    """Return the finished run, the texts as its test table, and notes on columns that rules lack.

    Raises:
        TriuneError: there is no such run, or nothing to explain, or too much of it.
    """
    member, *others = members_of(folder)
    if others:
        raise OutputError(
            f"{str(folder)!r} holds {len(others) + 1} finished runs, and one is explained at a time: give the folder "
            f"of one, such as {str(member)!r}"
        )
    facts = Folder(member).facts()
    found = reopened(member, _source(text, columns, facts), plugins)
    table = found.data.splits[SPLIT]
    if len(table) > MOST:
        raise DataError(
            f"{found.data.place(SPLIT)}: {len(table):,} texts are more than are explained at once, {MOST}: give fewer"
        )
    lacking = _lacking(found.opened.rules, list(table.columns))
    given = table.assign(**dict.fromkeys(lacking)).astype(dict.fromkeys(lacking, object))
    notes = [
        f"column {name!r} is not given, so {listed((repr(rule.name) for rule in rules), 5)} cannot be asked, as of an "
        f"empty cell: `--column {name}=VALUE`, from Python columns={{{name!r}: …}}"
        for name, rules in lacking.items()
    ]
    return found, found.data.with_split(SPLIT, given), notes


def _source(text: Asked, columns: Mapping[str, str], facts: Mapping[str, JSON]) -> Path | pd.DataFrame:
    import pandas as pd

    roles, space = cast("Mapping[str, str]", facts["roles"]), cast("Mapping[str, JSON]", facts["space"])
    if isinstance(text, Path | pd.DataFrame):
        if isinstance(text, Path) and not columns:
            return text
        if isinstance(text, Path):
            raise DataError(f"{text}: a file has columns of its own: leave out {listed(columns)}, or give texts")
        return text.assign(**columns)
    texts = [text] if isinstance(text, str) else list(text)
    if not texts:
        raise DataError("there is no text to explain: give one")
    empty = [place for place, one in enumerate(texts) if not (one.strip() if isinstance(one, str) else one)]
    if empty:
        raise DataError(f"text {empty[0] + 1} of {len(texts)} is empty: there is nothing to explain")
    _check_roles(roles, columns)
    cells = [one.split() if isinstance(one, str) and space["kind"] == "tags" else one for one in texts]
    given = {name: [value] * len(texts) for name, value in columns.items() if name != roles["text"]}
    return pd.DataFrame({roles["text"]: pd.Series(cells, dtype=object), **given})


def _check_roles(roles: Mapping[str, str], columns: Mapping[str, str]) -> None:
    needed = {role: name for role, name in roles.items() if role not in ("text", *NOT_NEEDED)}
    for role, name in needed.items():
        if name not in columns and name != roles["text"]:
            hint = nearest(name, columns)
            raise DataError(
                f"the run reads column {name!r} as its {role} too, and it is not given{hint}: "
                f"`--column {name}=VALUE`, from Python columns={{{name!r}: …}}"
            )


def _lacking(rules: Sequence[Rule], known: Sequence[object]) -> dict[str, list[Rule]]:
    """Return the columns that rules read and that are not there, with those rules."""
    found: dict[str, list[Rule]] = {}
    for rule in rules:
        for name in dict.fromkeys(_read(rule)):
            if name not in known:
                found.setdefault(name, []).append(rule)
    return found


def _read(rule: Rule) -> Iterator[str]:
    for part in parts(rule.when):
        if isinstance(part, Lasting):
            yield from (name for name in part.reads if name is not None)

"""Comparisons of a column: {column: stars, at_least: 4}, {column: country, in: [DE, FR]}."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.conditions import AllTrue, Column
from triune.conditions.columns import COMPARISONS, moment_of
from triune.documents import found
from triune.errors import listed

if TYPE_CHECKING:
    from triune.conditions.columns import Cell
    from triune_rule_file.written import Written


def comparison(value: Written) -> Column | AllTrue | None:
    """Return the comparisons of one column, all of which must hold; None after noting what is wrong."""
    keys = [key for key in value.keys if key in COMPARISONS]
    if not value.has("column"):
        return value.wrong_key(keys[0], f"{keys[0]!r} compares a column; name it: {{column: stars, {keys[0]}: …}}")
    strange = [key for key in value.keys if key not in (*COMPARISONS, "column")]
    for key in strange:
        value.wrong_key(key, f"{key!r} means nothing beside a comparison")
    if not keys:
        return value.wrong(f"'column' needs a comparison: {listed(COMPARISONS)}")
    name = value.at("column").text()
    read = {key: _value(value.at(key), key) for key in keys}
    if name is None or strange or None in read.values():
        return None
    parts = [Column(name, key, wanted) for key, wanted in read.items() if wanted is not None]
    return parts[0] if len(parts) == 1 else AllTrue(*parts)


def _value(value: Written, how: str) -> Cell | tuple[Cell, ...] | None:
    if how == "missing":
        return value.truth()
    if how in ("before", "after"):
        return _date(value)
    if how in ("above", "at_least", "below", "at_most"):
        return value.number()
    if how == "in":
        cells = [_cell(one) for one in value.items("numbers or texts") or []]
        return tuple(one for one in cells if one is not None) if cells and None not in cells else None
    return _cell(value)


def _cell(value: Written) -> Cell | None:
    if isinstance(value.value, str | int | float):
        return value.value
    return value.wrong(f"found {found(value.value)}, wanted a number, a text, or true or false")


def _date(value: Written) -> str | None:
    text = value.text()
    if text is None:
        return None
    try:
        moment_of(text)
        return text
    except ValueError:
        return value.wrong(f"found {text!r}, wanted a date such as 2024-01-31 or 2024-01-31T12:00")

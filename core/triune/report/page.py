"""Templates filled: whatever comes from data, labels, rules or plugins is escaped, and figures alone are not."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from triune.data import label_set

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jinja2 import Environment
    from markupsafe import Markup

    from triune.report.records import Record

MISSING = "–"


def filled(template: str, values: Mapping[str, object]) -> str:
    """Return a page of a template in `templates/`."""
    return _environment().get_template(template).render(values)


def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("triune.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "figure": figure,
        "percent": percent,
        "short": short,
        "count": count,
        "words": words,
        "table_name": table_name,
        "cell": cell,
        "tokens": tokens,
        "indented": indented,
        "drawing": _drawing,
    }
    return environment


def figure(value: object) -> str:
    """Return a number with as many digits as one reads."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return MISSING if value is None else str(value)
    if isinstance(value, int) or (value == int(value) and abs(value) >= 1000):
        return f"{int(value):,}"
    if abs(value) >= 10:
        return f"{value:,.1f}"
    return f"{value:.4f}" if abs(value) >= 1e-3 or value == 0 else f"{value:.3g}"


def short(value: object) -> str:
    """Return a number that somebody wrote, as it was written."""
    return f"{value:g}" if isinstance(value, int | float) else ""


def percent(value: object) -> str:
    """Return a share as a percentage."""
    return f"{100 * value:.1f}\N{NO-BREAK SPACE}%" if isinstance(value, int | float) else MISSING


def count(value: object) -> str:
    """Return a number of things."""
    return f"{value:,}" if isinstance(value, int) else MISSING


def words(name: object) -> str:
    """Return the name of a value as words."""
    return str(name).replace("_", " ")


def table_name(split: object) -> str:
    """Return what a reader calls a table."""
    return {"test": "Test table", "valid": "Validation table"}.get(str(split), str(split))


def cell(value: object) -> str:
    """Return a label cell as one reads it."""
    if isinstance(value, list | tuple):
        return ", ".join("·" if one is None else str(one) for one in value) or "no label"
    return MISSING if value is None else str(value)


def tokens(record: Record) -> list[tuple[str, str, bool]]:
    """Return (token, what to write above it, whether label and prediction differ) of a text in tokens.

    Above a token stand its tags where they differ, or its one tag unless it is the commonest of the text.
    """
    gold, said = (list(label_set(cell) or ()) for cell in (record.gold, record.predicted))
    written = list(record.text or ())
    usual = Counter(map(str, said)).most_common(1)[0][0] if said else ""
    found = []
    for place, token in enumerate(written):
        wanted, given = (str(one[place]) if place < len(one) and one[place] is not None else "" for one in (gold, said))
        wrong = bool(wanted) and wanted != given
        found.append((token, f"{wanted} → {given}" if wrong else "" if given == usual else given, wrong))
    return found


def indented(value: object) -> str:
    """Return plain values as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def _drawing(svg: str) -> Markup:
    """Return a drawing of `figures`, in which nothing is written that data or plugins brought."""
    from markupsafe import Markup

    return Markup(svg)

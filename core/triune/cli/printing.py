"""Results on standard output: as text, or as one JSON document."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from triune.alignment import aligned, shortened, wrapped
from triune.rule_table import NOT_MEASURED, rule_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from triune.types import JSON

MOST_ROWS = 40
APART = ("rules", "rules_overall", "projection", "baselines")  # what has tables of its own


def print_json(value: JSON) -> None:
    """Print a value as one JSON document, in UTF-8 whatever the terminal's encoding is."""
    from triune.files import json_bytes

    print_bytes(json_bytes(value, "the result"))


def print_bytes(content: bytes) -> None:
    """Print bytes as they are."""
    sys.stdout.flush()
    stream = getattr(sys.stdout, "buffer", None)
    if stream is None:
        sys.stdout.write(content.decode())
    else:
        stream.write(content)
        stream.flush()


def metrics_lines(metrics: Mapping[str, JSON], first: Sequence[str] = ("test", "valid")) -> list[str]:
    """Return the figures of splits side by side, those in `first` first, then the tables that a split holds."""
    splits = {
        split: metrics[split]
        for split in (*first, *metrics)
        if split not in APART and isinstance(metrics.get(split), dict)
    }
    names = dict.fromkeys(name for one in splits.values() for name, value in _items(one) if _is_figure(value))
    rows = [
        ["", *splits],
        *([name, *(_figure(dict(_items(one)).get(name)) for one in splits.values())] for name in names),
    ]
    lines = aligned(rows, right=range(1, len(splits) + 1), indent="  ")
    for split, one in list(splits.items())[:1]:
        for name, value in _items(one):
            if name in APART:
                continue
            lines.extend(_table(f"{name.replace('_', ' ')} ({split})", value))
        lines.extend(rule_lines(split, dict(_items(one))))
    for split, one in splits.items():
        if said := dict(_items(one)).get(NOT_MEASURED):
            lines.extend(["", *wrapped(str(said), "  ", f"{split}: ")])
    return lines


def _table(title: str, value: JSON) -> Iterator[str]:
    """Yield a mapping of mappings of figures, such as the metrics of each class or rule, as a table."""
    if not isinstance(value, dict) or not value or not all(isinstance(row, dict) for row in value.values()):
        return
    columns = list(dict.fromkeys(name for row in value.values() for name, cell in _items(row) if _is_figure(cell)))
    if not columns:
        return
    rows = [["", *columns]]
    for name, row in list(value.items())[:MOST_ROWS]:
        if not any(_is_figure(cell) for _, cell in _items(row)):
            continue  # more mappings, which metrics.json has
        rows.append([shortened(name, 32), *(_figure(dict(_items(row)).get(column)) for column in columns)])
    yield from ("", f"  {title}")
    yield from aligned(rows, right=range(1, len(columns) + 1), indent="  ")
    if len(value) > MOST_ROWS:
        yield f"  … and {len(value) - MOST_ROWS} more"


def _items(value: JSON) -> list[tuple[str, JSON]]:
    return list(value.items()) if isinstance(value, dict) else []


def _is_figure(value: JSON) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _figure(value: JSON) -> str:
    if isinstance(value, float):
        return f"{value:.4f}"
    return f"{value:,}" if isinstance(value, int) else "–"

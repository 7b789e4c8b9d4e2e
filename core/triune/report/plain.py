"""Plain values out of a file, taken for what they should be and for nothing where they are something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triune.types import JSON


def as_mapping(value: JSON) -> Mapping[str, JSON]:
    """Return a mapping, empty where there is none."""
    return value if isinstance(value, Mapping) else {}


def as_list(value: JSON) -> list[JSON]:
    """Return a list, empty where there is none."""
    return value if isinstance(value, list) else []


def as_rows(value: JSON) -> list[Mapping[str, JSON]]:
    """Return the mappings in a list."""
    return [one for one in as_list(value) if isinstance(one, Mapping)]


def as_number(value: JSON) -> float:
    """Return a number, zero where there is none."""
    return float(value) if isinstance(value, int | float) else 0.0

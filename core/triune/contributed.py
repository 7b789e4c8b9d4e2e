"""Figures that plugins contribute, as JSON can hold them, so that no run is lost over one that it cannot.

A number of numpy or torch becomes a plain one. What is no number for the moment (NaN or infinite, as a correlation of
one and the same answer) is not measured: null among metrics, and left out among values that are noted.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

from triune.errors import PluginError

if TYPE_CHECKING:
    from triune.types import JSON

NEEDED = "give numbers, text, lists, true, false, null and mappings with text keys"


def metric_of(owner: str, name: str, value: Any) -> JSON:  # noqa: ANN401 - a plugin may give anything
    """Return a metric of a plugin as JSON.

    Raises:
        PluginError: JSON has no word for a part of it.
    """
    value = _plain(value)
    if isinstance(value, float):
        return value if isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, list | tuple):
        return [metric_of(owner, f"{name}[{place}]", part) for place, part in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: metric_of(owner, f"{name}.{key}", part) for key, part in value.items()}
    raise PluginError(
        f"plugin {owner!r}: its metric {name!r} is of type {type(value).__name__!r}, which JSON cannot hold: {NEEDED}"
    )


def noted_by(owner: str, found: Any) -> dict[str, dict[str, float]]:  # noqa: ANN401 - a plugin may give anything
    """Return what a plugin notes of a moment, without what is no finite number.

    Raises:
        PluginError: it is no mapping of names to mappings of names to numbers.
    """
    if not isinstance(found, Mapping) or not all(isinstance(one, Mapping) for one in found.values()):
        raise _no_values(owner, found)
    plain = {str(name): {str(key): _plain(one) for key, one in each.items()} for name, each in found.items()}
    for one in (one for each in plain.values() for one in each.values()):
        if one is not None and not isinstance(one, int | float):
            raise _no_values(owner, one)
    return {
        name: {key: float(one) for key, one in each.items() if one is not None and isfinite(one)}
        for name, each in plain.items()
    }


def _plain(value: Any) -> Any:  # noqa: ANN401 - of any type, and given back as one of Python's where it is a number
    return value.item() if hasattr(value, "item") and not getattr(value, "shape", (0,)) else value


def _no_values(owner: str, found: object) -> PluginError:
    return PluginError(
        f"plugin {owner!r}: hook 'note_values' gives a value of type {type(found).__name__!r}, and a mapping of names "
        "to mappings of names to numbers is needed: mend the plugin, or leave it out"
    )

"""What there is to learn from: rules, labels, unlabelled text, and how much of it."""

from __future__ import annotations

from copy import copy, deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from triune.config import LoadedConfig, NamedPlugin
    from triune.data import Data, Source
    from triune.strategies import Need
    from triune.types import LabelValue


@dataclass(frozen=True, slots=True)
class Scene:
    """The tables and rules that every arm begins from.

    Attributes:
        rules: whether the configuration names any.
        labelled: training examples with a label.
        unlabelled: training examples without one, those of the unlabelled table among them.
        labels: the labels that there are, in order.
        several: whether an example may have several.
        sources: where the tables came from, with their fingerprints.
    """

    rules: bool
    labelled: int
    unlabelled: int
    labels: tuple[LabelValue, ...]
    several: bool
    sources: Mapping[str, Source]

    @property
    def examples(self) -> int:
        """All that can be learnt from."""
        return self.labelled + self.unlabelled

    def lacks(self, need: Need) -> str:
        """Return why a need is not met, or an empty string."""
        there = {"rules": self.rules, "labels": self.labelled > 0, "unlabelled": self.unlabelled > 0}
        reasons = {
            "rules": "it needs rules and the configuration names none: name some under rules",
            "labels": "it needs labels and no training example has one",
            "unlabelled": "it needs text without labels and there is none: name a table as data.unlabelled",
        }
        return "" if there[need] else reasons[need]


def scene_of(base: LoadedConfig, frames: Mapping[str, pd.DataFrame] | None) -> Scene:
    """Load the tables as every run will, and look at them.

    Raises:
        TriuneError: they cannot be loaded.
    """
    from triune.opening import load, started

    run, hooks = started(fresh(base), frames)
    return _seen(load(run, hooks), rules=bool(base.run.rules))


def _seen(data: Data, *, rules: bool) -> Scene:
    from triune.spaces import labels_in_order

    cells = data.labels("train")
    given = [] if cells is None else [cell for cell in cells if cell is not None]
    beside = len(data.splits["unlabelled"]) if "unlabelled" in data.splits else 0
    return Scene(
        rules,
        len(given),
        len(data.train) - len(given) + beside,
        tuple(labels_in_order(given)) if given else (),
        any(isinstance(cell, list | tuple) for cell in given) and not data.tokenised,
        data.sources,
    )


def fresh(loaded: LoadedConfig) -> LoadedConfig:
    """Return a configuration whose plugin objects from Python a run may change without the next one's noticing."""
    return replace(loaded, plugins=tuple(_copied(one) for one in loaded.plugins))


def _copied(plugin: NamedPlugin) -> NamedPlugin:
    if plugin.instance is None:
        return plugin
    copied = deepcopy if hasattr(plugin.instance, "load_state_dict") else copy
    return replace(plugin, instance=copied(plugin.instance))

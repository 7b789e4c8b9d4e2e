"""Labels hidden from what learns from rules alone: the tables are the same, the training labels are gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from triune.config import NamedPlugin
from triune.hookspecs import hookimpl

if TYPE_CHECKING:
    from pydantic import BaseModel

    from triune.comparing.scene import Scene
    from triune.config import LoadedConfig
    from triune.data import Data

NAME = "labels hidden"


class LabelsHidden:
    """Take the labels off the training table, after the validation table was set aside from it."""

    @hookimpl
    def prepare_data(self, data: Data) -> Data:
        """Transform the training table."""
        import pandas as pd

        column = data.roles.get("label")
        if column is None or column not in data.train.columns:
            return data
        hidden = pd.Series([None] * len(data.train), index=data.train.index, dtype=object)
        return data.with_split("train", data.train.assign(**{column: hidden}))


def blinded(loaded: LoadedConfig) -> LoadedConfig:
    """Return a configuration in which nothing sees a training label, the data plugins that prepare included."""
    first = next(place for place, one in enumerate(loaded.plugins) if one.family == "data") + 1
    hiding = NamedPlugin(NAME, NAME, "data", "", None, LabelsHidden, None, LabelsHidden())
    return replace(loaded, plugins=(*loaded.plugins[:first], hiding, *loaded.plugins[first:]))


def told(section: object, task: NamedPlugin, scene: Scene) -> object:
    """Return the section of a task, told which labels there are where it can be: no example shows them any more."""
    if task.config is None or not scene.labels:
        return section
    facts: dict[str, object] = {"labels": list(scene.labels), "multi_label": scene.several}
    open_ones = {key: fact for key, fact in facts.items() if _is_open(task.config, key)}
    written = section if isinstance(section, Mapping) else {"use": section}
    return {**written, **open_ones}


def _is_open(config: BaseModel, key: str) -> bool:
    return key in type(config).model_fields and getattr(config, key) is None

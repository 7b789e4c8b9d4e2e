"""What a comparison notes of a run beside the run's own results: what trained, the memory it took, its answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from triune.events import Evaluated, Event, Finished, Planned
from triune.files import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from triune.planning import Plan
    from triune.types import JSON

RECORD = "compared.json"


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers of a finished model on one table."""

    rows: tuple[str | int, ...]  # the index of the table
    gold: tuple[object, ...]  # label cells; None where there is no label
    predicted: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """What was noted of a run."""

    trained: int | None
    parameters: int | None
    peak_memory: int | None
    answers: Mapping[str, Answers]


class Recorder:
    """An observer of one run, which writes the record into the run's folder before the run is finished."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / RECORD
        self._facts: dict[str, JSON] = {}
        self._answers: dict[str, JSON] = {}

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Planned):
            plan = cast("Plan", event.plan)
            self._facts["trained"] = sum(group.elements for group in plan.groups)
            self._facts["parameters"] = sum(one.elements for one in plan.layout.parameters)
        elif isinstance(event, Finished):
            self._write()
        elif isinstance(event, Evaluated) and event.predictions is not None:
            self._answers[event.split] = _as_json(event.predictions)
            self._write()

    def _write(self) -> None:
        write_json(self._path, {**self._facts, "peak_memory": peak_memory(), "answers": self._answers})


def peak_memory() -> int | None:
    """Return the most memory that computing took: of the GPU where one computes, else of the process."""
    import torch

    from triune.memory import peak_resident_bytes

    if torch.cuda.is_available() and (peak := torch.cuda.max_memory_allocated()):
        return peak
    return peak_resident_bytes()


def forget_memory() -> bool:
    """Let go of what runs before left, and let `peak_memory` count from now on; return whether it does."""
    import gc

    import torch

    from triune.memory import forget_peak, give_back_pages

    gc.collect()
    give_back_pages()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return True
    return forget_peak()


def recorded(folder: Path) -> Record:
    """Return what was noted of a run; nothing where its file is not there or cannot be read."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        answers = {
            split: Answers(*(tuple(one[key]) for key in ("rows", "gold", "predicted")))
            for split, one in found["answers"].items()
        }
        return Record(found.get("trained"), found.get("parameters"), found.get("peak_memory"), answers)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Record(None, None, None, {})


def _as_json(predictions: pd.DataFrame) -> JSON:
    return {
        "rows": [one if isinstance(one, str) else int(one) for one in predictions.index],
        "gold": [_cell(one) for one in predictions["gold"]],
        "predicted": [_cell(one) for one in predictions["predicted"]],
    }


def _cell(value: object) -> JSON:
    if isinstance(value, list | tuple):
        return [_cell(one) for one in value]
    return value if isinstance(value, str | int | None) else str(value)

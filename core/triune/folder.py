"""The folder of a run: whether it may be used, what is written into it, how a finished one is read again."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.errors import CheckpointError, OutputError
from triune.files import whole_folder, write_json, write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from triune.types import JSON

FACTS, METRICS, HISTORY, CARD = "run.json", "metrics.json", "history.jsonl", "README.md"
MODEL, CHECKPOINTS, START = "model", "checkpoints", "start.json"
RESULTS = (METRICS, HISTORY, FACTS, CARD)


@dataclass(frozen=True, slots=True)
class Folder:
    """Where a run leaves what it makes; it is finished when `run.json` is there, which is written last."""

    path: Path

    @property
    def finished(self) -> bool:
        """Whether a run ended here."""
        return (self.path / FACTS).is_file()

    @property
    def begun(self) -> bool:
        """Whether a run was at work here and can go on."""
        return (self.path / CHECKPOINTS).is_dir()

    @property
    def empty(self) -> bool:
        """Whether nothing is there."""
        return not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir()))

    def claim(self, *, resume: bool, overwrite: bool) -> None:
        """Make sure that a run may write here.

        Raises:
            OutputError: something is there that would be lost.
        """
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"output {str(self.path)!r} is a file: give a folder as output")
        if overwrite and (self.finished or self.begun):
            shutil.rmtree(self.path)
        if self.empty:
            return
        if not (self.finished or self.begun):
            if resume and {one.name for one in self.path.iterdir()} <= {HISTORY}:
                return
            raise OutputError(f"output {str(self.path)!r} holds files that are no run's: give another output")
        if not resume:
            state = "a finished run" if self.finished else "a run that can go on"
            raise OutputError(
                f"output {str(self.path)!r} holds {state}: give another output, or `--resume auto` to "
                f"{'return it' if self.finished else 'go on'}, or `--overwrite` to begin anew"
            )

    def facts(self) -> dict[str, JSON]:
        """Return `run.json`.

        Raises:
            OutputError: there is none.
            CheckpointError: it cannot be read.
        """
        path = self.path / FACTS
        if not path.is_file():
            hint = (
                f"; it can be finished with `triune run CONFIG --output {self.path} --resume auto`"
                if self.begun
                else ""
            )
            raise OutputError(f"{str(self.path)!r} holds no finished run: it has no {FACTS}{hint}")
        return self._read(path)

    def metrics(self) -> dict[str, JSON]:
        """Return `metrics.json`; errors are those of `facts`."""
        return self._read(self.path / METRICS)

    def _read(self, path: Path) -> dict[str, JSON]:
        try:
            value: dict[str, JSON] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: cannot be read ({error}): run again with another output") from error
        return value

    def threads(self) -> int | None:
        """Return how many threads a run that can go on began with: its numbers depend on it."""
        start = self.path / CHECKPOINTS / START
        return int(str(self._read(start)["threads"])) if start.is_file() else None

    def begin(self, threads: int) -> None:
        """Note what a resumed run must do alike."""
        (self.path / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        write_json(self.path / CHECKPOINTS / START, {"threads": threads})

    def write_model(self, save: Callable[[Path], None]) -> None:
        """Write the model's folder, whole; `save` is called with where to put it."""
        with whole_folder(self.path / MODEL) as place:
            save(place)

    def write_results(self, metrics: Mapping[str, JSON], card: str, facts: Mapping[str, JSON]) -> None:
        """Write metrics, model card and facts; the facts last, since they say that the run is finished."""
        write_json(self.path / METRICS, metrics)
        write_whole(self.path / CARD, card)
        write_json(self.path / FACTS, facts)

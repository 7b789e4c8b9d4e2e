"""The folder of a run: whether it may be used, what is written into it, how a finished one is read again."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.errors import CheckpointError, OutputError
from triune.files import whole_folder, write_json, write_whole, writing
from triune.tensorfile import system_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from triune.types import JSON

FACTS, METRICS, HISTORY, CARD = "run.json", "metrics.json", "history.jsonl", "README.md"
MODEL, CHECKPOINTS, START = "model", "checkpoints", "start.json"
PREDICTIONS, REPORT = "predictions.jsonl", "report.html"
RESULTS = (METRICS, HISTORY, FACTS, CARD)
REPORTED = (PREDICTIONS, REPORT)  # unless no report is wanted
REMEDY = "run again with another output"
NEEDED = {"identity": str, "config": dict, "folder": str, "space": dict, "roles": dict, "ended": dict}
"""What a finished run is opened by, in `run.json`."""


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
        for place in (self.path, *self.path.parents):
            if place.exists() and not place.is_dir():
                inside = "" if place == self.path else f" lies in {str(place)!r}, which"
                raise OutputError(f"output {str(self.path)!r}{inside} is a file: give a folder as output")
        if self.empty or (overwrite and (self.finished or self.begun)):
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

    def clear(self) -> None:
        """Delete the run that is there, if one is."""
        if self.finished or self.begun:
            with writing(self.path):
                shutil.rmtree(self.path)

    def drop_checkpoints(self) -> None:
        """Delete the checkpoints of a finished run: nothing goes on from them."""
        if self.finished and self.begun:
            with writing(self.path):
                shutil.rmtree(self.path / CHECKPOINTS)

    def facts(self) -> dict[str, JSON]:
        """Return `run.json`.

        Raises:
            OutputError: there is none.
            CheckpointError: it cannot be read, or is not what a run wrote.
        """
        path = self.path / FACTS
        if not path.is_file():
            raise OutputError(self._no_run())
        facts = self._read(path)
        for key, kind in NEEDED.items():
            if not isinstance(facts.get(key), kind):
                raise CheckpointError(f"{path}: {key!r} is not there as a run writes it: {REMEDY}")
        return facts

    def _no_run(self) -> str:
        name = str(self.path)
        if not self.path.is_dir():
            fault = "is a file" if self.path.exists() else "is not there"
            return f"{name!r} {fault}, and holds no finished run: give the folder of one"
        if self.begun:
            way_on = f"`triune run CONFIG --output {shlex.quote(name)} --resume auto`"
            return f"{name!r} holds no finished run: it has no {FACTS}; it can be finished with {way_on}"
        do = "give the folder that `triune run` wrote"
        if inside := sorted(self.path.glob(f"*/{FACTS}")):
            do = f"there are runs in it: give the folder of one, such as {str(inside[0].parent)!r}"
        return f"{name!r} holds no finished run: it has no {FACTS}; {do}"

    def metrics(self) -> dict[str, JSON]:
        """Return `metrics.json`; errors are those of `facts`."""
        return self._read(self.path / METRICS)

    def _read(self, path: Path) -> dict[str, JSON]:
        try:
            value: object = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
            raise CheckpointError(f"{path}: cannot be read ({reason}): {REMEDY}") from error
        if not isinstance(value, dict):
            raise CheckpointError(f"{path}: holds a {type(value).__name__}, and a run wrote an object: {REMEDY}")
        return value

    def threads(self) -> int | None:
        """Return how many threads a run that can go on began with: its numbers depend on it."""
        start = self.path / CHECKPOINTS / START
        if not start.is_file():
            return None
        count = self._read(start).get("threads")
        if not isinstance(count, int) or count < 1:
            raise CheckpointError(f"{start}: 'threads' is not there as a run writes it: {REMEDY}")
        return count

    def begin(self, threads: int) -> None:
        """Note what a resumed run must do alike."""
        (self.path / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        write_json(self.path / CHECKPOINTS / START, {"threads": threads})

    def write_model(self, save: Callable[[Path], None]) -> None:
        """Write the model's folder, whole; `save` is called with where to put it."""
        with whole_folder(self.path / MODEL) as place, writing(self.path / MODEL), system_errors():
            save(place)

    def write_results(
        self, metrics: Mapping[str, JSON], card: str, facts: Mapping[str, JSON], predictions: str = ""
    ) -> None:
        """Write metrics, model card, predictions and facts; these last, since they say that the run is finished."""
        if predictions:
            # a lone surrogate has no UTF-8; its backslash escape is what JSON writes for it
            write_whole(self.path / PREDICTIONS, predictions.encode(errors="backslashreplace"))
        write_json(self.path / METRICS, metrics)
        write_whole(self.path / CARD, card)
        write_json(self.path / FACTS, facts)

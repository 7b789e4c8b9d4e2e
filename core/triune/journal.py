"""What happens in a run, told to those who listen and written to `history.jsonl`."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from triune.events import Cached, EndRun, Evaluated, Event, Noted, PhaseEnded, Stepped, Warned
from triune.files import writing
from triune.hookspecs import RunLifecycle

if TYPE_CHECKING:
    from pathlib import Path

    from triune.context import Run
    from triune.hooks import Hooks
    from triune.types import JSON

Observer = Callable[[Event], None]


class Journal:
    """Tells every event to observers, plugins and the history file; a listener that fails is reported once.

    Observers belong to the caller, who may end the run by `EndRun`; plugins may not.
    """

    def __init__(self, path: Path, hooks: Hooks, run: Run, observers: Sequence[Observer] = ()) -> None:
        self._path = path
        self._hooks = hooks
        self._run = run
        self._observers = list(observers)
        self._deaf: set[str] = set()
        self._file: IO[bytes] | None = None

    def open_at(self, size: int) -> None:
        """Go on after the first `size` bytes of the history, which is where a checkpoint was written."""
        with writing(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
            self._file = self._path.open("r+b")
            self._file.truncate(size)
            self._file.seek(size)

    @property
    def size(self) -> int:
        """The bytes of history so far."""
        return self._file.tell() if self._file else 0

    def close(self) -> None:
        """Close the history file."""
        if self._file:
            with suppress(OSError):  # every line was flushed or told as a failure; closing would fail with it again
                self._file.close()

    def tell(self, event: Event) -> None:
        """Tell an event to everybody.

        Raises:
            EndRun: an observer wants the run to end.
        """
        line = line_of(event)
        if line and self._file:
            with writing(self._path):
                self._file.write((json.dumps(line, ensure_ascii=False) + "\n").encode())
                self._file.flush()
        for place, observer in enumerate(self._observers):
            self._try(f"observer {place}", lambda observer=observer: observer(event), EndRun)  # type: ignore[misc]
        for name in self._hooks.implementers(RunLifecycle.observe):
            self._try(f"plugin {name!r}", lambda name=name: self._hooks.tell(name, self._run, event))  # type: ignore[misc]

    def _try(self, who: str, speak: Callable[[], None], *heard: type[Exception]) -> None:
        if who in self._deaf:
            return
        try:
            speak()
        except heard:
            raise
        except Exception as error:  # whatever an observer does wrong, the run goes on
            self._deaf.add(who)
            self.tell(Warned(f"{who} failed to observe and is not told any more: {type(error).__name__}: {error}"))


def line_of(event: Event) -> dict[str, JSON] | None:
    """Return an event as a line of the history, or None where it is not kept there."""
    if isinstance(event, Stepped):
        return {
            "event": "step",
            "step": event.step.index,
            "epoch": event.step.epoch,
            "loss": event.loss,
            "terms": dict(event.terms),
            "learning_rates": list(event.learning_rates),
            "examples_per_second": round(event.examples / max(event.seconds, 1e-9), 3),
        }
    if isinstance(event, Evaluated):
        return {
            "event": "evaluation",
            "step": event.step.index,
            "epoch": event.step.epoch,
            "split": event.split,
            "metrics": dict(event.metrics),
            "best": event.best,
        }
    if isinstance(event, Noted):
        return {
            "event": "values",
            "step": event.step.index,
            "plugin": event.plugin,
            "name": event.name,
            "values": dict(event.values),
        }
    if isinstance(event, Cached):
        seconds = round(event.seconds, 3)
        return {
            "event": "cache",
            "step": event.step.index,
            "split": event.split,
            "blocks": event.blocks,
            "seconds": seconds,
        }
    if isinstance(event, PhaseEnded):
        return {"event": "phase", "step": event.step.index, "ended": event.phase, "best_step": event.best_step}
    return {"event": "warning", "message": event.message} if isinstance(event, Warned) else None

"""The runs of a comparison done, one after another in this process; `processes` does several at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.comparing.recording import Recorder, forget_memory
from triune.errors import EnvironmentProblem, ModelError, OutputError, TriuneError
from triune.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from triune.comparing.budget import Budget
    from triune.comparing.jobs import Job
    from triune.events import Event
    from triune.journal import Observer

    Frames = Mapping[str, pd.DataFrame] | None


@dataclass(frozen=True, slots=True)
class Announced:
    """It is settled what will be done: of these runs some are finished already, and some arms are left out."""

    jobs: tuple[Job, ...]
    finished: int
    left_out: Mapping[str, str]
    budgets: Mapping[str, Budget]


@dataclass(frozen=True, slots=True)
class Begun:
    """A run begins."""

    job: Job
    number: int  # counted from 1
    of: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A run has ended: well, or with an error."""

    job: Job
    error: str = ""


@dataclass(frozen=True, slots=True)
class Within:
    """Something happened within a run of this process."""

    job: Job
    event: Event


@dataclass(frozen=True, slots=True)
class Undrawn:
    """The comparison is whole, and its page could not be drawn."""

    error: str


Notice = Announced | Begun | Ended | Within | Undrawn
Listener = Callable[[Notice], None]


def one_after_another(jobs: Sequence[Job], frames: Frames, tell: Listener) -> dict[Path, str]:
    """Do the runs in this process; return the errors of those that failed, by their folders.

    Raises:
        Interrupted: a signal asked to stop; the run at work was saved.
        TriuneError: the folder or the machine lets no run go on.
    """
    errors: dict[Path, str] = {}
    for number, job in enumerate(jobs, 1):
        tell(Begun(job, number, len(jobs)))
        error = done(job, frames, [lambda event, job=job: tell(Within(job, event))])  # type: ignore[misc]
        tell(Ended(job, error))
        errors[job.folder] = error
    return {folder: error for folder, error in errors.items() if error}


def done(job: Job, frames: Frames, observers: Sequence[Observer]) -> str:
    """Do a run, or what is left of it; return what was wrong if it failed."""
    from triune.runs import carried_out

    forget_memory()
    try:
        watching: list[Observer] = [Recorder(job.folder), *observers]
        carried_out(job.loaded, job.folder, data=frames, resume="auto", observers=watching)
    except (EnvironmentProblem, ModelError, OutputError):
        raise  # of the disk, the model or the folder: the next run would meet it too
    except Exception as error:  # whatever an arm does wrong, the others go on
        return said(error)
    Folder(job.folder).drop_checkpoints()
    return ""


def said(error: BaseException) -> str:
    """Return what is wrong in a line or a few, with the notes of what an error passed through."""
    text = str(error) if isinstance(error, TriuneError) else f"{type(error).__name__}: {error}"
    return "\n".join([text, *getattr(error, "__notes__", ())])

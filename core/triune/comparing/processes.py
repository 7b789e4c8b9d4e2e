"""Several runs at once, each in a process of its own that gets its share of the threads."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from triune.comparing.working import Begun, Ended, done, said
from triune.errors import EnvironmentProblem, ModelError, OutputError, TriuneError
from triune.signals import Interrupted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnContext, SpawnProcess

    from triune.comparing.jobs import Job
    from triune.comparing.working import Frames, Listener
    from triune.events import Event

STOPPED = "its process ended before the run did"


@dataclass(frozen=True, slots=True)
class Worker:
    """A process at work on a run, and where it says what was wrong."""

    job: Job
    process: SpawnProcess
    answer: Connection


def several_at_once(jobs: Sequence[Job], frames: Frames, tell: Listener, workers: int) -> dict[Path, str]:
    """Do the runs, at most `workers` at once; return the errors of those that failed, by their folders.

    Raises:
        KeyboardInterrupt: a signal asked to stop; every run at work was saved.
        TriuneError: something cannot be handed to another process, or the folder or the machine lets no run go on.
    """
    import multiprocessing

    context = multiprocessing.get_context("spawn")  # a forked process would inherit torch's threads, half alive
    share = max(_threads() // workers, 1)
    waiting, working, errors = list(enumerate(jobs, 1)), list[Worker](), dict[Path, str]()
    try:
        while waiting or working:
            while waiting and len(working) < workers:
                number, job = waiting.pop(0)
                tell(Begun(job, number, len(jobs)))
                working.append(_started(context, job, frames, share))
            for worker in _ended(working):
                working.remove(worker)
                error = _answer(worker)
                tell(Ended(worker.job, error))
                errors[worker.job.folder] = error
    finally:
        _stop(working)
    return {folder: error for folder, error in errors.items() if error}


def _threads() -> int:
    import torch

    return torch.get_num_threads()


def _started(context: SpawnContext, job: Job, frames: Frames, threads: int) -> Worker:
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(job, frames, threads, there, os.getpid()), name=job.title)
    try:
        process.start()
    except (AttributeError, TypeError, ValueError, ImportError) as error:
        raise TriuneError(
            f"{job.title}: it cannot be handed to another process ({type(error).__name__}: {error}): compare with "
            "one worker, or define what is passed from Python at the top of a module"
        ) from error
    except Exception as error:  # pickle's own errors have no common ancestor
        raise TriuneError(f"{job.title}: it cannot be handed to another process: {error}") from error
    there.close()
    return Worker(job, process, here)


def _ended(working: Sequence[Worker]) -> list[Worker]:
    """Wait until a process ends; return all that have."""
    from multiprocessing.connection import wait

    ready = set(wait([one.process.sentinel for one in working]))
    return [one for one in working if one.process.sentinel in ready]


def _answer(worker: Worker) -> str:
    """Return what was wrong with a run whose process has ended.

    Raises:
        TriuneError: no other run would fare better.
        KeyboardInterrupt: the process was asked to stop.
    """
    worker.process.join()
    try:
        kind, text = worker.answer.recv()
    except EOFError:
        kind, text = "run", f"{STOPPED} (exit code {worker.process.exitcode})"
    if kind == "all":
        raise OutputError(text)
    if kind == "machine":
        raise EnvironmentProblem(text)
    if kind == "model":
        raise ModelError(text)
    if kind == "stopped":
        raise Interrupted(signal.SIGTERM)
    return str(text)


def _stop(working: Sequence[Worker]) -> None:
    """Ask processes to save and leave, and wait until they have."""
    for worker in working:
        worker.process.terminate()
    for worker in working:
        worker.process.join()


def _work(job: Job, frames: Frames, threads: int, answer: Connection, parent: int) -> None:
    """Be the process of one run; it leaves when its parent is gone, and only its parent tells it to stop."""
    import torch

    torch.set_num_threads(threads)
    with suppress(OSError, AttributeError):
        os.setpgrp()  # the terminal's Ctrl-C goes to the parent, which passes it on

    def orphaned(event: Event) -> None:
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGTERM)

    try:
        answer.send(("run", done(job, frames, [orphaned])))
    except EnvironmentProblem as error:
        answer.send(("machine", said(error)))
    except ModelError as error:
        answer.send(("model", said(error)))
    except OutputError as error:
        answer.send(("all", said(error)))
    except KeyboardInterrupt:
        answer.send(("stopped", ""))

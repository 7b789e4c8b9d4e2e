"""Which runs there are to do, where each lies, and whether it was done before."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from triune.comparing.scene import fresh
from triune.errors import OutputError
from triune.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from triune.comparing.arms import Entrant
    from triune.comparing.budget import Budget
    from triune.config import LoadedConfig
    from triune.data import Source
    from triune.settings import Family

RUNS, RESULT, PACE = "runs", "comparison.json", "pace.json"
OURS = {RUNS, RESULT, PACE, "report.html"}
"""What a comparison leaves in its folder."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run of a comparison."""

    arm: str
    family: Family
    seed: int
    loaded: LoadedConfig
    folder: Path

    @property
    def title(self) -> str:
        """What it is called where it is told of."""
        return f"{self.arm}, seed {self.seed}"


def jobs_of(
    arms: Iterable[Entrant], seeds: Iterable[int], budgets: Mapping[str, Budget], folder: Path
) -> tuple[Job, ...]:
    """Return the runs: every arm with the first seed, then with the next, so that early results say something."""
    entered = list(arms)
    return tuple(
        Job(one.name, one.family, seed, _configured(one, budgets[one.name], seed), place_of(folder, one.name, seed))
        for seed in seeds
        for one in entered
    )


def place_of(folder: Path, arm: str, seed: int) -> Path:
    """Return the folder of a run."""
    return folder / RUNS / arm / f"seed-{seed}"


def _configured(one: Entrant, budget: Budget, seed: int) -> LoadedConfig:
    loaded = fresh(one.loaded)
    training = budget.of(loaded.run.training, seed)
    run = loaded.run.model_copy(update={"training": training, "output": None, "compare": None})
    return replace(loaded, run=run)


def claim(folder: Path) -> None:
    """Make sure that a comparison may write here.

    Raises:
        OutputError: something else is there.
    """
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise OutputError(f"output {str(folder)!r}: {str(place)!r} is a file: give a folder as output")
    if folder.is_dir() and {one.name for one in folder.iterdir() if not one.name.startswith(".")} - OURS:
        raise OutputError(f"output {str(folder)!r} holds files that are no comparison's: give another output")


def clear(folder: Path) -> None:
    """Delete the comparison that is there, its runs included."""
    import shutil

    from triune.files import writing

    with writing(folder):
        shutil.rmtree(folder / RUNS, ignore_errors=True)
        for name in OURS - {RUNS}:
            (folder / name).unlink(missing_ok=True)


def finished(jobs: Iterable[Job], sources: Mapping[str, Source]) -> frozenset[Path]:
    """Return the folders of the runs that were done before and need not be done again.

    Raises:
        OutputError: a run is there that was another: of another configuration, other data or other plugins.
    """
    from triune.prepared import identity

    done = set()
    for job in jobs:
        folder = Folder(job.folder)
        if not folder.finished:
            _claim_run(folder)
            continue
        if folder.facts()["identity"] != identity(job.loaded, sources):
            raise OutputError(
                f"output {str(_comparison_of(job.folder))!r} holds a comparison of another configuration, data or "
                f"plugins, such as the finished run of {job.title}: give another output, or `--overwrite` to begin anew"
            )
        done.add(job.folder)
    return frozenset(done)


def _claim_run(folder: Folder) -> None:
    try:
        folder.claim(resume=True, overwrite=False)
    except OutputError as error:
        whole = _comparison_of(folder.path)
        raise OutputError(
            f"output {str(whole)!r}: something that is no run's lies at {str(folder.path.relative_to(whole))!r} in it: "
            "move that away, or give another output"
        ) from error


def _comparison_of(run: Path) -> Path:
    """Return the folder of the comparison that a run is part of: what a user knows as the output."""
    return run.parents[2]

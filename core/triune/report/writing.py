"""The report put into the folder of a run."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

from triune.errors import CheckpointError, OutputError, count
from triune.files import write_whole
from triune.folder import REPORT, Folder
from triune.report.comparison import comparison_page
from triune.report.gathering import run_values
from triune.report.page import filled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from triune.types import JSON

COMPARISON, RUNS = "comparison.json", "runs"


def run_page(folder: Folder) -> str:
    """Return the page of a finished run.

    Raises:
        OutputError: the folder holds no finished run.
        CheckpointError: a file in it is damaged.
    """
    return filled("run.html.j2", run_values(folder))


def write_report_of(path: Path, place: Path | None = None) -> Path:
    """Write the page of whatever lies in a folder, a run or a comparison, and return where; errors are as below."""
    if not (path / COMPARISON).is_file():
        _refuse_unfinished_comparison(path)
        return write_report(Folder(path), place)
    try:
        facts = json.loads((path / COMPARISON).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path / COMPARISON}: cannot be read ({error}): compare again") from error
    return write_comparison(path, facts, place)


def _refuse_unfinished_comparison(path: Path) -> None:
    """Refuse a comparison that was interrupted, and say how to go on.

    Raises:
        OutputError: it is one.
    """
    runs = [Folder(one) for one in sorted((path / RUNS).glob("*/seed-*")) if one.is_dir()]
    if not runs or Folder(path).finished:
        return
    done = [one for one in runs if one.finished]
    stopped = len([one for one in runs if one.begun and not one.finished])
    begun = f", and {count(stopped, 'run')} begun" if stopped else ""
    inside = f"; a finished run has its own page, such as {str(done[0].path / REPORT)!r}" if done else ""
    raise OutputError(
        f"{str(path)!r} holds a comparison that has not come to its end: {count(len(done), 'run')} finished{begun}; "
        f"`triune compare CONFIG --output {shlex.quote(str(path))}`, with the configuration and options that it was "
        f"begun with, goes on with it and repeats nothing that is finished{inside}"
    )


def write_comparison(folder: Path, facts: Mapping[str, JSON], place: Path | None = None) -> Path:
    """Write the page of a comparison, whole or not at all, and return where."""
    path = place or folder / REPORT
    _write(path, comparison_page(facts, folder.resolve().name))
    return path


def write_report(folder: Folder, place: Path | None = None) -> Path:
    """Write the page of a finished run, whole or not at all, and return where; errors are those of `run_page`."""
    path = place or folder.path / REPORT
    _write(path, run_page(folder))
    return path


def _write(path: Path, page: str) -> None:
    write_whole(path, page.encode(errors="replace"))  # a lone surrogate has no UTF-8

"""The report put into the folder of a run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from triune.errors import CheckpointError
from triune.files import write_whole
from triune.folder import REPORT, Folder
from triune.report.comparison import comparison_page
from triune.report.gathering import run_values
from triune.report.page import filled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from triune.types import JSON

COMPARISON = "comparison.json"


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
        return write_report(Folder(path), place)
    try:
        facts = json.loads((path / COMPARISON).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path / COMPARISON}: cannot be read ({error}): compare again") from error
    return write_comparison(path, facts, place)


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

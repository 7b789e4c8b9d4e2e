"""Groundings are kept on disk, found by what they depend on, and never believed when anything of it changed."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from triune import Label, Rule
from triune.conditions import (
    AllTrue,
    AnyTrue,
    Column,
    Contains,
    ContainsAll,
    EndsWith,
    Length,
    NotTrue,
    Regex,
    Script,
    StartsWith,
    TextMatches,
    ground_all,
    kept,
    view,
)

ROLES = {"text": "text", "label": "label"}
CONDITIONS = [
    Contains("good", "not good"),
    ContainsAll("good", "day", case=True),
    StartsWith("a"),
    EndsWith("!"),
    Length(at_most=2),
    Script("Latin"),
    Regex(r"\d"),
    Column("stars", "at_least", 3),
    AllTrue(NotTrue(Contains("bad")), AnyTrue(Length(at_least=2), Column("stars", "below", 2))),
]
TABLE = pd.DataFrame(
    {
        "text": ["a good Day", "bad 1", "Good day!", ""],
        "stars": [5, 1, None, "many"],
        "label": list("xyxy"),
        "other": 0,
    },
    dtype=object,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TRIUNE_CACHE", str(tmp_path))
    monkeypatch.setattr(kept, "WORTH", 1)
    return tmp_path / "groundings"


def grounded(conditions=CONDITIONS, table=TABLE):
    rules = [Rule(f"r{number}", Label("x"), one) for number, one in enumerate(conditions)]
    found = ground_all(rules, table, ROLES)
    return found.fires.tolist(), found.abstained.tolist(), dict(found.reasons)


def count_asked(monkeypatch):
    """Return a list that grows by one for each condition that is really asked."""
    asked = []
    for kind in {type(one) for one in CONDITIONS}:
        own = kind.on
        monkeypatch.setattr(kind, "on", lambda self, view, own=own: asked.append(self) or own(self, view))
    return asked


def test_what_was_grounded_once_is_not_asked_again_and_is_the_same(monkeypatch, folder):
    asked = count_asked(monkeypatch)
    first = grounded()
    once = len(asked)
    assert grounded() == first and len(asked) == once
    assert grounded(CONDITIONS[::-1]) == (first[0][::-1], first[1][::-1], _renamed(first[2])) and len(asked) == once
    assert len(list(folder.iterdir())) == 1
    monkeypatch.setenv("TRIUNE_CACHE", "off")
    assert grounded() == first and len(asked) > once


def _renamed(reasons):
    return {f"r{len(CONDITIONS) - 1 - int(name[1:])}": reason for name, reason in reversed(reasons.items())}


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.assign(text=["a good Day", "bad", "Good day!", ""]),
        lambda table: table.assign(stars=[5, 1, None, "2"]),
        lambda table: table.assign(stars=["5", 1, None, "many"]),
        lambda table: table.iloc[:3],
    ],
)
def test_a_changed_cell_that_is_read_is_grounded_anew(change, folder):
    grounded()
    assert grounded(table=change(TABLE)) == _unkept(change(TABLE))
    assert len(list(folder.iterdir())) == 2


def _unkept(table):
    before = os.environ.pop("TRIUNE_CACHE")
    os.environ["TRIUNE_CACHE"] = "off"
    try:
        return grounded(table=table)
    finally:
        os.environ["TRIUNE_CACHE"] = before


def test_a_column_that_is_not_read_makes_no_difference(folder):
    grounded()
    grounded(table=TABLE.assign(other=1, label=list("yyyy")))
    assert len(list(folder.iterdir())) == 1


def test_other_conditions_and_other_code_are_grounded_anew(monkeypatch, folder):
    grounded()
    grounded([*CONDITIONS, Contains("new")])
    monkeypatch.setattr(kept, "_code", lambda: "of tomorrow")
    grounded()
    assert len(list(folder.iterdir())) == 3


def test_what_runs_python_of_the_user_is_asked_every_time(folder):
    seen = []
    functions = [TextMatches(lambda text: seen.append(text) or True), NotTrue(TextMatches(seen.append))]
    grounded(functions)
    assert not folder.exists() and len(seen) == 8
    grounded(functions)
    assert not folder.exists() and len(seen) == 16


def test_a_text_that_took_too_long_is_asked_again(folder, monkeypatch):
    monkeypatch.setattr("triune.conditions.texts.TIMEOUT", 0.01)
    slow = TABLE.assign(text=["a" * 60 + "!", *"bcd"])
    found = grounded([Regex(r"^(a|aa)+$")], slow)
    assert found[1] == [1] and not folder.exists()


@pytest.mark.parametrize("damage", [b"", b"not a zip", None])
def test_a_damaged_file_is_grounded_anew_and_mended(damage, folder):
    first = grounded()
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:-40] if damage is None else damage)
    assert grounded() == first
    with np.load(file, allow_pickle=False) as mended:
        assert set(mended.files) == {"bits", "reasons"}


def test_a_folder_that_cannot_be_written_is_no_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TRIUNE_CACHE", str(tmp_path / "file"))
    assert grounded() == grounded()


def test_the_oldest_go_once_there_is_too_much(folder, monkeypatch):
    grounded()
    (first,) = folder.iterdir()
    os.utime(first, (1, 1))
    monkeypatch.setattr(kept, "LIMIT", first.stat().st_size + 10)
    grounded([Contains("another")])
    assert first not in folder.iterdir() and len(list(folder.iterdir())) == 1


def test_small_tables_are_not_kept(folder, monkeypatch):
    monkeypatch.setattr(kept, "WORTH", len(CONDITIONS) * len(TABLE) + 1)
    grounded()
    assert not folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked")
def test_processes_that_write_at_once_leave_one_whole_file(folder):
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(_in_a_process, range(6)))
    assert all(one == found[0] for one in found)
    assert [file.suffix for file in folder.iterdir()] == [".npz"]


def _in_a_process(_):
    kept.WORTH = 1
    return grounded()


def test_the_users_cache_folder_is_the_default(monkeypatch):
    monkeypatch.delenv("TRIUNE_CACHE")
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert kept.folder() == Path("/somewhere/triune/groundings")


def test_every_condition_of_ours_without_python_lasts():
    assert all(kept._lasting([one]) for one in CONDITIONS)
    assert view.parts  # the parts of a condition are those that the view knows

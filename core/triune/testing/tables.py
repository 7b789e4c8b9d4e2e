"""Checks of data plugins: training data changes, all else stays, and every row still knows where it came from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.data import label_set
from triune.errors import listed
from triune.hookspecs import RunLifecycle

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd

    from triune.data import Data
    from triune.testing.subject import Subject

LEARNT_FROM = ("train", "unlabelled")


def prepared(subject: Subject) -> Iterator[str]:
    """`prepare_data` touches only what is learnt from, keeps columns, index and labels, and repeats itself."""
    run, hooks, data = subject.started()
    before = {split: table.copy() for split, table in data.splits.items()}
    after = dict(hooks.each(RunLifecycle.prepare_data, run=run, data=data))[subject.name] or data
    for split, table in data.splits.items():
        if not table.equals(before[split]):
            yield f"prepare_data changes the {split} table in place: return data.with_split({split!r}, …) instead"
            return
    if after.splits.keys() != data.splits.keys():
        yield f"prepare_data returns the tables {listed(after.splits)} of {listed(data.splits)}: keep the tables"
        return
    for split in data.splits.keys() - set(LEARNT_FROM):
        if not after.splits[split].equals(before[split]):
            yield f"prepare_data changes the {split} table, and scores on it would flatter: touch training data only"
    yield from _roles(data, after)
    yield from _rows(data, after)
    run, hooks, data = subject.started()
    again = dict(hooks.each(RunLifecycle.prepare_data, run=run, data=data))[subject.name] or data
    if not all(_equal(after.splits[split], again.splits[split]) for split in LEARNT_FROM if split in after.splits):
        yield "prepare_data makes another table of the same seed: draw from run.generators.numpy('my-purpose')"


def _roles(data: Data, after: Data) -> Iterator[str]:
    moved = {role: column for role, column in data.roles.items() if after.roles.get(role) != column}
    if moved:
        yield f"prepare_data gives the role {listed(map(repr, moved))} to another column: keep data.roles"
    gone = [column for column in data.train.columns if column not in after.train.columns]
    if gone:
        yield f"prepare_data drops the column {listed(map(repr, gone))}: keep the user's columns"


def _rows(data: Data, after: Data) -> Iterator[str]:
    for split in LEARNT_FROM:
        if split in data.splits and not after.splits[split].index.isin(data.splits[split].index).all():
            yield (
                f"prepare_data gives rows of the {split} table an index that no row of the source has, so that errors "
                "cannot say where a row came from: keep the index of the row that each comes from"
            )
    known, found = _known(data), _known(after)
    if found - known:
        yield f"prepare_data makes labels that were not there: {listed(map(repr, sorted(map(str, found - known))))}"


def _known(data: Data) -> set[object]:
    cells = data.labels("train")
    return {label for cell in (() if cells is None else cells) for label in label_set(cell) or ()}


def _equal(one: pd.DataFrame, two: pd.DataFrame) -> bool:
    return bool(one.equals(two)) and bool(one.index.equals(two.index))

"""Examples that stand in the tables more than once, and what that does to a run: leakage, contradiction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.data import label_set

if TYPE_CHECKING:
    from collections.abc import Iterator

    from triune.data import Data


def _contents(data: Data, split: str) -> list[tuple[object, ...]]:
    columns = [data.roles[role] for role in ("text", "text_pair") if role in data.roles]
    return list(zip(*([_hashable(cell) for cell in data.splits[split][column]] for column in columns), strict=True))


def _hashable(cell: object) -> object:
    return tuple(cell) if isinstance(cell, list) else cell


def repeated(data: Data) -> Iterator[str]:
    """Say which examples are learnt from and then tested on."""
    if "train" not in data.splits:
        return
    learnt = dict(zip(_contents(data, "train"), data.train.index, strict=True))
    for split in data.splits.keys() & {"valid", "test"}:
        contents = _contents(data, split)
        repeated = [position for position, content in enumerate(contents) if content in learnt]
        if repeated:
            index = data.splits[split].index[repeated[0]]
            first, source = data.place(split, index), data.place("train", learnt[contents[repeated[0]]])
            yield (
                f"{len(repeated)} of the {len(contents)} texts of {data.place(split)} "
                f"also {'stands' if len(repeated) == 1 else 'stand'} in the training table "
                f"({first} is {source}), so scores on them flatter the model; remove them from one of the two"
            )


def contradicted(data: Data) -> Iterator[str]:
    """Say which identical training texts carry different labels."""
    cells = data.labels("train") if "train" in data.splits else None
    if cells is None:
        return
    first: dict[tuple[object, ...], tuple[object, object]] = {}
    pairs: dict[tuple[object, ...], tuple[object, object]] = {}
    for content, cell, index in zip(_contents(data, "train"), cells, data.train.index, strict=True):
        labels = label_set(cell)
        if labels is not None:
            answer = labels if data.tokenised else frozenset(labels)  # tags are in an order
            before, place = first.setdefault(content, (answer, index))
            if before != answer:
                pairs.setdefault(content, (place, index))
    if pairs:
        shown = "; ".join(
            f"{data.place('train', one)} and {data.place('train', other)}" for one, other in [*pairs.values()][:2]
        )
        yield f"{len(pairs)} training texts carry different labels in different rows ({shown}); keep the right ones"

"""Other rows for the training table: copies of rare ones, fewer of frequent ones, or new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.errors import DataError
from triune_balance.classes import Classes, told
from triune_balance.synthesis import TextSynthesis

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import pandas as pd

    from triune.data import Data

VERBS = {"over": "over-sampled", "under": "under-sampled", "synthesise": "joined by synthesised examples"}


def resampled(
    data: Data, classes: Classes, how: str, ratio: float, max_copies: int | None, generator: np.random.Generator
) -> Data:
    """Return the data with a training table whose classes are closer in size; unlabelled rows stay as they are.

    Args:
        data: the tables.
        classes: what the training rows count for; a row with several labels counts for its rarest.
        how: "over", "under" or "synthesise".
        ratio: size of the small classes as a share of the largest, in (0, 1].
        max_copies: how many times its size a class may grow at most.
        generator: where the random numbers come from.

    Raises:
        DataError: under-sampling would leave a class with less than two examples, or texts that belong to
            one another were to be synthesised apart.
    """
    sizes = classes.sizes
    notes: list[str] = []
    if how == "under":
        table = data.train.iloc[_fewer(data, classes, ratio, generator)]
    else:
        wanted = {group: max(size, round(ratio * max(sizes.values()))) for group, size in sizes.items()}
        goals = {group: min(goal, sizes[group] * (max_copies or goal)) for group, goal in wanted.items()}
        capped = sorted(group for group in sizes if goals[group] < wanted[group])
        if capped:
            notes.append(f"balance: max_copies {max_copies} keeps {told({g: wanted[g] for g in capped}, goals)}")
        table = _more(data, classes, goals, generator) if how == "over" else _new(data, classes, goals, generator)
        if len(table) < (due := len(data.train) + sum(goals.values()) - sum(sizes.values())):
            notes.append(
                f"balance: too few different texts can be made of the small classes, {due - len(table)} are missing"
            )
    after = Classes.of(data.with_split("train", table))
    summary = f"balance: {len(data.train)} training examples {VERBS[how]}, {len(table)} now: "
    return data.with_split("train", table, summary + told(classes.counts, after.counts), *notes)


def _drawn(classes: Classes) -> tuple[list[int], list[str]]:
    """Return the positions that may be drawn and the group of each."""
    pairs = [(position, group) for position, group in enumerate(classes.groups) if group is not None]
    return [position for position, _ in pairs], [group for _, group in pairs]


def _more(data: Data, classes: Classes, goals: dict[str, int], generator: np.random.Generator) -> pd.DataFrame:
    from imblearn.over_sampling import RandomOverSampler

    positions, groups = _drawn(classes)
    sampler = RandomOverSampler(sampling_strategy=goals, random_state=_seed(generator))
    sampler.fit_resample(_column(positions), groups)
    copies = [positions[one] for one in sampler.sample_indices_[len(positions) :]]
    return data.train.iloc[[*range(len(data.train)), *copies]]


def _fewer(data: Data, classes: Classes, ratio: float, generator: np.random.Generator) -> list[int]:
    """Return the positions that stay, in the order of the table."""
    from imblearn.under_sampling import RandomUnderSampler

    sizes = classes.sizes
    smallest = min(sizes, key=lambda group: sizes[group])
    if sizes[smallest] < 2:
        raise DataError(
            f"{data.place('train')}: class {smallest!r} has 1 example, and under-sampling would leave classes of "
            "less than 2; add examples of it, or say resample: over"
        )
    most = round(sizes[smallest] / ratio)
    positions, groups = _drawn(classes)
    goals = {group: min(size, most) for group, size in sizes.items()}
    sampler = RandomUnderSampler(sampling_strategy=goals, random_state=_seed(generator))
    sampler.fit_resample(_column(positions), groups)
    kept = {positions[one] for one in sampler.sample_indices_}
    return [position for position, group in enumerate(classes.groups) if group is None or position in kept]


def _new(data: Data, classes: Classes, goals: dict[str, int], generator: np.random.Generator) -> pd.DataFrame:
    import pandas as pd

    tied = [role for role in ("text_pair", "prompt", "completion") if role in data.roles]
    if tied:
        raise DataError(
            f"{data.place('train')}: examples with a {tied[0]} cannot be synthesised, as a changed text no longer "
            "belongs to the other one; say resample: over"
        )
    column = data.roles["text"]
    positions, groups = _drawn(classes)
    texts = [data.train[column].iloc[position] for position in positions]
    kinds = [classes.sets[position] or () for position in positions]
    synthesis = TextSynthesis(goals, generator, avoid=frozenset(data.train[column]))
    made, _ = synthesis.fit_resample(texts, groups, kinds)
    new = data.train.iloc[[positions[one] for one in synthesis.sample_indices_[len(positions) :]]].copy()
    new[column] = pd.Series(made[len(positions) :], index=new.index, dtype=new[column].dtype)
    return pd.concat([data.train, new])


def _column(positions: Sequence[int]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    import numpy as np

    return np.asarray(positions, dtype=np.int64).reshape(-1, 1)


def _seed(generator: np.random.Generator) -> int:
    return int(generator.integers(2**31))

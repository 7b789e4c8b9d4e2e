"""Rules about single tokens, grounded: which tags each rule allows at which token of which example."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from triune.logic.spans import OnTokens

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from triune.conditions.tokens import Places
    from triune.types import Rule


@dataclass(frozen=True, slots=True)
class TokenRules:
    """The tokens that rules speak of, in one table.

    Attributes:
        rows: (entries,) the example of each token, ascending.
        tokens: (entries,) its position.
        rules: (entries,) the rule that speaks of it.
        sets: (entries,) which of `allowed` the rule allows there.
        places: (entries,) the number of the stretch that it is part of.
        allowed: (sets, tags) whether a tag is allowed.
    """

    rows: NDArray[np.int64]
    tokens: NDArray[np.int64]
    rules: NDArray[np.int64]
    sets: NDArray[np.int64]
    places: NDArray[np.int64]
    allowed: NDArray[np.bool_]

    def of(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return, for some examples, the entries that speak of them and which of `rows` each belongs to."""
        import numpy as np

        starts, stops = np.searchsorted(self.rows, rows), np.searchsorted(self.rows, rows, side="right")
        counts = stops - starts
        owners = np.repeat(np.arange(len(rows)), counts)
        offsets = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
        return np.repeat(starts, counts) + offsets, owners

    def at(self, rows: NDArray[np.int64]) -> TokenRules:
        """Return what is said of some examples, which are counted anew."""
        entries, owners = self.of(rows)
        return replace(
            self,
            rows=owners,
            tokens=self.tokens[entries],
            rules=self.rules[entries],
            sets=self.sets[entries],
            places=self.places[entries],
        )

    def penalties(self, rows: NDArray[np.int64], width: int, nats: Sequence[float]) -> Tensor | None:
        """Return (len(rows), width, tags) what each tag costs at each token; None where no rule speaks.

        Args:
            rows: the examples.
            width: how many tokens the outputs have; those behind are cut off.
            nats: what breaking each rule of the run costs at each token; below zero, what keeping it does; 0 for those
                that do not act here.
        """
        import numpy as np
        import torch

        entries, owners = self.of(rows)
        costs = np.asarray(nats, dtype=np.float32)[self.rules[entries]]
        kept = (self.tokens[entries] < width) & (costs != 0)
        entries, owners, costs = entries[kept], owners[kept], costs[kept]
        if not len(entries):
            return None
        total = np.zeros((len(rows), width, self.allowed.shape[1]), dtype=np.float32)
        dear = self.allowed[self.sets[entries]] == (costs < 0)[:, None]  # (entries, tags) what is not as the rule wants
        np.add.at(total, (owners, self.tokens[entries]), abs(costs)[:, None] * dear)
        return torch.from_numpy(total)

    def broken(self, sequences: Sequence[Sequence[int] | None]) -> Iterator[tuple[int, int, bool]]:
        """Yield (rule, example, whether it is broken there) for every stretch of every example that has tags.

        Args:
            sequences: the numbers of the tags of every example; None where it has none.
        """
        first = 0
        for last in range(1, len(self.rows) + 1):
            if last < len(self.rows) and self.places[last] == self.places[first]:
                continue
            row = int(self.rows[first])
            tags = sequences[row]
            if tags is not None:
                spoken = [entry for entry in range(first, last) if self.tokens[entry] < len(tags)]
                wrong = any(not self.allowed[self.sets[entry], tags[self.tokens[entry]]] for entry in spoken)
                yield int(self.rules[first]), row, wrong
            first = last


def token_rules(rules: Sequence[Rule], places: Mapping[int, Places], tags: Sequence[str]) -> TokenRules:
    """Return the tokens of which rules speak.

    Args:
        rules: all rules of the run.
        places: where those that speak of tokens do, by their number.
        tags: the tags of the task.

    Raises:
        FormulaError: a rule names a tag that is none.
    """
    import numpy as np

    sets: dict[frozenset[int], int] = {}
    table: list[tuple[int, int, int, int, int]] = []
    number = 0
    for rule, where in places.items():
        then = rules[rule].then
        assert isinstance(then, OnTokens)
        for row, start, stop in zip(where.rows.tolist(), where.starts.tolist(), where.stops.tolist(), strict=True):
            first, rest = then.allowed(tags, stop - start)
            for token in range(start, stop):
                one = sets.setdefault(first if token == start else rest, len(sets))
                table.append((row, token, rule, one, number))
            number += 1
    columns = np.asarray(table, dtype=np.int64).reshape(-1, 5)
    columns = columns[np.argsort(columns[:, 0], kind="stable")]
    allowed = np.zeros((len(sets), len(tags)), dtype=np.bool_)
    for of, place in sets.items():
        allowed[place, list(of)] = True
    rows, tokens, spoken, kinds, numbers = columns.T
    return TokenRules(rows, tokens, spoken, kinds, numbers, allowed)


def one_below_the_other(first: TokenRules, second: TokenRules, rows: int) -> TokenRules:
    """Return the tokens of two tables as of one, in which the second's examples begin at `rows`."""
    import numpy as np

    places = second.places + (int(first.places.max(initial=-1)) + 1)
    return TokenRules(
        np.concatenate([first.rows, second.rows + rows]),
        np.concatenate([first.tokens, second.tokens]),
        np.concatenate([first.rules, second.rules]),
        np.concatenate([first.sets, second.sets + len(first.allowed)]),
        np.concatenate([first.places, places]),
        np.concatenate([first.allowed, second.allowed]),
    )

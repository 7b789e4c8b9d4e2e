"""Which labels of the training table are to be looked at again: by its rules, by the model, and by a head that saw not.

A model that has learnt from a label tends to repeat it, however wrong it is. So each is also put to a linear head on
what the model made of the texts before it learnt anything, made from the labels of other examples alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from triune.context import seed_of
from triune.doubts import as_pairs, contradicted, of_given
from triune.errors import PluginError
from triune.evaluation import gold_cells
from triune.report.recording import BROKEN, recorded, verdicts, with_texts
from triune.rule_report import Cells

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from triune.evaluation import Evaluation
    from triune.prepared import Prepared
    from triune.report.records import Record
    from triune.spaces import OutputSpace
    from triune.types import JSON

    Floats = NDArray[np.floating]
    Flags = NDArray[np.bool_]
    Rows = NDArray[np.int64]

MOST, FEWEST, SHARE = 2000, 500, 0.15
"""Examples that are looked at: at most so many, and of those beyond the fewest no more than this share of what the run
learns from, since two passes forward are two thirds of what learning from an example costs: a tenth of the training."""
POOL = 50_000
"""Labelled examples that they are drawn from."""
MOST_LABELS = 100
"""Labels up to which heads are made."""
UNSEEN_OF_TOKENS = "of tokens no head is made that has not seen them"


@dataclass(frozen=True, slots=True)
class Sample:
    """The labelled training examples that are looked at.

    Attributes:
        rows: which rows of what is learnt from.
        of: how many have a label.
        unseen: (rows, labels) what heads believe that had not seen the label; None where there are none.
        why: why there are none.
    """

    rows: Rows
    of: int
    unseen: Floats | None = None
    why: str = ""

    @property
    def facts(self) -> dict[str, JSON]:
        """What `run.json` says of it."""
        return {"examples": len(self.rows), "of": self.of, "unseen": self.unseen is not None, "why": self.why}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the model, and heads that had not seen them, say of the labels of a sample, (rows,) each.

    Attributes:
        confidence: how probable the label is to the model; of several labels, of tokens, the least probable.
        doubted: whether another label is believed with confidence.
        unseen: how probable the label is to the heads; None without any.
        says: what the heads say, by its place; None without any, or of several labels.
    """

    confidence: Floats
    doubted: Flags
    unseen: Floats | None = None
    says: Rows | None = None


def sample_of(prepared: Prepared) -> Sample:
    """Return which labelled training examples to look at: those whose label breaks a rule first, others by chance."""
    import numpy as np

    generator = np.random.default_rng(seed_of(prepared.opened.run.seed, "label check"))
    labelled = _labelled(prepared)
    pool = generator.permutation(labelled)[:POOL]
    steps = prepared.plan.steps
    most = min(MOST, max(FEWEST, int(SHARE * steps.total * steps.batch)))
    against = _against_rules(prepared, pool)
    first, others = pool[against], pool[~against]
    first = first[: max(most // 2, most - len(others))]
    return Sample(np.sort(np.concatenate([first, others[: most - len(first)]])), len(labelled))


def _labelled(prepared: Prepared) -> Rows:
    """Return the rows of the training table that have a label of its own, each once: some balance by repeating."""
    import numpy as np

    table, gold = prepared.data.train, prepared.examples["train"].gold
    rows = np.flatnonzero(gold[: len(table)] > 0)
    found: Rows = rows[~table.index[rows].duplicated()]
    return found


def _against_rules(prepared: Prepared, rows: Rows) -> Flags:
    """Return whether the label of each row breaks a rule that fires on it."""
    import numpy as np

    if not len(prepared.rules) or not len(rows):
        return np.zeros(len(rows), dtype=np.bool_)
    examples = prepared.examples["train"].as_they_came().at(rows)
    cells = Cells.of(gold_cells(examples, prepared.opened.bundle.space))
    said = verdicts(prepared.rules.at("train", rows), "train", cells)
    found: Flags = (said == BROKEN).any(axis=0)
    return found


def put_to_heads(prepared: Prepared, sample: Sample) -> Sample:
    """Return the sample with what heads say that had not seen its labels; the model must not have learnt yet."""
    import numpy as np

    from triune.linear_heads import unseen
    from triune.representations import features

    bundle, run = prepared.opened.bundle, prepared.opened.run
    if bundle.space.kind == "tags":
        return replace(sample, why=UNSEEN_OF_TOKENS)
    if len(bundle.space.labels) > MOST_LABELS:
        return replace(sample, why=f"of more than {MOST_LABELS} labels no head is made that has not seen them")
    examples = prepared.examples["train"].as_they_came().at(sample.rows)
    try:
        x = features(bundle, examples).astype(np.float64)
    except PluginError as error:
        return replace(sample, why=str(error))
    targets, generator = examples.targets.astype(np.float64), np.random.default_rng(seed_of(run.seed, "label folds"))
    if bundle.space.kind == "binaries":
        pairs = as_pairs(targets).astype(np.float64)  # (rows, labels, 2)
        each = [unseen(x, pairs[:, place], generator)[:, 1] for place in range(targets.shape[1])]
        return replace(sample, unseen=np.stack(each, axis=1))
    return replace(sample, unseen=unseen(x, targets, generator))


def verdict_of(sample: Sample, found: Evaluation, space: OutputSpace) -> Verdict:
    """Return what the model, as it answered, and the heads say of the labels of a sample."""
    p, targets = _believed(found, space), found.examples.targets
    both = p if sample.unseen is None else (p + sample.unseen) / 2
    if found.examples.bounds is not None:
        return _by_example(of_given(p, targets), contradicted(both, targets), targets, found.examples.bounds)
    if space.kind == "binaries":
        unseen = None if sample.unseen is None else _least(sample.unseen, targets)
        return Verdict(_least(p, targets), _any_contradicted(both, targets), unseen)
    if sample.unseen is None:
        return Verdict(of_given(p, targets), contradicted(both, targets))
    return Verdict(
        of_given(p, targets),
        contradicted(both, targets),
        of_given(sample.unseen, targets),
        sample.unseen.argmax(axis=1),
    )


def _least(p: Floats, targets: Floats) -> Floats:
    """Return (rows,) the probability of that of several decisions which is the least probable."""
    found: Floats = of_given(as_pairs(p), as_pairs(targets)).min(axis=1)
    return found


def _any_contradicted(p: Floats, targets: Floats) -> Flags:
    """Return (rows,) whether one of several decisions is contradicted."""
    import numpy as np

    pairs, given = as_pairs(p), as_pairs(targets)
    found: Flags = np.any([contradicted(pairs[:, one], given[:, one]) for one in range(p.shape[1])], axis=0)
    return found


def _by_example(given: Floats, doubted: Flags, targets: Floats, bounds: Rows) -> Verdict:
    """Return the least of each example's tokens, and whether any is doubted; tokens without a tag do not count."""
    import numpy as np

    known = np.where(targets.any(axis=1), given, 1.0)
    spans = [slice(start, stop) for start, stop in pairwise(bounds.tolist())]
    return Verdict(
        np.array([known[span].min(initial=1.0) for span in spans]),
        np.array([bool(doubted[span].any()) for span in spans], dtype=np.bool_),
    )


def _believed(found: Evaluation, space: OutputSpace) -> Floats:
    """Return what the model believes in the order of the examples, (rows, labels); of sequences a row is a token."""
    import numpy as np

    examples = found.examples
    p = np.zeros(examples.targets.shape)
    bounds = np.arange(len(examples) + 1) if examples.bounds is None else examples.bounds
    for one in found.answers:
        believed = space.probabilities(one.scores).numpy()
        for row, given in zip(one.rows, believed, strict=True):
            start, stop = bounds[row], bounds[row + 1]
            mine = given[None] if examples.bounds is None else given[: stop - start]
            p[start : start + len(mine)] = mine
    return p


def records_of(prepared: Prepared, sample: Sample, found: Evaluation) -> Iterator[Record]:
    """Yield a record for each example of a sample, with its text where its label is to be looked at again."""
    data, space = prepared.data, prepared.opened.bundle.space
    data = replace(data, splits={**data.splits, "train": data.train.iloc[sample.rows]})
    verdict = verdict_of(sample, found, space)
    judged = (
        replace(record, **_said(verdict, place, space))
        for place, record in enumerate(recorded("train", found.predictions, found.rules, data))
    )
    shown = with_texts if prepared.plan.training.report == "full" else (lambda records, *_: records)
    yield from shown(judged, "train", data)


def _said(verdict: Verdict, place: int, space: OutputSpace) -> dict[str, Any]:
    unseen, says = verdict.unseen, verdict.says
    return {
        "confidence": round(float(verdict.confidence[place]), 6),
        "doubted": True if verdict.doubted[place] else None,
        "unseen": None if unseen is None else round(float(unseen[place]), 6),
        "unseen_says": None if says is None else space.labels[says[place]],
    }

"""Checks of rule application: rules that can be asked again, labels that are probabilities, lasting constraints."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from triune.conditions import ground_all
from triune.hookspecs import RuleApplication
from triune.testing.subject import SEED, prediction
from triune.testing.toy_runs import as_in_a_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from torch import Tensor

    from triune.testing.subject import Subject
    from triune.types import Batch, Outputs, Rule

ODD_TEXTS = ("", " ", "a", "ÀÉ 漢字 🙂", "word " * 2000)


def rules(subject: Subject) -> Iterator[str]:
    """Rules are the same when asked again, and their conditions answer true or false for any text."""
    import numpy as np
    import pandas as pd

    roles, train = subject.planned.data.roles, subject.planned.data.train
    found = _rules(subject)
    if [rule.name for rule in found] != [rule.name for rule in _rules(subject)]:
        yield "rules says something else when asked again: contribute the same rules in the same order"
    odd = pd.concat([train.iloc[:1]] * len(ODD_TEXTS)).assign(**{roles["text"]: list(ODD_TEXTS)})
    for rule in found:
        first, second = (np.asarray(rule.when.ground(train, roles)) for _ in range(2))
        if first.dtype != np.bool_ or first.shape != (len(train),):
            yield (
                f"rule {rule.name!r}: its condition returns {first.dtype} {first.shape} for {len(train)} examples: "
                "return one boolean an example"
            )
        elif not np.array_equal(first, second):
            yield f"rule {rule.name!r}: its condition answers differently when asked again: let it depend on the text"
        try:
            said = next(iter(ground_all([rule], odd, roles).reasons.values()), "")
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        if said:
            yield (
                f"rule {rule.name!r}: its condition fails ({said}) for texts that are empty, "
                "long or in other scripts: let it return false"
            )


def _rules(subject: Subject) -> list[Rule]:
    opened = subject.planned.opened
    owned = opened.hooks.collect(RuleApplication.rules, run=opened.run)
    return [rule for owner, rule in owned if owner == subject.name]


def labels(subject: Subject) -> Iterator[str]:
    """Labels are probabilities or silence, the same when asked again, and the table stays as it was."""
    import numpy as np
    import pandas as pd

    data = subject.planned.data
    tables = [data.splits[split] for split in ("train", "unlabelled") if split in data.splits]
    table = pd.concat(tables)
    before = table.copy()
    first, second = (_labels(subject, table) for _ in range(2))
    if first is None or second is None:
        return
    if not table.equals(before):
        yield "label_examples changes the table that it is given: work on a copy"
    found = first.to_numpy(dtype=np.float64)
    if not np.array_equal(found, second.to_numpy(dtype=np.float64), equal_nan=True):
        yield "label_examples decides otherwise when asked again: draw from run.generators, or not at all"
    silent = np.isnan(found).any(axis=1)
    if bool((silent != np.isnan(found).all(axis=1)).any()):
        yield "label_examples leaves NaN in a part of a row: say a probability of every label, or of none"
    spoken = found[~silent]
    if bool(((spoken < 0) | (spoken > 1)).any()):
        yield f"label_examples returns numbers from {spoken.min():g} to {spoken.max():g}: return probabilities"
    one_of_many = subject.planned.opened.bundle.space.kind == "categorical"
    if one_of_many and not np.allclose(spoken.sum(axis=1), 1, atol=1e-3):
        yield "label_examples returns rows that do not add up to 1: divide by their sum, or leave them NaN"


def _labels(subject: Subject, table: pd.DataFrame) -> pd.DataFrame | None:
    from functools import reduce

    from triune.examples import joined
    from triune.learning_table import asked_for_labels

    planned = subject.planned
    opened, data = planned.opened, planned.data
    encoded = [opened.bundle.encode(data, split) for split in ("train", "unlabelled") if split in data.splits]
    with opened.run.generators.untouched():
        decided = asked_for_labels(opened, planned.rules, table, data.roles, reduce(joined, encoded))
    return decided[1].probabilities if decided else None


def constraints(subject: Subject) -> Iterator[str]:
    """Constrained scores keep shape and gradient, and are the same when training and when predicting."""
    import torch

    objective, batch = subject.planned.objective, subject.batches()[-1]
    outputs = _outputs(subject, batch)
    objective.train()
    training = _constrained(subject, outputs, batch)
    objective.eval()
    if training.shape != outputs.scores.shape:
        yield f"constrain_outputs makes scores {tuple(outputs.scores.shape)} into {tuple(training.shape)}: keep shape"
        return
    if not training.requires_grad or bool(training.isnan().any()):
        yield "constrain_outputs returns scores that are NaN or have no gradient: use torch, and -1e4 for never"
    if not torch.equal(training, _constrained(subject, outputs, batch)):
        yield "constrain_outputs answers differently for the same scores, or with model.eval(): draw nothing"
        return
    with torch.no_grad():
        raw = replace(outputs, scores=outputs.scores.detach())
        if not torch.equal(training, _constrained(subject, raw, prediction(batch))):
            yield (
                "constrain_outputs answers differently when training and when predicting: do not read batch.targets, "
                "batch.labelled or whether gradients are kept"
            )
        *parts, _ = subject.batches()
        pieces = _split(raw, [len(part.rows) for part in parts])
        alone = [_constrained(subject, one, part) for one, part in zip(pieces, parts, strict=True)]
        if not torch.allclose(training, torch.cat(alone), rtol=1e-4, atol=1e-5):
            yield "constrain_outputs answers differently for an example in another batch: treat each example alone"


def _split(outputs: Outputs, sizes: list[int]) -> list[Outputs]:
    """Return the outputs of a batch as those of its parts, everything in them with a first dimension of examples."""
    import torch

    def pieces(tensor: Tensor | None) -> list[Tensor | None]:
        return [None] * len(sizes) if tensor is None else list(torch.split(tensor, sizes))

    columns = [pieces(one) for one in (outputs.hidden, outputs.mask, outputs.read)]
    scores = torch.split(outputs.scores, sizes)
    return [
        replace(outputs, scores=own, hidden=hidden, mask=mask, read=read)
        for own, hidden, mask, read in zip(scores, *columns, strict=True)
    ]


def _outputs(subject: Subject, batch: Batch) -> Outputs:
    bundle = subject.planned.opened.bundle
    with as_in_a_run(SEED):
        return bundle.forward(bundle.model.eval(), batch)


def _constrained(subject: Subject, outputs: Outputs, batch: Batch) -> Tensor:
    opened, rules = subject.planned.opened, subject.planned.rules
    with opened.run.generators.untouched():
        each = opened.hooks.each(
            RuleApplication.constrain_outputs, run=opened.run, rules=rules, outputs=outputs, batch=batch
        )
        found = dict(each)[subject.name]
    return (found or outputs).scores

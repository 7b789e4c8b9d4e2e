"""Before step 0: every example has an answer that the rules allow, and labels keep the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.errors import PlanError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from triune.examples import Examples
    from triune_rule_structure.structure import Structure

CHUNK = 1024


def checked_examples(structure: Structure, train: Examples, *, ignore: bool) -> NDArray[np.bool_]:
    """Return (examples,) whose labels break a hard rule.

    Args:
        structure: the rules.
        train: what is learnt from.
        ignore: such labels are left out; otherwise refused.

    Raises:
        PlanError: with every table in which an example is left without an answer, and the labels that break rules.
    """
    splits = structure.seated.grounded.fires
    problems = [problem for split in splits for problem in _impossible(structure, train, split)]
    if problems:
        raise PlanError(problems)
    broken = breaking(structure, train)
    if broken.any() and not ignore:
        raise PlanError(_broken(structure, train, broken))
    return broken


def _impossible(structure: Structure, train: Examples, split: str) -> tuple[str, ...]:
    """Return what is impossible in a table; of sequences other than those learnt from, lengths are not known yet."""
    import numpy as np

    if train.bounds is not None and split != "train":
        return ()
    rows = np.arange(structure.seated.grounded.fires[split].shape[1])
    return structure.impossible(split, rows, None if train.bounds is None else np.diff(train.bounds))


def breaking(structure: Structure, train: Examples) -> NDArray[np.bool_]:
    """Return (examples,) whether each has labels that break a hard rule.

    Raises:
        RuleError: rules about single tokens leave an example without an answer.
    """
    import numpy as np

    broken = np.zeros(len(train), dtype=np.bool_)
    for rows in np.array_split(np.arange(len(train)), len(train) // CHUNK + 1):
        batch = train.batch(rows)
        structure.refuse_impossible(batch, batch.mask)
        kept = structure.form.kept(batch.targets, structure.seated.fires(batch), batch.mask)
        forbidden = structure.forbidden(batch, batch.targets.shape[1])
        if forbidden is not None:
            kept = kept & ~(forbidden & (batch.targets > 0)).any(-1).any(-1)
        broken[rows] = (~kept & (batch.labelled > 0)).numpy()
    return broken


def _broken(structure: Structure, train: Examples, broken: NDArray[np.bool_]) -> list[str]:
    """Return a sentence for the labels that break rules: which rules, where, and what to do."""
    import numpy as np

    rows: list[int] = np.flatnonzero(broken).tolist()
    fires = structure.fired("train", np.asarray(rows))
    by_rule: dict[str, list[int]] = {}
    for row, fired in zip(rows, fires.T, strict=True):
        said = _said(structure, train, row)
        acting = [rule for rule, one in zip(structure.seated.rules, fired, strict=True) if one]
        # what keeps all others breaks one about single tokens
        guilty = [rule for rule in acting if not rule.then.holds(said)]  # type: ignore[union-attr]
        blamed = guilty or structure.about_tokens or acting
        by_rule.setdefault(blamed[0].where, []).append(row)
    return [
        f"{where} is hard, and labels break it: {structure.places_of('train', np.asarray(those))}; mend the labels, "
        "make the rule soft, or set `gold: ignore` to learn without them"
        for where, those in by_rule.items()
    ]


def _said(structure: Structure, train: Examples, row: int) -> list[str | int]:
    """Return the labels of an example, of a sequence its tags."""
    import numpy as np

    space = structure.seated.grounded.space
    assert space is not None
    batch = train.batch(np.asarray([row]))
    targets = batch.targets[0]
    if space.kind == "tags":
        return [space.labels[tag] for tag, known in zip(targets.argmax(-1), targets.any(-1), strict=True) if known]
    places = [int(targets.argmax())] if space.kind == "categorical" else (targets > 0.5).nonzero()[:, 0].tolist()
    return [space.labels[place] for place in places]

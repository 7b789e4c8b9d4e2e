"""What is learnt from: labelled rows, unlabelled text, and labels that rules decided."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from triune.alignment import count
from triune.errors import PlanError, PluginError, listed
from triune.hooks import given
from triune.hookspecs import RuleApplication
from triune.types import RuleLabels

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from triune.data import Data
    from triune.examples import Examples
    from triune.opening import Opened
    from triune.spaces import OutputSpace
    from triune.token_rules import TokenRules
    from triune.types import GroundedRules


def training_examples(
    opened: Opened, data: Data, rules: GroundedRules, examples: Mapping[str, Examples]
) -> tuple[Examples, GroundedRules, list[str]]:
    """Return what is learnt from, the rules grounded on it, and notes for the plan.

    It is the training table, with unlabelled text below it where a method reads that, under labels that a
    plugin decided where there were none.
    """
    import numpy as np
    import pandas as pd

    from triune.examples import joined

    labels_from_rules = bool(opened.hooks.implementers(RuleApplication.label_examples))
    reads_unlabelled = labels_from_rules or opened.hooks.read_unlabelled()
    table, train, notes = data.train, examples["train"], list[str]()
    if "unlabelled" in data.splits and reads_unlabelled:
        table = pd.concat([table, data.splits["unlabelled"]])
        train = joined(train, examples["unlabelled"])
        both = np.concatenate([rules.fires["train"], rules.fires["unlabelled"]], axis=1)
        rules = replace(rules, fires={**rules.fires, "train": both}, tokens=_below(rules, len(data.train)))
    elif "unlabelled" in data.splits:
        notes.append("the unlabelled table is not learnt from: no active method asks for it")
    if labels_from_rules:
        train, said = _labelled_by_rules(opened, rules, table, data.roles, train)
        notes.extend(said)
    if not train.labelled.any() and not reads_unlabelled:
        raise PlanError(
            [
                f"{data.place('train')}: no training example has a label, and no active method gives labels or learns "
                "without: fill the label column, or name a method under methods that learns from rules alone"
            ]
        )
    if not train.labelled.all():
        bare = int((train.labelled == 0).sum())
        has = "has" if bare == 1 else "have"
        notes.append(f"{bare} of {count(len(train), 'training example')} {has} no label")
    return train, rules, notes


def _below(rules: GroundedRules, rows: int) -> dict[str, TokenRules]:
    """Return the tokens that rules speak of, those of the unlabelled table below those of the training table."""
    from triune.token_rules import one_below_the_other

    if not rules.tokens:
        return {}
    return {**rules.tokens, "train": one_below_the_other(rules.tokens["train"], rules.tokens["unlabelled"], rows)}


def asked_for_labels(
    opened: Opened, rules: GroundedRules, table: pd.DataFrame, roles: Mapping[str, str], train: Examples
) -> tuple[str, RuleLabels] | None:
    """Return what a plugin decides of the examples of a table, and the plugin's name; None where none decides."""
    import pandas as pd

    space = opened.bundle.space
    decided = opened.hooks.decide(
        RuleApplication.label_examples,
        run=opened.run,
        rules=rules,
        examples=table,
        roles=roles,
        space=space,
        gold=gold_of(train, space, table.index if train.bounds is None else pd.RangeIndex(len(train.targets))),
    )
    if decided is None:
        return None
    owner, labels = decided
    if isinstance(labels, RuleLabels):
        return owner, labels
    return owner, RuleLabels(given(owner, labels, pd.DataFrame, RuleApplication.label_examples.__name__))


def gold_of(train: Examples, space: OutputSpace, index: pd.Index[int]) -> pd.DataFrame:
    """Return the labels that there are: a column for each label of the space, NaN in rows without one.

    Of sequences a row is a token, and all tokens are laid end to end.
    """
    import numpy as np
    import pandas as pd

    cells = np.where(_has_label(train)[:, None], train.targets, np.float32("nan"))
    return pd.DataFrame(cells, index=index, columns=list(space.labels))


def _labelled_by_rules(
    opened: Opened, rules: GroundedRules, table: pd.DataFrame, roles: Mapping[str, str], train: Examples
) -> tuple[Examples, tuple[str, ...]]:
    import numpy as np

    decided = asked_for_labels(opened, rules, table, roles, train)
    if decided is None:
        return train, ()
    owner, labels, said = decided[0], decided[1].probabilities, decided[1].notes
    space = opened.bundle.space
    missing = [label for label in space.labels if label not in labels.columns]
    if missing or len(labels) != len(train.targets):
        what = "examples" if train.bounds is None else "tokens"
        raise PluginError(
            f"plugin {owner!r} labels {len(labels)} of {len(train.targets)} {what} in the columns "
            f"{listed(labels.columns)}: a row for each of them and a column for each label are needed; "
            f"missing: {listed(missing) or 'none'}"
        )
    soft = labels[list(space.labels)].to_numpy(dtype=np.float32)  # (examples or tokens, classes)
    spoken = ~np.isnan(soft).any(axis=1) & ~_has_label(train)
    targets = np.where(spoken[:, None], soft, train.targets)
    labelled = np.where(_any(spoken, train), np.float32(1), train.labelled)
    return train.with_targets(targets, labelled, decided=spoken), said


def _has_label(train: Examples) -> NDArray[np.bool_]:
    """Return whether each example, of sequences each token, has a label."""
    if train.bounds is None:
        return train.labelled > 0
    found: NDArray[np.bool_] = train.targets.max(axis=1) > 0
    return found


def _any(spoken: NDArray[np.bool_], train: Examples) -> NDArray[np.bool_]:
    """Return (examples,) whether any token of it is meant; of labels that are no sequences, the example."""
    import numpy as np

    if train.bounds is None:
        return spoken
    owners = np.repeat(np.arange(len(train)), np.diff(train.bounds))
    found: NDArray[np.bool_] = np.bincount(owners, weights=spoken, minlength=len(train)) > 0
    return found

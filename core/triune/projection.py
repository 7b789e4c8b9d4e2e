"""What rules make of scores that are there already: their probability, and the answers projected onto the rules.

The projection is q(y) ∝ p(y) exp(-Σ weight · broken), with the log-odds of confidences as weights and hard rules
hard: rules at prediction alone, without a step of training (the teacher of Hu et al. 2016).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from triune.errors import TriuneError
from triune.logic import Formula, OnTokens
from triune.logic.costs import Budget
from triune.logic.inference import RuleSet, Weighted, log_odds
from triune.logic.variables import NEVER
from triune.types import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from triune.evaluation import Answers
    from triune.logic.inference import Compiled
    from triune.spaces import OutputSpace
    from triune.token_rules import TokenRules
    from triune.types import GroundedRules, Rule

BUDGET = Budget(seconds=5.0)
"""A report is worth less patience than training."""


def projected(rules: GroundedRules, split: str, answers: Sequence[Answers], space: OutputSpace) -> list[Answers]:
    """Return the answers projected onto all rules that say a formula.

    Raises:
        TriuneError: exact inference with these rules is not possible, or costs too much.
    """
    import torch

    places = [place for place, rule in enumerate(rules.rules) if _says_formula(rule)]
    always = [rules.rules[place].name for place in places if rules.rules[place].when == ALWAYS]
    compiled = RuleSet.of((rules.rules[place] for place in places), always).compiled(space, BUDGET)
    found = []
    for one in answers:
        scores = one.scores - _token_costs(rules, split, one)
        fires = torch.from_numpy(rules.fires[split][places][:, one.rows])
        q = compiled.marginals(scores, fires, mask=one.mask).clamp(1e-12, 1 - 1e-7)
        decided = compiled.most_likely(scores, fires, mask=one.mask)
        found.append(replace(one, scores=q.logit() if space.kind == "binaries" else q.log(), decided=decided))
    return found


def satisfaction(
    rules: GroundedRules, split: str, answers: Sequence[Answers], space: OutputSpace
) -> dict[str, float | None]:
    """Return, for each rule by name, its mean exact probability under the model where it speaks.

    None where it speaks nowhere, or exact inference is not possible for it, or what it says is no formula.
    """
    import numpy as np

    totals, counts = np.zeros(len(rules)), np.zeros(len(rules))
    for compiled, places in _alone(rules, space):
        for one in _together(answers):
            _add(compiled, rules.fires[split][places][:, one.rows], one, places, totals, counts)
    table = rules.tokens.get(split)
    for one in answers if table else ():
        assert table is not None
        for place, probability in _of_stretches(table, one, space):
            totals[place] += probability
            counts[place] += 1
    return {
        rule.name: float(totals[place] / counts[place]) if counts[place] else None
        for place, rule in enumerate(rules.rules)
    }


def _says_formula(rule: Rule) -> bool:
    return isinstance(rule.then, Formula) and not isinstance(rule.then, OnTokens)


def _alone(rules: GroundedRules, space: OutputSpace) -> Iterator[tuple[Compiled, list[int]]]:
    """Yield each distinct formula alone, in its exact form, with the rules that say it."""
    sharing: dict[Formula, list[int]] = {}
    for place, rule in enumerate(rules.rules):
        if _says_formula(rule):
            sharing.setdefault(rule.then, []).append(place)  # type: ignore[arg-type]
    for formula, places in sharing.items():
        try:
            yield RuleSet((Weighted(rules.rules[places[0]].name, formula, hard=True),)).compiled(space, BUDGET), places
        except TriuneError:  # what it costs is said where a method wants it; a report leaves the figure out
            continue


def _add(
    compiled: Compiled,
    fires: NDArray[np.bool_],
    answers: Answers,
    places: Sequence[int],
    totals: NDArray[np.float64],
    counts: NDArray[np.float64],
) -> None:
    """Add the probability of a formula on the examples that rules fire on; `fires` is (rules, batch)."""
    import numpy as np

    some = np.flatnonzero(fires.any(axis=0))
    if not len(some):
        return
    mask = None if answers.mask is None else answers.mask[some]
    (probability,) = compiled.satisfaction(answers.scores[some].detach(), mask=mask).double().numpy()
    totals[places] += fires[:, some].astype(np.float64) @ probability
    counts[places] += fires.sum(axis=1)


def _together(answers: Sequence[Answers]) -> Sequence[Answers]:
    """Return the answers in one, where they are no sequences of different length."""
    import numpy as np
    import torch

    if not answers or answers[0].mask is not None:
        return answers
    return [
        replace(
            answers[0],
            rows=np.concatenate([one.rows for one in answers]),
            scores=torch.cat([one.scores for one in answers]),
            decided=torch.cat([one.decided for one in answers]),
        )
    ]


def _token_costs(rules: GroundedRules, split: str, answers: Answers) -> Tensor | float:
    """Return what each tag costs at each token by the rules about tokens, (batch, tokens, tags)."""
    table = rules.tokens.get(split)
    if table is None:
        return 0.0
    nats = [-NEVER if rule.hard else log_odds(rule.confidence) for rule in rules.rules]
    found = table.penalties(answers.rows, answers.scores.shape[1], nats)
    return 0.0 if found is None else found


def _of_stretches(table: TokenRules, answers: Answers, space: OutputSpace) -> Iterator[tuple[int, float]]:
    """Yield (rule, probability that its statement holds) for every stretch of tokens in these answers."""
    import numpy as np

    p = space.probabilities(answers.scores).double().numpy()  # (batch, tokens, tags)
    entries, owners = table.of(answers.rows)
    kept = table.tokens[entries] < p.shape[1]
    entries, owners = entries[kept], owners[kept]
    allowed = (p[owners, table.tokens[entries]] * table.allowed[table.sets[entries]]).sum(axis=1)  # (entries,)
    stretches, which = np.unique(table.places[entries], return_inverse=True)
    logs = np.zeros(len(stretches))
    np.add.at(logs, which, np.log(allowed.clip(min=1e-300)))
    owner = np.zeros(len(stretches), dtype=np.int64)
    owner[which] = table.rules[entries]
    yield from zip(owner.tolist(), np.exp(logs).tolist(), strict=True)

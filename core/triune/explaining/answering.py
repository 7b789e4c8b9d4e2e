"""The story of an explanation: a finished run is opened, asked of some texts, and asked again without each rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.alignment import count
from triune.errors import EnvironmentProblem, TriuneError, listed
from triune.explaining.asked import asked_of
from triune.explaining.attribution import MISSING, Attribution, installed
from triune.explaining.effects import Exact, statements_of
from triune.explaining.judged import Seen, label_rows, rule_rows
from triune.explaining.nearest import nearest_rows
from triune.explaining.scene import acting, observed, truths_of
from triune.explaining.structured import in_structure, outcomes_of, without_each
from triune.explaining.targets import Target, attributed, numbered, targets_of
from triune.explaining.values import LABELS, NEAREST, RULES, TEXTS, TOKENS, Explanation, frame
from triune.explaining.weighed import Structure, weighed
from triune.hookspecs import RuleApplication
from triune.opening import abstentions, encode
from triune.reopened import SPLIT
from triune.types import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from triune.explaining.asked import Asked
    from triune.explaining.effects import Outcome, Statement
    from triune.explaining.scene import Scene
    from triune.types import GroundedRules

MOST_ALONE = 40
"""Rules that are left out one at a time; those whose condition is met go before those that always speak."""
MOST_TARGETS = 10
"""Labels, or tokens, of a text whose words are weighed."""
TRAINING = (
    "what is told of each rule is its effect on predictions; what learning with it made of the model is not among it: "
    "a run without that rule, or `triune compare`, shows that"
)


def explanation(
    folder: Path,
    text: Asked,
    *,
    label: str | None,
    columns: Mapping[str, str],
    nearest: int,
    steps: int,
    frames: Mapping[str, pd.DataFrame] | None,
    plugins: Mapping[str, object] | None,
) -> Explanation:
    """Return why a finished run says of texts what it says; see `triune.explain`."""
    found, data, notes = asked_of(folder, text, columns, plugins)
    opened, space = found.opened, found.finished.space
    asked = None if label is None else numbered(label, space)
    rules = opened.grounded(data)
    examples = encode(opened.bundle, data)[SPLIT]
    notes += [*abstentions(rules), *examples.notes]
    opened.bundle.model.eval()
    scene = observed(opened, rules, data, examples)
    seen, said = _seen(scene, asked)
    notes += said
    words, unsaid = _words(scene, seen, asked, steps)
    alike, left = nearest_rows(found, examples, nearest, frames) if nearest else ([], [])
    acts = dict(enumerate(acting(rules, opened.hooks)))
    every = [Target(one, number) for number, one in enumerate(space.labels)]
    return Explanation(
        frame(({"text": one.text, "predicted": one.said.answer, "with_rules": _answer(one)} for one in seen), TEXTS),
        frame((row for one in seen for row in label_rows(one, space, every)), LABELS),
        frame((row for one in seen for row in rule_rows(one, rules, acts, space)), RULES),
        frame(words, TOKENS),
        frame(alike, NEAREST),
        tuple(dict.fromkeys([*notes, *unsaid, *left, *([TRAINING] if any(one.statements for one in seen) else [])])),
    )


def _answer(seen: Seen) -> object:
    return seen.with_rules.answer if seen.with_rules else None


def _seen(scene: Scene, asked: int | None) -> tuple[list[Seen], list[str]]:
    """Return all that is known of each example, and notes."""
    model = outcomes_of(scene.free, scene.space, scene.lengths)
    said = outcomes_of(scene.outputs, scene.space, scene.lengths)
    speaking = [statements_of(scene.rules, SPLIT, row, length) for row, length in enumerate(scene.lengths)]
    alone, notes = _alone(scene.rules, speaking)
    exact, costly = _exact(scene)
    structures, unasked = _structures(scene, said, alone)
    notes += [*costly, *unasked]
    truths = truths_of(scene)
    found = []
    for row, statements in enumerate(speaking):
        scores = scene.free.scores[row][: scene.lengths[row]].float().cpu()
        one = weighed(exact, scores, statements, alone, structures[row])
        if not one.possible:
            place = scene.rules.place(SPLIT, row)
            notes.append(f"{place}: the hard rules that fire leave no answer, so what each does is not told")
        targets = tuple(targets_of(said[row], scene.space, asked))
        text, words = scene.text(row)
        own = {rule: pair for (rule, number), pair in truths.items() if number == row}
        found.append(
            Seen(row, text, words, said[row], model[row], one.with_rules, targets, one.statements, one.moved, own)
        )
    return found, notes


def _alone(rules: GroundedRules, speaking: Sequence[Sequence[Statement]]) -> tuple[frozenset[int], list[str]]:
    """Return the rules to leave out one at a time, and a note where these are not all that fire."""
    fired = {one.rule for statements in speaking for one in statements}
    ordered = sorted(fired, key=lambda place: (rules.rules[place].when == ALWAYS, place))
    rest = [rules.rules[place].name for place in ordered[MOST_ALONE:]]
    notes = [f"{count(len(rest), 'rule')} of {len(fired)} that fire are not left out one at a time: {listed(rest, 3)}"]
    return frozenset(ordered[:MOST_ALONE]), notes if rest else []


def _exact(scene: Scene) -> tuple[Exact | None, list[str]]:
    try:
        return Exact.of(scene.rules, SPLIT, scene.space), []
    except TriuneError as error:
        return None, [f"what rules do by projection is left out: {error}"]


def _structures(
    scene: Scene, said: Sequence[Outcome], alone: frozenset[int]
) -> tuple[list[Structure | None], list[str]]:
    """Return what the structure says of every example, None where the run has none; and notes."""
    if not scene.opened.hooks.implementers(RuleApplication.constrain_outputs):
        return [None] * len(said), []
    kept = in_structure(scene.rules)
    without, notes = without_each(
        scene.opened, scene.rules, scene.free, scene.batch, sorted(alone & kept), scene.lengths
    )
    return [
        Structure(kept, one, {rule: outcomes[row] for rule, outcomes in without.items()})
        for row, one in enumerate(said)
    ], notes


def _words(
    scene: Scene, seen: Sequence[Seen], asked: int | None, steps: int
) -> tuple[list[dict[str, object]], list[str]]:
    """Return what each word adds to the explained labels, and notes."""
    if not steps:
        return [], []
    if not installed():
        return [], [MISSING]
    finished = scene.opened.run.finished
    assert finished is not None
    try:
        method = Attribution(scene.opened.bundle, finished.model, scene.opened.run.device)
    except EnvironmentProblem as error:
        return [], [str(error)]
    rows: list[dict[str, object]] = []
    notes: list[str] = []
    for one in seen:
        targets = attributed(one.targets, one.said, scene.space, asked)
        if len(targets) > MOST_TARGETS:
            notes.append(f"words are attributed to the first {MOST_TARGETS} labels or tokens of each text alone")
        rows += method.rows(scene.examples, one.number, targets[:MOST_TARGETS], steps)
    return rows, notes

"""The course of advice: look at the texts, try the ways of learning, forecast, choose, write a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from triune.advising import findings
from triune.advising.advice import Advice
from triune.advising.choosing import Choice, chosen, measured
from triune.advising.material import audited, ground_of, sampled, tables_of
from triune.advising.probing import parts_of, tried, weights_of
from triune.advising.recipe import as_yaml, configuration, strategies_for, strategy_for
from triune.advising.ways import LABELS, PROBES
from triune.errors import PluginError, TriuneError
from triune.models import PACKAGED
from triune.types import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pandas as pd

    from triune.advising.heads import Ground
    from triune.advising.material import Tables
    from triune.audit import Audit
    from triune.strategies import Strategy
    from triune.types import JSON

FEWEST = 2
"""Labels a class, on average, that there must be for ways to be tried; else hardly any can be held out."""

ENOUGH = 8
"""Labels a class that tell how right rules are, where there is none."""


def advise(
    data: str | Path | pd.DataFrame,
    *,
    rules: str | Path | Iterable[Rule] | None = None,
    unlabelled: str | Path | pd.DataFrame | None = None,
    text: str | None = None,
    label: str | None = None,
    labels: Sequence[str] = (),
    model: str | None = None,
    metric: Literal["accuracy", "macro"] = "accuracy",
    max_length: int | None = 128,
    seed: int = 42,
    folder: str | Path = ".",
    output: str = "runs/advised",
) -> Advice:
    """Return which family of strategies suits some texts, by what was measured on them, with a configuration.

    Args:
        data: the table: a file or a frame; examples without a label are texts that rules may speak of.
        rules: a file of rules, or rules.
        unlabelled: a second table of such texts.
        text: the column of the text; None: `text`.
        label: the column of the label; None: `label`, if there is one.
        labels: which there are, where the table has not an example of each.
        model: a folder, or an id of the hub; None: the small encoder that comes with triune's extra.
        metric: what a way is measured by: the share of labels that are right, each label counting as often as it
            seems to be among the texts (accuracy) or all counting alike (macro).
        max_length: tokens that are read of a text.
        seed: of folds and samples; the same seed gives the same advice.
        folder: where the configuration will be written, for the paths in it.
        output: the folder of the run that it configures.

    Raises:
        TriuneError: something is wrong with the table, the rules or the model.
    """
    if metric not in ("accuracy", "macro"):
        raise TriuneError(f"metric is {metric!r}: a way is measured by 'accuracy' or by 'macro'")
    columns = {role: name for role, name in (("text", text), ("label", label)) if name is not None}
    given = _rules(rules)
    source, more = _table(data), None if unlabelled is None else _table(unlabelled)
    all_texts = tables_of(source, more, columns, given, labels)
    tables = sampled(all_texts, seed)
    found = audited(tables, given) if given else None
    name = model or next(iter(PACKAGED))
    ground = ground_of(tables, given, name, max_length, seed)
    choice, facts = judged(tables, ground, found, metric, seed, int((all_texts.gold >= 0).sum()))
    facts["texts_in_all"] = len(all_texts.gold)
    strategy = strategy_for(choice.family, PROBES[choice.way].rules_as)
    config = configuration(
        strategy,
        tables.labels,
        name,
        {"train": _path(source), "unlabelled": None if more is None else _path(more)},
        columns,
        Path(rules) if isinstance(rules, str | Path) else None,
        given=bool(given),
    )
    facts["recommended"] = _recommended(choice, strategy)
    page = as_yaml(config, _why(choice, strategy), Path(folder), output)
    return Advice(choice.family, strategy.name, config, page, facts)


def _why(choice: Choice, strategy: Strategy) -> tuple[str, ...]:
    """Return what the configuration says of where it comes from."""
    learns = f"the strategy {strategy.name!r}, which learns from {_from(choice)}"
    return (f"Recommended by `triune advise`: {learns}.", *choice.reasons)


def _recommended(choice: Choice, strategy: Strategy) -> dict[str, JSON]:
    """Return the choice as a fact."""
    return {
        "family": choice.family,
        "way": choice.way,
        "strategy": strategy.name,
        "ties": list(choice.ties),
        "reasons": list(choice.reasons),
    }


def judged(
    tables: Tables, ground: Ground, found: Audit | None, metric: str, seed: int, labelled_in_all: int | None = None
) -> tuple[Choice, dict[str, JSON]]:
    """Return the choice, and all facts that it rests on.

    Args:
        tables: a sample of the texts.
        ground: their features, and what rules say of them.
        found: what rules do on them.
        metric: accuracy or macro.
        seed: of folds.
        labelled_in_all: how many labels there are; None: those of the sample.
    """
    import numpy as np

    labelled = ground.labelled
    known = labelled_in_all or len(labelled)
    counts = np.bincount(ground.gold[labelled], minlength=ground.labels)
    facts: dict[str, JSON] = {
        "texts": len(ground.gold),
        "labelled": len(labelled),
        "labelled_in_all": known,
        "labels": [*tables.names],
        "metric": metric,
        "imbalance": float(counts.max() / counts[counts > 0].min()) if len(labelled) else None,
        "coverage": findings.coverage(ground),
        "rules": [] if found is None else cast("JSON", findings.rules_of(found)),
        "votes": _votes(found),
        "ways": [], "more_labels": [], "more_rules": None, "suspicious": [],
    }  # fmt: skip
    if len(labelled) < FEWEST * max((counts > 0).sum(), 2):
        choice = _unmeasured(ground)
        return choice, {**facts, "classes": cast("JSON", findings.classes_of(tables, ground, None))}
    parts = parts_of(ground.gold, labelled, seed)
    weights = weights_of(ground.gold, labelled, findings.text_shares(ground, metric))
    probes = {name: probe for name, probe in PROBES.items() if ground.voting is not None or name == LABELS}
    trials = tried({name: probe.make for name, probe in probes.items()}, ground, parts, weights)
    ways = measured(trials, parts, _installed())
    if ground.voting is None:
        choice = Choice("labels", LABELS, (), ("there are labels, and no rules that speak of them",))
    else:
        choice = chosen(
            ways, trials, parts, known / ground.labels, findings.coverage(ground), findings.above_chance(ground)
        )
    with_rules = choice.way if choice.way != LABELS else max(
        (one for one in ways if one.name != LABELS), key=lambda one: one.score.mean, default=ways[0]
    ).name  # fmt: skip
    facts |= {
        "classes": cast("JSON", findings.classes_of(tables, ground, trials[choice.way])),
        "ways": cast("JSON", findings.ways_of(ways)),
        "more_labels": cast("JSON", findings.more_labels(ground, parts, weights, choice.way, known, seed)),
        "more_rules": findings.rules_forecast(ground, parts, weights, with_rules, trials[with_rules], seed),
        "suspicious": cast("JSON", findings.suspicious(tables, ground, trials)),
    }
    return choice, facts


def _unmeasured(ground: Ground) -> Choice:
    """Return what is usual where too few labels are there to hold any out."""
    if not len(ground.labelled):
        return Choice("rules", "votes", (), (
            "no example has a label, so rules are all there is to learn from, and nothing tells how right they are",
            f"{ENOUGH} labels a class ({ENOUGH * ground.labels} in all) would tell, and `advise` measure with them",
        ))  # fmt: skip
    few = f"there are fewer than {FEWEST} labels a class, so hardly any can be held out and nothing is measured"
    if ground.voting is None:
        return Choice("labels", LABELS, (), (few, "there are no rules"))
    return Choice("hybrid", "labels and votes", (), (few, "with so few labels and some rules, hybrid is usual"))


def _installed() -> set[str]:
    """Return the ways that an installed strategy stands for."""
    offered = {(family, one.rules_as) for family in ("rules", "labels", "hybrid") for one in _strategies(family)}
    return {name for name, probe in PROBES.items() if (probe.family, probe.rules_as) in offered}


def _strategies(family: str) -> list[Strategy]:
    try:
        return strategies_for(family)  # type: ignore[arg-type]
    except PluginError:
        return []


def _votes(found: Audit | None) -> JSON:
    if found is None or found.votes is None:
        return None
    votes = found.votes
    return {"covered": votes.covered, "labelled": votes.labelled, "accuracy": votes.accuracy, "ties": votes.ties}


def _from(choice: Choice) -> str:
    return {"hybrid": "rules and labels"}.get(choice.family, choice.family)


def _rules(given: str | Path | Iterable[Rule] | None) -> tuple[Rule, ...]:
    from triune.rule_input import rules_of

    if given is None:
        return ()
    if isinstance(given, str | Path):
        return rules_of(Path(given))
    found = tuple(given)
    if wrong := next((one for one in found if not isinstance(one, Rule)), None):
        raise PluginError(f"rules: found {wrong!r}: give the path of a rule file, or a list of triune.Rule")
    return found


def _table(given: str | Path | pd.DataFrame) -> Path | pd.DataFrame:
    return Path(given) if isinstance(given, str) else given


def _path(given: Path | pd.DataFrame) -> Path | None:
    return given if isinstance(given, Path) else None

"""Check that no prediction breaks a hard rule, on public data, from an untrained and from a trained model.

    python tests/benchmarks/hard_rules.py [--sets goemotions,trec] [--model MODEL] [--steps 60] [--rows N]

Every test row is predicted (`--rows` takes the first ones). Rules are counted here, by sets and sequences alone, not by
the rule engine that enforces them. Beside it stands what a model without the structure breaks. One thread.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

import triune
from triune import Label, Rule, hookimpl
from triune.logic import AnyOf, Exactly, Iff, hierarchy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
TRAINING = {"batch_size": 32, "learning_rate": 1e-4, "threads": 1, "device": "cpu", "validation": 0.0, "seed": 7}
QUIET = {"baselines": False, "early_stopping": None, "keep_best": False, "max_length": 64}

EVEN = {"prior_bias": False}  # a head that begins at how rare labels are says nothing, and nothing breaks no rule

Answer = list[str]


class Known:
    """What is known of the labels, as hard rules."""

    def __init__(self, *rules: Rule) -> None:
        self.known = rules

    @hookimpl
    def rules(self) -> tuple[Rule, ...]:
        return self.known


@dataclass(frozen=True)
class Problem:
    """A data set, its hard rules, and how an answer is checked without the rule engine."""

    task: str
    train: pd.DataFrame
    test: pd.DataFrame
    rules: tuple[Rule, ...]
    broken: Callable[[Answer], bool]
    how: tuple[dict[str, str], ...] = ({},)  # settings of the structure
    settings: dict[str, bool] = field(default_factory=dict)  # of the task


def rows_of(name: str, split: str) -> pd.DataFrame:
    return pd.read_json(DATA / name / f"{split}.jsonl.gz", lines=True)


def goemotions() -> Problem:
    """28 emotions, and the groups of two groupings as labels: a group holds exactly where one of its emotions does."""
    stated = json.loads((DATA / "goemotions" / "rules.json").read_text())
    groups = {
        f"{kind}:{name}": members
        for kind, key in (("ekman", "ekman_groups"), ("sentiment", "sentiment_groups"))
        for name, members in stated[key].items()
    }

    def grouped(labels: Answer) -> Answer:
        return [*labels, *(group for group, members in groups.items() if {*members} & {*labels})]

    def frame(split: str) -> pd.DataFrame:
        rows = rows_of("goemotions", split)
        return pd.DataFrame({"text": rows["text"], "label": [grouped(one) for one in rows["labels"]]})

    rules = [Rule(group, Iff(Label(group), AnyOf(*members)), hard=True) for group, members in groups.items()]

    def broken(answer: Answer) -> bool:
        emotions = [label for label in answer if label not in groups]
        return {*grouped(emotions)} != {*answer}

    return Problem("text-classification", frame("train"), frame("test"), tuple(rules), broken, settings=EVEN)


def trec() -> Problem:
    """Six coarse and fifty fine labels: exactly one of each, the fine one's coarse one."""
    tree = json.loads((DATA / "trec_question" / "rules.json").read_text())["hierarchy"]
    above = {fine: coarse for coarse, below in tree.items() for fine in below}

    def frame(split: str) -> pd.DataFrame:
        rows = rows_of("trec_question", split)
        return pd.DataFrame({"text": rows["text"], "label": rows[["label", "label_fine"]].to_numpy().tolist()})

    train, test = frame("train"), frame("test")
    known = {one for cell in train["label"] for one in cell}
    test = test[[{*cell} <= known for cell in test["label"]]]
    fine = [one for one in above if one in known]
    rules = (
        Rule(
            "tree",
            hierarchy({coarse: [one for one in below if one in known] for coarse, below in tree.items()}),
            hard=True,
        ),
        Rule("one coarse", Exactly(1, list(tree)), hard=True),
        Rule("one fine", Exactly(1, fine), hard=True),
    )

    def broken(answer: Answer) -> bool:
        return len(answer) != 2 or not any(above.get(one) == other for one in answer for other in answer)

    return Problem("text-classification", train, test, rules, broken, settings=EVEN)


def slots(name: str) -> Problem:
    """Sequences of tags in BIO, constrained alone and with learned transitions."""

    def frame(split: str) -> pd.DataFrame:
        return rows_of(name, split)[["tokens", "tags"]].set_axis(["text", "label"], axis=1)

    def broken(answer: Answer) -> bool:
        before = ["O", *answer]
        return any(now.startswith("I-") and last[2:] != now[2:] for last, now in zip(before, answer, strict=False))

    how = ({}, {"transitions": "learned"})
    return Problem("token-classification", frame("train"), frame("test"), (), broken, how)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "goemotions": goemotions,
    "trec": trec,
    "wnut17": lambda: slots("wnut17_ner"),
    "mit": lambda: slots("mit_restaurant_slots"),
}


def counted(problem: Problem, model: str, structure: dict[str, str] | None, **training: Any) -> tuple[int, int]:
    """Return how many predictions of a run break a rule, and how many there are."""
    plugins = {"known": Known(*problem.rules)}
    methods: list[Any] = ["end-to-end"]
    methods += [] if structure is None else [{"use": "rule-structure", "gold": "ignore", **structure}]
    config = {
        "task": {"use": problem.task, "model": model, **problem.settings},
        "data": {"use": "table"},
        "methods": methods,
        "rules": ["known"],
        "training": {**TRAINING, **QUIET, **training},
    }
    with tempfile.TemporaryDirectory() as folder:
        run = triune.run(config, data=problem.train, plugins=plugins, output=Path(folder) / "run")
        found = triune.predict(run.folder, problem.test[["text"]], plugins=plugins)
    return sum(problem.broken(list(answer)) for answer in found["predicted"]), len(found)


def results(problem: Problem, model: str, steps: int) -> Iterator[tuple[str, int, int]]:
    """Yield (which run, broken, predictions), the last two without the structure."""
    untrained = {"max_steps": 1, "learning_rate": 1e-12}
    for how in problem.how:
        named = "learned transitions, " if how else ""
        yield f"{named}untrained", *counted(problem, model, how, **untrained)
        yield f"{named}trained", *counted(problem, model, how, max_steps=steps)
    yield "without the structure, untrained", *counted(problem, model, None, **untrained)
    yield "without the structure, trained", *counted(problem, model, None, max_steps=steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(PROBLEMS))
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rows", type=int)
    given = parser.parse_args()
    failed = False
    for name in given.sets.split(","):
        whole = PROBLEMS[name]()
        problem = replace(whole, test=whole.test[: given.rows])
        for which, broken, of in results(problem, given.model, given.steps):
            print(f"{name:12} {which:32} {broken:6} of {of} predictions break a rule", flush=True)
            failed |= broken > 0 and not which.startswith("without")
    raise SystemExit(failed)


if __name__ == "__main__":
    main()

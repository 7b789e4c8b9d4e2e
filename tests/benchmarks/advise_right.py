"""Whether advice is right: five data sets with published rules, 8 and 32 labels a class, against finished trainings.

    python tests/benchmarks/advise_right.py --truth rules_pay.json [--sets trec,sms] [--labels 8,32]
                                            [--seeds 1,2,3,4] [--results advise_right.json] [--table]

Advice is asked of the very tables that `rules_pay.py` trains on: the labelled rows that a seed draws, the text of 600
others, the published rules. Draw 0 is left out: the thresholds of the advice were last changed after it was seen.

The truth is the result of those trainings on the test rows, means of the seeds: labels alone; rules alone (their votes,
no label); hybrid, the best of labels with votes, labels with the semantic loss, and labels with the rules at
prediction. A family that is behind the best by less than the spread of their difference over the seeds ties with it. A
question that is answered is not asked again.

Every question is asked once more with rules that say the label after their own, where nothing can be learnt from rules.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import asdict, replace
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING

from tests.benchmarks.rules_pay import DATA, MODEL, SETS, Job, Row, column_rules, names_in, numbers_in, read, tables_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

TEXT_SETS = [name for name, one in SETS.items() if one.task == "text-classification"]
ADVICE, WRONG = "advice", "advice, rules wrong"
WAYS = {  # family, arm, labels a class (None: as many as asked), which figures
    "labels": ("labels", "learning", None, "metrics"),
    "votes": ("rules", "weak", 0, "metrics"),
    "labels and votes": ("hybrid", "weak", None, "metrics"),
    "labels and loss": ("hybrid", "loss", None, "metrics"),
    "labels, then rules": ("hybrid", "learning", None, "projection"),
}


def ask(job: Job) -> Row:
    """Return the advice on the tables of a job."""
    from triune.advising.course import judged
    from triune.advising.material import audited, ground_of
    from triune.advising.material import tables_of as texts_of

    drawn = tables_of(job)
    rules = column_rules(drawn.test)
    if job.arm == WRONG:
        rules = rotated(rules, drawn.labels)
    texts = texts_of(drawn.train, drawn.unlabelled.drop(columns="label"), {}, rules, drawn.labels)
    found = audited(texts, rules)
    metric = "macro" if SETS[job.set].metric == "macro_f1" else "accuracy"
    choice, facts = judged(texts, ground_of(texts, rules, MODEL, 64, job.seed), found, metric, job.seed)
    ways = {one["way"]: (one["score"], one["error"]) for one in facts["ways"]}
    return {"family": choice.family, "way": choice.way, "ties": list(choice.ties), "ways": ways}


def rotated(rules: Sequence[object], labels: Sequence[str]) -> list[object]:
    """Return the rules, each with the label after its own: they fire where they did, and are mostly wrong."""
    from triune import Label

    after = dict(zip(labels, [*labels[1:], labels[0]], strict=True))
    return [replace(rule, then=Label(after[rule.then.name])) for rule in rules]


def truth_of(done: Mapping[Job, Row], name: str, labels: int) -> dict[str, list[float]]:
    """Return what each way reached with every seed that all of them were done with."""
    metric, seeds = SETS[name].metric, {job.seed for job in done}
    found: dict[str, dict[int, float]] = {}
    for way, (_, arm, count, figures) in WAYS.items():
        rows = {seed: done.get(Job(name, labels if count is None else count, seed, arm)) for seed in seeds}
        found[way] = {seed: row[figures][metric] for seed, row in rows.items() if row}
    shared = set.intersection(*(set(one) for one in found.values()))
    return {way: [one[seed] for seed in sorted(shared)] for way, one in found.items()}


def winners(truth: Mapping[str, Sequence[float]]) -> tuple[dict[str, float], set[str]]:
    """Return the best mean of each family, and the families that win or tie with the winner."""
    best: dict[str, str] = {}
    for way, (family, *_) in WAYS.items():
        if family not in best or mean(truth[way]) > mean(truth[best[family]]):
            best[family] = way
    top = max(best.values(), key=lambda way: mean(truth[way]))
    right = set()
    for family, way in best.items():
        behind = [one - other for one, other in zip(truth[top], truth[way], strict=True)]
        if mean(behind) <= (stdev(behind) if len(behind) > 1 else 0.0):
            right.add(family)
    return {family: mean(truth[way]) for family, way in best.items()}, right


def spelt(families: Sequence[str]) -> str:
    """Return how often each family was advised."""
    return ", ".join(f"{family} {times} of {len(families)}" for family, times in Counter(families).most_common())


def lines_of_table(options: argparse.Namespace) -> Iterator[str]:
    """Yield the table as Markdown, and how often advice was right."""
    asked, done = read(options.results), read(options.truth)
    yield "| set | labels a class | labels | rules | hybrid | right | advised | is right | advised with wrong rules |"
    yield "|---|---:|---:|---:|---:|---|---|---|---|"
    cases = hits = single = questions = 0
    constant = Counter[str]()
    for name in options.sets:
        for count in options.labels:
            truth = truth_of(done, name, count)
            answers, wrong = (
                [asked[job]["family"] for seed in options.seeds if (job := Job(name, count, seed, arm)) in asked]
                for arm in (ADVICE, WRONG)
            )
            if not answers or not next(iter(truth.values())):
                continue
            figures, right = winners(truth)
            told = Counter(answers).most_common()
            cases, hits = cases + 1, hits + (told[0][0] in right)
            constant.update(right)
            questions, single = questions + len(answers), single + sum(family in right for family in answers)
            scores = " | ".join(f"{100 * figures[family]:.1f}" for family in ("labels", "rules", "hybrid"))
            said = spelt(answers)
            verdict = "yes" if told[0][0] in right else "no"
            yield f"| {name} | {count} | {scores} | {', '.join(sorted(right))} | {said} | {verdict} | {spelt(wrong)} |"
    yield ""
    yield f"Right on {hits} of {cases} by the advice that most seeds give, on {single} of {questions} by each."
    always = ", ".join(f"{family} on {constant[family]}" for family in ("labels", "rules", "hybrid"))
    yield f"Who always gives the same advice is right so often: {always}."


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=names_in, default=TEXT_SETS, help=f"of {', '.join(TEXT_SETS)}")
    parser.add_argument("--labels", type=numbers_in, default=[8, 32])
    parser.add_argument("--seeds", type=numbers_in, default=[1, 2, 3, 4], help="of the draws asked about")
    parser.add_argument("--truth", type=Path, default=Path("rules_pay.json"), help="results of rules_pay.py")
    parser.add_argument("--results", type=Path, default=Path("advise_right.json"))
    parser.add_argument("--table", action="store_true", help="ask nothing, print the table of what is answered")
    return parser.parse_args(argv)


def main() -> None:
    """Ask what was not asked, and print the table."""
    options = parse()
    if not DATA.is_dir():
        sys.exit("advise_right: skipped, the public data sets are not at ../shared/data beside this repository")
    jobs = [
        Job(name, count, seed, arm)
        for seed in options.seeds
        for arm in (ADVICE, WRONG)
        for name in options.sets
        for count in options.labels
    ]
    for job in [] if options.table else jobs:
        if job not in read(options.results):
            found = ask(job)
            with options.results.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps({"job": asdict(job), **found}) + "\n")
            print(f"{job}: {found['family']} ({found['way']})", flush=True)
    print("\n".join(lines_of_table(options)))


if __name__ == "__main__":
    main()

"""How many labels rules save: the learning curve from 4 to 128 labels a class, with published rules and without.

    python tests/benchmarks/labels_saved.py [--sets trec,sms] [--labels 4,8,16] [--results labels_saved.json]
                                            [--table] [--plot docs/labels_saved.svg]

Rows, encoder, test rows and steps are those of `rules_pay.py`, batches are of 32. `learning` fills them with labelled
rows; `self` (the method self-training with its defaults) puts 8 labelled rows into each, and 24 of up to 2,000 texts
without labels. No arm looks at a validation label and nothing is tuned for a set. Five seeds of 8 labels with rules and
of 32 without, as the question is whether the one reaches the other, two elsewhere. A finished job is not repeated.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.benchmarks.rules_pay import DATA, DEFAULTS, SETS, Job, Recipe, Row, names_in, numbers_in, read, summary, work

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ARMS = ("learning", "self")
RECIPE = Recipe(texts=2000, batch_size=32, labelled_share=0.25)
HEADLINE, REFERENCE = 8, 32  # labels a class: with rules, and without
SIDES = ((HEADLINE, "self"), (REFERENCE, "learning"))
COUNTS = (4, 8, 16, 32, 64, 128)
HEADLINES = ("trec", "youtube", "sms", "agnews", "mit")
MANY, FEW = (0, 1, 2, 3, 4), (0, 1)


def seeds_of(count: int, arm: str) -> Sequence[int]:
    """Return the seeds for a number of labels in an arm."""
    return MANY if (count, arm) in SIDES else FEW


def every_job(sets: Sequence[str], counts: Sequence[int]) -> list[Job]:
    """Return the jobs, what decides the headline first, one seed of everything after the other."""
    others = [(count, arm) for count in (HEADLINE, REFERENCE, *counts) for arm in ARMS]
    found = []
    for asked in (SIDES, [one for one in dict.fromkeys(others) if one not in SIDES]):
        jobs = [Job(name, count, seed, arm) for count, arm in asked for seed in seeds_of(count, arm) for name in sets]
        found += sorted(jobs, key=lambda job: job.seed)
    return [job for job in found if job.labels in counts]


def values(
    done: Mapping[Job, Row],
    name: str,
    count: int,
    arm: str,
    seeds: Sequence[int] | None = None,
    figures: str = "metrics",
) -> list[float]:
    """Return what the seeds of one arm measured: all that were run, or some."""
    rows = [done.get(Job(name, count, seed, arm)) for seed in (seeds_of(count, arm) if seeds is None else seeds)]
    return [row[figures][SETS[name].metric] for row in rows if row and SETS[name].metric in row[figures]]


def common(done: Mapping[Job, Row], name: str) -> list[int]:
    """Return the seeds of which both sides of the headline were run."""
    return [seed for seed in MANY if all(Job(name, count, seed, arm) in done for count, arm in SIDES)]


def lines_of_table(done: Mapping[Job, Row], sets: Sequence[str], counts: Sequence[int]) -> Iterator[str]:
    """Yield the tables as Markdown: the headline, then the curves."""
    yield f"| set, metric | learning {HEADLINE} | learning {HEADLINE}, projected | with rules {HEADLINE} | " + (
        f"learning {REFERENCE} | difference, common seeds | seeds |"
    )
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for name in sets:
        few, many = values(done, name, HEADLINE, "learning"), values(done, name, REFERENCE, "learning")
        ruled = values(done, name, HEADLINE, "self")
        both = [values(done, name, *side, common(done, name)) for side in SIDES]
        difference = f"{100 * (mean(both[0]) - mean(both[1])):+.1f}" if all(both) else "–"
        cells = [few, values(done, name, HEADLINE, "learning", figures="projection"), ruled, many]
        seeds = f"{len(few)}/{len(ruled)}/{len(many)}"
        yield f"| {name}, {SETS[name].metric} | {' | '.join(map(summary, cells))} | {difference} | {seeds} |"
    yield ""
    yield f"| set | arm | {' | '.join(map(str, counts))} |"
    yield "|---|---|" + "---:|" * len(counts)
    for name in sets:
        for arm in ARMS:
            yield f"| {name} | {arm} | " + " | ".join(summary(values(done, name, n, arm)) for n in counts) + " |"


def plot(done: Mapping[Job, Row], sets: Sequence[str], counts: Sequence[int], path: Path) -> None:
    """Draw the learning curves of both arms, a panel a set, with the level that 32 labels alone reach."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "triune", "font.size": 8})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(sets), figsize=(2.4 * len(sets), 2.5), squeeze=False)
    for axis, name in zip(axes[0], sets, strict=True):
        for arm, colour, said in (("learning", "#b45309", "labels alone"), ("self", "#1d4ed8", "labels and rules")):
            found = {count: values(done, name, count, arm) for count in counts}
            known = [count for count in counts if found[count]]
            axis.plot(known, [100 * mean(found[n]) for n in known], "o-", color=colour, label=said, ms=3, lw=1.2)
            axis.fill_between(
                known,
                [100 * min(found[n]) for n in known],
                [100 * max(found[n]) for n in known],
                color=colour,
                alpha=0.15,
                lw=0,
            )
        if level := values(done, name, REFERENCE, "learning"):
            axis.axhline(100 * mean(level), color="#b45309", lw=0.7, ls=":")
        axis.set_xscale("log", base=2)
        axis.set_xticks(counts, [str(count) for count in counts])
        axis.minorticks_off()
        axis.set_title(f"{name}, {SETS[name].metric}")
        axis.set_xlabel("labels a class")
    axes[0][0].legend(loc="lower right", frameon=False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", type=names_in, default=list(HEADLINES), help=f"of {', '.join(SETS)}")
    parser.add_argument("--labels", type=numbers_in, default=list(COUNTS))
    parser.add_argument("--results", type=Path, default=Path("labels_saved.json"))
    parser.add_argument("--table", action="store_true", help="run nothing, print the tables of what is done")
    parser.add_argument("--plot", type=Path, help="where to draw the curves, as SVG")
    options = parser.parse_args()
    if unknown := set(options.sets) - set(SETS):
        parser.error(f"no data set {', '.join(sorted(unknown))}; there are {', '.join(SETS)}")
    return options


def main() -> None:
    """Run what is missing, print the tables, draw the curves."""
    options = parse()
    os.environ.update({name: value for name, value in DEFAULTS.items() if name not in os.environ})
    if not options.table:
        if not DATA.is_dir():
            sys.exit("labels_saved: skipped, the public data sets are not at ../shared/data beside this repository")
        work(every_job(options.sets, options.labels), options.results, RECIPE)
    done = read(options.results)
    print("\n".join(lines_of_table(done, options.sets, options.labels)))
    if options.plot:
        plot(done, options.sets, options.labels, options.plot)


if __name__ == "__main__":
    main()

"""Rules only, labels only, both: three runs of as many steps on the example messages, and one table.

    python examples/three_ways.py

It computes for less than three minutes and leaves the runs in `runs/demo`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import triune
from triune.events import Stepped

if TYPE_CHECKING:
    from triune import Event, Result

MESSAGES = Path(__file__).parent / "customer_service"
WAYS = {"labels_only": "labels only", "rules_only": "rules only", "rules_and_labels": "both"}


def main() -> None:
    """Do the three runs and say how good each is on messages that none has seen."""
    found = {}
    for name, title in WAYS.items():
        print(f"\n{title}: {first_line(name)}", flush=True)
        found[title] = triune.run(
            MESSAGES / f"{name}.yaml", output=f"runs/demo/{name}", overwrite=True, observers=[show_steps]
        )
    print_table(found)
    print(
        "\nNext\n  triune evaluate runs/demo/rules_and_labels examples/customer_service/test.csv    # rule by rule"
        "\n  echo 'where is my parcel' | triune predict runs/demo/rules_and_labels -"
        "\n  triune run examples/customer_service/config.yaml    # all 483 labels"
    )


def print_table(found: dict[str, Result]) -> None:
    """Print how good each run is, beside the labels themselves."""
    row = "  {:12}{:>10}{:>10}{:>14}{:>12}{:>12}".format
    test = next(iter(found.values())).metrics["test"]
    print(f"\n{test['examples']} messages of the test table\n")
    print(row("", "accuracy", "macro-F1", "rules broken", "projected", "training"))
    for title, result in found.items():
        print(row(title, *figures(result), f"{result.facts['timings']['training']:.0f} s"))
    print(
        "\nprojected: the accuracy of the same scores with the rules put over them at prediction"
        "\nrules broken: of all that rules say of messages; the right answers break "
        f"{test['rules_overall']['violation_rate_on_gold']:.0%}"
    )


def first_line(name: str) -> str:
    """Return what a configuration says it is."""
    return (MESSAGES / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")


def show_steps(event: Event) -> None:
    """Print every twentieth step."""
    if isinstance(event, Stepped) and event.step.index % 20 == 0:
        print(f"  step {event.step.index}/{event.step.total}  loss {event.loss:.3f}", flush=True)


def figures(result: Result) -> list[str]:
    """Return how good a run is, and how far its answers keep the rules."""
    found = result.metrics["test"]
    shares = (found["accuracy"], found["macro_f1"], found["rules_overall"]["violation_rate"])
    return [f"{share:.1%}" for share in (*shares, found["projection"]["accuracy"])]


if __name__ == "__main__":
    main()

"""`triune run CONFIG`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from triune.cli.options import add_configuration, add_overwrite
from triune.events import Checkpointed, Event, Planned
from triune.signals import Interrupted

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from pathlib import Path
    from typing import TextIO

    from triune.planning import Plan
    from triune.result import Result
    from triune.types import JSON


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the verb takes."""
    add_configuration(parser)
    parser.add_argument(
        "--resume", choices=["auto"], help="auto: go on where a stopped run was, or return a finished one"
    )
    add_overwrite(parser, "a run that is in the folder")


def execute(arguments: Namespace) -> int:
    """Train, showing how it goes, and print what came of it."""
    from triune import runs
    from triune.cli.printing import print_json
    from triune.cli.progress import watching

    notices = sys.stderr if arguments.json else sys.stdout
    chronicle = Chronicle(notices)
    try:
        with watching(sys.stderr) as watch:
            result = runs.run(
                arguments.config,
                overrides=arguments.overrides,
                without=arguments.without,
                output=arguments.output,
                resume=arguments.resume,
                overwrite=arguments.overwrite,
                observers=[chronicle.observe, watch],
            )
    except Interrupted as stop:
        stop.add_note(chronicle.way_on(arguments))
        raise
    if arguments.json:
        print_json(as_json(result))
    else:
        print("\n".join(summary(result, anew=chronicle.folder is not None)))
    return 0


class Chronicle:
    """Prints the plan when it is made, and remembers where the run was last saved."""

    def __init__(self, notices: TextIO) -> None:
        """Print to `notices`."""
        self.notices = notices
        self.folder: Path | None = None
        self.saved = ""

    def observe(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Planned):
            self.folder = event.folder
            self._print(event.plan)  # type: ignore[arg-type]
        elif isinstance(event, Checkpointed):
            self.saved = f"step {event.step.index} of {event.step.total}"

    def _print(self, plan: Plan) -> None:
        from triune.alignment import wrapped
        from triune.plan_page import brief

        print(brief(plan), file=self.notices)
        for note in plan.notes:
            for line in wrapped(note, "", "note     "):
                print(line, file=self.notices)
        print(file=self.notices, flush=True)

    def way_on(self, arguments: Namespace) -> str:
        """Return what is saved of a run that was stopped, and the command that goes on with it."""
        command = shlex.join(["triune", "run", str(arguments.config), *_repeated(arguments), "--resume", "auto"])
        if self.folder is None:
            return f"no step was done; to begin again: {command}"
        state = f"saved at {self.saved}" if self.saved else "nothing new was saved"
        return f"{state} in {self.folder}\nto go on: {command}"


def _repeated(arguments: Namespace) -> Iterator[str]:
    for override in arguments.overrides:
        yield from ("--set", override)
    for name in arguments.without:
        yield from ("--without", name)
    if arguments.output is not None:
        yield from ("--output", str(arguments.output))


def as_json(result: Result) -> dict[str, JSON]:
    """Return what a script wants to know of a finished run."""
    facts = {key: result.facts[key] for key in ("ended", "notes", "timings")}
    return {"folder": str(result.folder), "model": str(result.model), "metrics": dict(result.metrics), **facts}


def summary(result: Result, *, anew: bool) -> Iterator[str]:
    """Yield the metrics of a finished run, how its model was chosen, where it is and what to do next."""
    from triune.cli.printing import metrics_lines
    from triune.rule_table import beside_lines

    if not anew:
        yield from ("This run was finished before; nothing was trained.", "")
    if result.metrics:
        yield "Metrics of the finished model"
        yield from metrics_lines(result.metrics)
        yield from beside_lines(result.metrics)
    else:
        yield "No table was set aside, so nothing was measured."
    yield ""
    yield from _choice(result.facts["ended"])
    folder = shlex.quote(str(result.folder))
    yield from (
        f"Folder:  {result.folder}",
        f"Model:   {result.model} (transformers loads it; README.md in the folder says how)",
        *([f"Report:  {result.report}"] if result.report.is_file() else []),
        "",
        "Next",
        f"  echo 'a text of yours' | triune predict {folder} -",
        f"  triune predict {folder} FILE --output predictions.csv --probabilities",
        f"  triune evaluate {folder} FILE",
    )


def _choice(ended: JSON) -> Iterator[str]:
    assert isinstance(ended, Mapping)
    yield f"Trained: {ended['step']} of {ended['of']} steps; {ended['because']}"
    best = ended["best"]
    if ended.get("collapsed"):
        yield f"Warning: {ended['collapsed']}"
    by, figure = str(ended["chosen_by"]), f" ({best:.4f})" if isinstance(best, float) else ""
    if by.startswith("nothing"):
        yield f"Chosen:  {by.removeprefix('nothing: it is ')}"
    else:
        yield f"Chosen:  the model of step {ended['best_step']}, by {by}{figure}"

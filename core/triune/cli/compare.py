"""`triune compare CONFIG`."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from triune.cli.options import add_configuration, add_overwrite
from triune.errors import TriuneError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import TextIO

    from triune.cli.progress import Watch
    from triune.comparing.working import Announced, Ended, Notice

FAILED = 2
"""The exit code where an arm failed: the others are compared all the same."""


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the verb takes."""
    add_configuration(parser)
    parser.add_argument(
        "--strategies",
        metavar="NAMES",
        help="which arms of the configuration and installed strategies, separated by commas; `yours`: its own methods",
    )
    parser.add_argument(
        "--seeds", metavar="N", help="how many seeds every arm is done with, counted up; or the seeds, as 1,2,3"
    )
    parser.add_argument(
        "--workers", metavar="N", type=int, default=1, help="how many runs at once, each with its share of the threads"
    )
    add_overwrite(parser, "a comparison that is in the folder")


def execute(arguments: Namespace) -> int:
    """Do what is left of the comparison, showing how it goes, and print what came of it."""
    from triune.cli.printing import print_json
    from triune.cli.progress import watching
    from triune.comparing import compare
    from triune.comparing.page import lines_of

    try:
        with watching(sys.stderr) as watch:
            comparison = compare(
                arguments.config,
                overrides=arguments.overrides,
                without=arguments.without,
                strategies=names_in(arguments.strategies),
                seeds=seeds_in(arguments.seeds),
                workers=arguments.workers,
                output=arguments.output,
                overwrite=arguments.overwrite,
                observers=[Chronicle(sys.stderr if arguments.json else sys.stdout, watch).observe],
            )
    except KeyboardInterrupt as stop:
        stop.add_note("what was at work is saved; the same command without --overwrite goes on with it")
        raise
    if arguments.json:
        print_json({"folder": str(comparison.folder), **comparison.facts})
    else:
        print("\n".join(lines_of(comparison)))
        print(f"Folder:  {shlex.quote(str(comparison.folder))} (report.html, comparison.json; runs in runs/ARM/seed-N)")
    return FAILED if comparison.facts["failures"] else 0


def names_in(text: str | None) -> list[str] | None:
    """Return the names of an option that lists some."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def seeds_in(text: str | None) -> int | list[int] | None:
    """Return how many seeds, or which.

    Raises:
        TriuneError: it is no number.
    """
    if text is None:
        return None
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in words):
        raise TriuneError(f"--seeds {text}: say how many, such as 3, or which, such as 1,2,3")
    return int(words[0]) if len(words) == 1 else [int(word) for word in words]


class Chronicle:
    """Prints what will be done and how each run ended, and shows the steps of those of this process."""

    def __init__(self, notices: TextIO, watch: Watch) -> None:
        """Print to `notices`; steps are shown by `watch`."""
        self._notices, self._watch = notices, watch

    def observe(self, notice: Notice) -> None:
        """Take note."""
        from triune.comparing.working import Announced, Begun, Ended, Undrawn

        if isinstance(notice, Announced):
            self._announce(notice)
        elif isinstance(notice, Begun):
            self._say(f"{notice.number}/{notice.of}  {notice.job.title} …")
        elif isinstance(notice, Ended):
            self._end(notice)
        elif isinstance(notice, Undrawn):
            self._say(f"warning: the comparison is whole, but its report.html could not be drawn: {notice.error}")
        else:
            self._watch(notice.event)

    def _announce(self, notice: Announced) -> None:
        from triune.alignment import count, wrapped

        arms = dict.fromkeys(job.arm for job in notice.jobs)
        steps = sorted({budget.steps for budget in notice.budgets.values()})
        length = f"{steps[0]:,} steps" if len(steps) == 1 else f"{steps[0]:,} to {steps[-1]:,} steps"
        self._say(f"{count(len(notice.jobs), 'run')} of at most {length} each: {', '.join(arms)}")
        for name, reason in notice.left_out.items():
            for line in wrapped(f"{name}: {reason}", "", "left out  "):
                self._say(line)
        if notice.finished:
            self._say(f"{count(notice.finished, 'run')} finished before, and not repeated")
        self._say("")

    def _end(self, notice: Ended) -> None:
        if notice.error:
            self._say(f"  {notice.job.title} failed: {notice.error}")

    def _say(self, line: str) -> None:
        print(line, file=self._notices, flush=True)

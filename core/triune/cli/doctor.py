"""`triune doctor`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from triune.cli.examination import Check, examine

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Sequence


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument(
        "--output", metavar="DIR", type=Path, default=Path("runs"), help="where runs would be written; otherwise runs"
    )


def execute(arguments: Namespace) -> int:
    """Print a line for each thing looked at; the exit code is 1 if one is a failure."""
    checks = list(examine(arguments.output))
    failed = any(check.status == "fail" for check in checks)
    if arguments.json:
        from triune.cli.printing import print_json

        print_json({"checks": [asdict(check) for check in checks], "ok": not failed})
    else:
        print("\n".join(lines(checks)))
    return int(failed)


def lines(checks: Sequence[Check]) -> Iterator[str]:
    """Yield what was found, what to do about it, and how many of each there are."""
    width = max(len(check.name) for check in checks)
    for check in checks:
        yield f"{check.status:4}  {check.name:{width}}  {check.found}"
        if check.remedy:
            yield f"{'':{width + 6}}  → {check.remedy}"
    counts = Counter(check.status for check in checks)
    yield f"\n{counts['ok']} ok, {counts['warn']} to know of, {counts['fail']} to mend"

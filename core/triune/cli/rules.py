"""`triune rules check`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from triune.errors import TriuneError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

CONTRADICTORY = 2


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument("action", metavar="check", choices=("check",), help="look for what is wrong with rules")
    parser.add_argument("rules", metavar="RULES", type=Path, help="a file of rules: YAML, JSON or Python")
    parser.add_argument("--data", metavar="FILE", type=Path, help="a table: CSV, TSV, JSONL or Parquet; labels help")
    parser.add_argument("--text", metavar="COLUMN", help="the column of the text; otherwise text")
    parser.add_argument("--label", metavar="COLUMN", help="the column of the label; otherwise label, if there is one")
    parser.add_argument("--label-separator", metavar="TEXT", help="what parts the labels of a cell with several")
    parser.add_argument(
        "--labels",
        choices=("one", "several"),
        help="how many labels an example has; otherwise as the table shows, and one where it shows nothing",
    )


def execute(arguments: Namespace) -> int:
    """Print what the rules do on the table; the exit code is 2 if a run could not use them.

    Raises:
        TriuneError: rules or table cannot be read.
    """
    from triune.audit import audit
    from triune.rule_input import rules_of, table_of

    names = ("text", "label", "label_separator")
    columns = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
    if columns and arguments.data is None:
        option = f"--{next(iter(columns)).replace('_', '-')}"
        raise TriuneError(f"{option} names a column, and there is no table: give --data FILE")
    rules = rules_of(arguments.rules)
    data, split = (None, "") if arguments.data is None else table_of(arguments.data, columns)
    found = audit(rules, data, split, arguments.labels)
    if arguments.json:
        from triune.cli.printing import print_json
        from triune.cli.rules_page import as_json

        print_json(as_json(found))
    else:
        from triune.cli.rules_page import page

        print("\n".join(page(found)))
    return 0 if found.sound else CONTRADICTORY

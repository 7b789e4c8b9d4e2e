"""`triune advise DATA`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from triune.cli.options import add_overwrite
from triune.errors import OutputError

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument("data", metavar="DATA", type=Path, help="a table: CSV, TSV, JSONL or Parquet; labels help")
    parser.add_argument("--rules", metavar="FILE", type=Path, help="a file of rules: YAML, JSON or Python")
    parser.add_argument("--unlabelled", metavar="FILE", type=Path, help="a second table, of texts without labels")
    parser.add_argument("--text", metavar="COLUMN", help="the column of the text; otherwise text")
    parser.add_argument("--label", metavar="COLUMN", help="the column of the label; otherwise label, if there is one")
    parser.add_argument(
        "--labels", metavar="NAMES", help="which labels there are, separated by commas; otherwise those of the table"
    )
    parser.add_argument("--model", metavar="MODEL", help="the pretrained model: a folder, or an id of the hub")
    parser.add_argument(
        "--metric",
        choices=("accuracy", "macro"),
        default="accuracy",
        help="accuracy: labels count as often as they seem to occur; macro: all labels count alike",
    )
    parser.add_argument("--seed", metavar="N", type=int, default=42, help="of folds and samples; otherwise 42")
    parser.add_argument("--output", metavar="FILE", type=Path, help="write the recommended configuration there")
    add_overwrite(parser, "the configuration")


def execute(arguments: Namespace) -> int:
    """Print what was measured and what is recommended, and write the configuration if asked to.

    Raises:
        TriuneError: table or rules cannot be read, or the configuration is there already.
    """
    from triune.advising import advise
    from triune.advising.page import lines_of
    from triune.cli.printing import print_json
    from triune.files import write_whole

    output: Path | None = arguments.output
    if output is not None and output.exists() and (output.is_dir() or not arguments.overwrite):
        raise OutputError(f"{str(output)!r} exists: name another file, or replace it with --overwrite")
    advice = advise(
        arguments.data,
        rules=arguments.rules,
        unlabelled=arguments.unlabelled,
        text=arguments.text,
        label=arguments.label,
        labels=[name.strip() for name in (arguments.labels or "").split(",") if name.strip()],
        model=arguments.model,
        metric=arguments.metric,
        seed=arguments.seed,
        folder=Path() if output is None else output.parent,
    )
    if output is not None:
        write_whole(output, advice.yaml)
    if arguments.json:
        print_json({**advice.facts, "config": advice.yaml, "written": None if output is None else str(output)})
        return 0
    print("\n".join(lines_of(advice)))
    if output is not None:
        print(f"\nWritten: {output}; `triune run {shlex.quote(str(output))}` does it")
    return 0

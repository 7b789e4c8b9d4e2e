"""The parser of a verb's arguments, and the arguments that several verbs take."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from triune.errors import TriuneError, nearest


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are errors of ours, and that never guesses what an option was to be."""

    def __init__(self, prog: str, description: str) -> None:
        """Make the parser of a verb."""
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse found wrong.

        Raises:
            TriuneError: always.
        """
        known = [option for action in self._actions for option in action.option_strings]
        unknown = message.removeprefix("unrecognized arguments: ") if message.startswith("unrecog") else ""
        option = next((word.partition("=")[0] for word in unknown.split() if word.startswith("-")), None)
        hint = nearest(option, known) if option else ""
        raise TriuneError(f"{self.prog}: {message}{hint}; `{self.prog} --help` says what it takes")


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of verbs that read a configuration."""
    parser.add_argument("config", metavar="CONFIG", type=Path, help="the configuration: a YAML or JSON file")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        dest="overrides",
        help="put a value over the configuration's, such as training.epochs=5; may be repeated",
    )
    parser.add_argument(
        "--without",
        metavar="PLUGIN",
        action="append",
        default=[],
        help="treat an installed plugin as if it were not; may be repeated",
    )
    parser.add_argument("--output", metavar="DIR", type=Path, help="the run's folder, in place of the configuration's")


def add_run_and_table(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of verbs that use a finished run on a table."""
    said = "the folder of a finished run, or of several to be asked together"
    parser.add_argument("run", metavar="RUN", type=Path, help=said)
    parser.add_argument(
        "file",
        metavar="FILE",
        help="the table: CSV, TSV, JSONL or Parquet; - reads standard input, one text or JSON object a line",
    )


def add_overwrite(parser: argparse.ArgumentParser, what: str) -> None:
    """Add `--overwrite`."""
    parser.add_argument("--overwrite", action="store_true", help=f"replace {what} if it exists")

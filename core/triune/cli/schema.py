"""`triune schema`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from triune.cli.options import add_overwrite

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

USE = "To complete and check a configuration while typing, begin it with the line:"


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument("--output", metavar="FILE", type=Path, help="write the schema there")
    add_overwrite(parser, "the file")


def execute(arguments: Namespace) -> int:
    """Print the schema, or write it and say how an editor uses it."""
    from triune.catalog import installed
    from triune.cli.printing import print_json
    from triune.cli.table_files import check_new
    from triune.files import write_json
    from triune.schema import json_schema

    if arguments.output is not None:
        check_new(arguments.output, overwrite=arguments.overwrite)
    schema = json_schema(installed())
    target = arguments.output or Path("schema.json")
    if arguments.output is None:
        print_json(schema)  # type: ignore[arg-type]
        print(f"Keep it with --output {target}. {USE}\n# yaml-language-server: $schema={target}", file=sys.stderr)
        return 0
    write_json(arguments.output, schema)  # type: ignore[arg-type]
    if arguments.json:
        print_json({"output": str(target)})
    else:
        print(f"Written: {target}\n{USE}\n# yaml-language-server: $schema={target}")
    return 0

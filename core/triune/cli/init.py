"""`triune init`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from triune.errors import OutputError, listed

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

CONFIG = "config.yaml"


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the verb takes."""
    parser.add_argument(
        "folder", metavar="FOLDER", type=Path, nargs="?", default=Path(), help="where to write; otherwise here"
    )
    parser.add_argument(
        "--demo", action="store_true", help="write example data and rules too, so that the runs work as they are"
    )
    parser.add_argument("--model", metavar="MODEL", help="the pretrained model: a folder, or an id of the hub")


def execute(arguments: Namespace) -> int:
    """Write the configuration, with `--demo` also data and rules, and say what to do next."""
    from triune.cli.starter import BOTH, DEMO, configuration, configuration_with_rules, example_data
    from triune.files import write_whole
    from triune.models import PACKAGED

    settings = DEMO if arguments.demo else {}
    model = arguments.model or next(iter(PACKAGED))
    examples = {**example_data(), BOTH: configuration_with_rules(model).encode()} if arguments.demo else {}
    # The configuration comes last: where it is, everything is.
    files = {**examples, CONFIG: configuration(model, settings).encode()}
    _check_free(arguments.folder, list(files))
    for name, content in files.items():
        write_whole(arguments.folder / name, content)
    written = [arguments.folder / name for name in files]
    if arguments.json:
        from triune.cli.printing import print_json

        print_json({"written": [str(path) for path in written]})
    else:
        print(_next(arguments.folder, written, demo=arguments.demo))
    return 0


def _check_free(folder: Path, names: list[str]) -> None:
    """Make sure that nothing would be replaced.

    Raises:
        OutputError: something is in the way; nothing was written.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{str(folder)!r} is a file: name a folder")
    there = [str(folder / name) for name in names if (folder / name).exists()]
    if there:
        verb = "exists" if len(there) == 1 else "exist"
        raise OutputError(f"{listed(map(repr, there))} {verb}: name another folder, or move that away first")


def _next(folder: Path, written: list[Path], *, demo: bool) -> str:
    from triune.cli.starter import BOTH

    config, both = shlex.quote(str(folder / CONFIG)), shlex.quote(str(folder / BOTH))
    first = "" if demo else f"  edit {config}: name your tables and their columns\n"
    return (
        f"Written: {', '.join(map(str, written))}\n\nNext\n{first}"
        f"  triune plan {config}    checks everything and prints what would be done\n"
        f"  triune run {config}     does it"
        + (f"\n  triune run {both}     learns from few labels and from rules" if demo else "")
    )

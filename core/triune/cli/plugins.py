"""`triune plugins`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from triune.alignment import aligned
from triune.catalog import Catalog, Entry, installed
from triune.strategies import entries

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Sequence


def add_arguments(parser: ArgumentParser) -> None:
    """Add what the verb takes: nothing of its own."""


def execute(arguments: Namespace) -> int:
    """List what is installed, importing none of it."""
    catalog, strategies = installed(), entries()
    if arguments.json:
        from triune.cli.printing import print_json

        print_json(
            {
                "plugins": [asdict(entry) for entry in catalog],
                "strategies": [asdict(entry) for entry in strategies],
                "problems": list(catalog.problems),
            }
        )
    else:
        print("\n".join(listing(catalog, strategies)))
    return 0


def listing(catalog: Catalog, strategies: Sequence[Entry]) -> Iterator[str]:
    """Yield the table of plugins, with the strategies below them, and what could not be read."""
    head = ("NAME", "FAMILY", "DISTRIBUTION", "VERSION", "STATUS")
    shown = (*catalog, *strategies)
    rows = [(one.name, one.family, one.distribution, one.version, one.status) for one in shown]
    first, *lines = aligned([head, *rows])
    yield first
    for line, entry in zip(lines, shown, strict=True):
        yield line
        if entry.reason:
            yield f"  {entry.reason}"
    if not rows:
        yield "no plugin is installed: pip install --force-reinstall triune brings its own"
    for problem in catalog.problems:
        yield f"problem: {problem}"

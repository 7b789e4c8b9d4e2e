"""The command line: `triune VERB`, one module a verb, imported when it is called.

Every verb has `add_arguments(parser)` and `execute(arguments) -> exit code`. `failures` says what went wrong,
`progress` how a run is getting on; `options`, `printing`, `table_files` and `table_input` are shared.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = {
    "init": "write a commented configuration to begin with, and example data if asked for",
    "plan": "check everything that a run would do, and print it",
    "run": "fine-tune a model as a configuration says",
    "compare": "set ways of learning beside one another: from rules, from labels, from both",
    "advise": "say which strategy suits your data, by what is measured on it, with a configuration",
    "evaluate": "measure a finished run on a table with labels, or report its rules on any",
    "predict": "predict the labels of a table, or of texts from standard input",
    "explain": "say why a finished run labels a text as it does: rules, words, nearest training examples",
    "report": "draw the page of a finished run, or of a comparison, anew from the files in its folder",
    "rules": "check rules on a table before any training: where they fire, whether they are right, and agree",
    "plugins": "list the plugins that are installed, and why one is not available",
    "schema": "print the JSON Schema of a configuration, for completion in an editor",
    "doctor": "look for what is missing or slow on this machine",
}

TOGETHER = ("run", "plan")
"""What several processes do as one."""

HELP = """triune: fine-tune language models with rules, with labels, or with both.

usage: triune VERB [arguments]

{verbs}

  triune VERB --help    says what a verb takes
  triune --version      prints the version

To begin:  triune init --demo && triune run config.yaml"""


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    from triune.cli.failures import guarded

    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(words, lambda: dispatch(words))


def dispatch(words: Sequence[str]) -> int:
    """Call the verb that the first word names.

    Raises:
        TriuneError: there is no such verb, or something is wrong with what it was told.
    """
    from triune.processes import started

    verb, *rest = words or ["--help"]
    if verb in ("--help", "-h", "help"):
        width = max(map(len, VERBS))
        print(HELP.format(verbs="\n".join(f"  {name:{width}}  {summary}" for name, summary in VERBS.items())))
        return 0
    if verb == "--version":
        from triune import __version__

        print(f"triune {__version__}")
        return 0
    if verb not in VERBS:
        from triune.errors import TriuneError, nearest

        raise TriuneError(f"{verb!r} is no verb of triune; verbs: {', '.join(VERBS)}{nearest(verb, VERBS)}")
    if started() > 1 and verb not in TOGETHER:
        from triune.errors import TriuneError

        raise TriuneError(
            f"`triune {verb}` is the work of one process, and {started()} were started together: start one"
        )
    return _call(verb, rest)


def _call(verb: str, words: Sequence[str]) -> int:
    from importlib import import_module

    from triune.cli.options import Parser

    module = import_module(f"triune.cli.{verb}")
    parser = Parser(prog=f"triune {verb}", description=f"{VERBS[verb][0].upper()}{VERBS[verb][1:]}.")
    module.add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the result as one JSON document")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    code: int = module.execute(parser.parse_args(words))
    return code

"""What the command line says when something goes wrong, and the exit code it leaves with.

2 is a mistake of the user's, 1 a lack of the machine's or an error nobody foresaw; 130 and 143 are signals.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from contextlib import contextmanager, nullcontext, redirect_stdout, suppress
from typing import TYPE_CHECKING

from triune.errors import TriuneError
from triune.processes import is_known, speaks
from triune.signals import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from types import FrameType

CLOSED_PIPE = 141  # what a shell sees of a program that SIGPIPE ended


def guarded(words: Sequence[str], act: Callable[[], int]) -> int:
    """Return the exit code of an act, having said what it failed at.

    Args:
        words: the command line, which says how to report.
        act: what to do.
    """
    _never_fail_to_encode()
    try:
        with _hearing_sigterm(), _speaking():
            code = act()
            sys.stdout.flush()
            return code
    except SystemExit as leaving:  # argparse leaves so after --help
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BrokenPipeError as error:
        return _leave_quietly() if _stdout_is_closed() else report(error, words)
    except (Exception, KeyboardInterrupt) as error:
        return report(error, words)


def report(error: BaseException, words: Sequence[str]) -> int:
    """Say on standard error what went wrong; return the exit code.

    Of several processes one speaks, unless another fails so that nobody knows of it.
    """
    code = _exit_code(error)
    if not speaks() and (is_known(error) or isinstance(error, TriuneError | Interrupted)) and "--debug" not in words:
        return code
    if "--debug" in words:
        import traceback

        _say("".join(traceback.format_exception(error)).rstrip())
    if "--json" in words:
        import json

        _say(json.dumps({"error": said(error), "exit_code": code}, ensure_ascii=False))
    elif "--debug" not in words or not isinstance(error, TriuneError):
        _say(said(error))
    return code


def said(error: BaseException) -> str:
    """Return the message of an error, with the notes of those it passed through."""
    notes = [str(note) for note in getattr(error, "__notes__", ())]
    if isinstance(error, TriuneError):
        return "\n".join([str(error), *(f"  {note}" for note in notes)])
    if isinstance(error, KeyboardInterrupt):
        return "\n".join([str(error) or "interrupted", *notes])
    what = f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")
    if any("plugin" in note for note in notes):
        return (
            f"a plugin failed in a way that was not foreseen: {what} ({'; '.join(notes)})\n"
            "`--debug` shows the traceback; please report it to the authors of the plugin (`triune plugins` says whose)"
        )
    where = f" ({'; '.join(notes)})" if notes else ""
    return (
        f"triune failed in a way that was not foreseen: {what}{where}\n"
        "`--debug` shows the traceback; please report it with the configuration"
    )


def _exit_code(error: BaseException) -> int:
    if isinstance(error, TriuneError | Interrupted):
        return error.exit_code
    return 128 + signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1


def _say(text: str) -> None:
    with suppress(OSError, ValueError):  # nobody listens any more
        print(text, file=sys.stderr, flush=True)


def _speaking() -> AbstractContextManager[object]:
    """Let nothing be printed inside the block by a process that is not the one to speak."""
    return nullcontext() if speaks() else redirect_stdout(_Nowhere())


class _Nowhere(io.TextIOBase):
    """Takes any text, and leaves it unsaid."""

    def write(self, text: str) -> int:
        """Take a text."""
        return len(text)


@contextmanager
def _hearing_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as an exception, so that files are left whole; a run listens in its own way."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _never_fail_to_encode() -> None:
    """Let a terminal that cannot show a character show another, rather than end the run."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and stream.errors == "strict":
            reconfigure(errors="replace")


def _stdout_is_closed() -> bool:
    """Return whether the reader of standard output is gone: it has read enough, and nothing is wrong."""
    import select

    if not hasattr(select, "poll"):
        return True
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


def _leave_quietly() -> int:
    with suppress(OSError, ValueError):
        # Python flushes when it exits, and would complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return CLOSED_PIPE

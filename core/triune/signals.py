"""Leaving in good order: SIGTERM and SIGINT are heard, the step is finished, the run is saved, then it leaves."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop; everything up to the last step is saved."""

    def __init__(self, number: int) -> None:
        """Keep which signal asked."""
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


class Hurried(Interrupted):
    """The run was asked twice, and left amid what it did: the last checkpoint is what is saved."""


class Listener:
    """Whether somebody asked the run to stop."""

    def __init__(self, stop: Callable[[int], Interrupted] = Interrupted) -> None:
        """Hear nothing yet; `stop` makes what is raised, of the signal."""
        self.heard: int | None = None
        self._stop = stop

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Note the signal; a second one leaves at once, and saves nothing: amid a step there is no one moment.

        Raises:
            Hurried: a signal was heard before.
        """
        if self.heard is not None:
            raise Hurried(number)
        self.heard = number

    def obey(self) -> None:
        """Raise if a signal was heard.

        Raises:
            Interrupted: one was.
        """
        if self.heard is not None:
            raise self._stop(self.heard)


@contextmanager
def listening(stop: Callable[[int], Interrupted] = Interrupted) -> Iterator[Listener]:
    """Hear SIGTERM and SIGINT inside the block; outside the main thread nothing can be heard."""
    listener = Listener(stop)
    if threading.current_thread() is not threading.main_thread():
        yield listener
        return
    before = {number: signal.signal(number, listener.hear) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield listener
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

"""How a run is getting on: a bar in a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from triune.alignment import count, duration
from triune.events import Beside, Cached, Evaluated, Event, Finished, PhaseEnded, Planned, Stepped, Warned
from triune.rule_table import HEADLINES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import NoReturn, TextIO

    from tqdm import tqdm

    from triune.types import JSON, Step

EVERY = 5.0  # seconds between lines
RECENT = 50  # steps that loss and speed are averaged over
MOST_FIGURES = 4


class Display(Protocol):
    """Where progress is shown."""

    def step(self, moment: Step, state: Recent) -> None:
        """Show that a step is done."""
        ...

    def line(self, text: str) -> None:
        """Show a line."""
        ...

    def close(self) -> None:
        """Leave the terminal tidy."""
        ...


@contextmanager
def watching(stream: TextIO, clock: Callable[[], float] = time.monotonic) -> Iterator[Watch]:
    """Yield an observer that shows progress on a stream, as a bar if that is a terminal."""
    display: Display = Bar(stream) if stream.isatty() else Lines(stream, clock)
    try:
        yield Watch(display)
    finally:
        display.close()


class Watch:
    """An observer of runs that tells a display what matters."""

    def __init__(self, display: Display) -> None:
        """Show progress on a display."""
        self._display = display
        self._recent = Recent()
        self._finished = False

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if isinstance(event, Stepped):
            self._recent.add(event)
            self._display.step(event.step, self._recent)
        elif isinstance(event, Evaluated) and not self._finished:  # what follows is in the final table
            self._display.line(evaluation_line(event))
        elif isinstance(event, Finished):
            self._finished = True
            self._display.close()
            self._display.line(f"training ended after step {event.step.index}: {event.reason}; evaluating …")
        elif isinstance(event, Beside):
            self._beside(event)
        elif isinstance(event, PhaseEnded):
            self._display.line(
                f"step {event.step.index}: phase {event.phase} ended, and its best model, of step {event.best_step}, "
                "is restored"
            )
        elif isinstance(event, Cached):
            blocks, took = count(event.blocks, "frozen block"), duration(event.seconds)
            self._display.line(f"step {event.step.index}: {blocks} computed once for {event.split}, in {took}")
        elif isinstance(event, Warned):
            self._display.line(f"warning: {event.message}")
        elif isinstance(event, Planned):
            self._recent = Recent()
            self._finished = False

    def _beside(self, event: Beside) -> None:
        """Show what happens in a run beside this one as its own, under its name."""
        if isinstance(event.event, Planned):
            self._display.line(f"beside it, {event.name} …")
            self._recent, self._finished = Recent(), False
            return
        self(event.event)


class Recent:
    """The last steps, averaged."""

    def __init__(self) -> None:
        self._steps: deque[Stepped] = deque(maxlen=RECENT)

    def add(self, step: Stepped) -> None:
        """Take a step into the average."""
        self._steps.append(step)

    @property
    def losses(self) -> dict[str, float]:
        """The mean loss, and under their names the mean terms where there are several."""
        terms = list(self._steps[-1].terms)
        means = {"loss": self._mean(lambda one: one.loss)}
        if len(terms) > 1:
            means |= {name: self._mean(lambda one, name=name: one.terms.get(name, 0.0)) for name in terms}  # type: ignore[misc]
        return means

    @property
    def learning_rate(self) -> float:
        """The highest learning rate of the last step."""
        return max(self._steps[-1].learning_rates, default=0.0)

    @property
    def speed(self) -> float:
        """Examples learnt from in a second."""
        return sum(one.examples for one in self._steps) / max(sum(one.seconds for one in self._steps), 1e-9)

    def _mean(self, value: Callable[[Stepped], float]) -> float:
        return sum(map(value, self._steps)) / len(self._steps)


class Bar:
    """One bar over all steps; lines appear above it."""

    def __init__(self, stream: TextIO) -> None:
        """Draw on a terminal."""
        self._stream = stream
        self._bar: tqdm[NoReturn] | None = None

    def step(self, moment: Step, state: Recent) -> None:
        """Move the bar; how often it is redrawn, tqdm decides."""
        if self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=moment.total, initial=moment.index - 1, unit="step", file=self._stream, dynamic_ncols=True
            )
        figures = {name: f"{value:.4f}" for name, value in state.losses.items()}
        self._bar.set_postfix(
            {**figures, "lr": f"{state.learning_rate:.1e}", "examples/s": f"{state.speed:.0f}"}, refresh=False
        )
        self._bar.update()

    def line(self, text: str) -> None:
        """Print a line above the bar."""
        from tqdm import tqdm

        tqdm.write(text, file=self._stream)

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Lines:
    """A line every few seconds, for logs."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        """Print to a stream; `clock` tells seconds."""
        self._stream = stream
        self._clock = clock
        self._shown = self._begun = clock()
        self._first: int | None = None

    def step(self, moment: Step, state: Recent) -> None:
        """Print the step if the last line is old enough, or if it is the last step."""
        now = self._clock()
        if self._first is None:
            self._first, self._begun = moment.index, now
        if now - self._shown < EVERY and moment.index != moment.total:
            return
        self._shown = now
        figures = "  ".join(f"{name} {value:.4f}" for name, value in state.losses.items())
        line = (
            f"step {moment.index}/{moment.total}  {figures}  lr {state.learning_rate:.1e}  {state.speed:.0f} examples/s"
        )
        self.line(line + self._left(moment, now))

    def _left(self, moment: Step, now: float) -> str:
        done = moment.index - (self._first or 0)
        if not done or moment.index == moment.total:
            return ""
        return f"  {duration((now - self._begun) / done * (moment.total - moment.index))} left"

    def line(self, text: str) -> None:
        """Print a line at once."""
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Do nothing: lines are whole."""


def evaluation_line(event: Evaluated) -> str:
    """Return what an evaluation found, in a line."""
    figures = ", ".join(f"{name} {value:.4f}" for name, value in headlines(event.metrics).items())
    best = "  (the best so far)" if event.best else ""
    return f"{event.split} at step {event.step.index}/{event.step.total}: {figures or 'nothing measured'}{best}"


def headlines(metrics: Mapping[str, JSON]) -> dict[str, float]:
    """Return the few figures that a line has room for: the usual ones first."""
    figures = {name: value for name, value in metrics.items() if isinstance(value, float)}
    names = [*(name for name in HEADLINES if name in figures), *(name for name in figures if name not in HEADLINES)]
    return {name: figures[name] for name in names[:MOST_FIGURES]}

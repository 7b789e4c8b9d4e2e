"""Figures as inline SVG whose colours are CSS variables, so that they are right on light and on dark pages.

Text in a figure is ours alone (axes and numbers); names that data or plugins bring stand in legends of HTML.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes

    from triune.report.history import Series
    from triune.report.scoring import Calibration

COLOURS = 8
MOST_POINTS = 400
WIDTH, HEIGHT = 6.6, 2.9  # inches, of 72 points
_INK, _LINE = "#010101", "#020202"  # what stands for text and for grid lines until the SVG is made
_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": ["sans-serif"],
    "font.size": 9.5,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _LINE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": _LINE,
    "grid.linewidth": 0.6,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "lines.linewidth": 1.8,
    "figure.constrained_layout.use": True,
}
_DASHES = ("-", "--", ":", "-.")


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a legend: the name of a line, its colour (None: it has none of its own) and its dashes."""

    name: str
    colour: int | None = None
    dashed: str = ""  # an SVG dash array


@dataclass(frozen=True, slots=True)
class Figure:
    """A drawing with what stands around it.

    Attributes:
        title: what it shows.
        svg: the drawing.
        said: the same in words, for those who cannot see it.
        keys: its legend.
        note: what a reader should know of it.
    """

    title: str
    svg: str
    said: str
    keys: tuple[Key, ...] = ()
    note: str = ""


def curves(
    title: str,
    series: Mapping[str, Series],
    axis: str,
    note: str = "",
    marks: Sequence[int] = (),
) -> Figure:
    """Return values over the steps, a line each; `marks` are steps to be marked by a vertical line."""
    from matplotlib.ticker import MaxNLocator

    series = _together(series)

    def draw(axes: Axes) -> None:
        for place, one in enumerate(series.values()):
            steps, values = _thinned(one)
            marker = "o" if len(values) <= 30 else None
            axes.plot(steps, values, _DASHES[place // COLOURS % 4], color=_colour(place), marker=marker, markersize=3.5)
        for step in marks:
            axes.axvline(step, color=_INK, linewidth=1, linestyle=":")
        axes.set_xlabel("step")
        axes.set_ylabel(axis)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))

    keys = tuple(Key(name, place % COLOURS, _ARRAYS[place // COLOURS % 4]) for place, name in enumerate(series))
    said = "; ".join(_told(name, one) for name, one in series.items())
    return Figure(title, _drawn(title, draw), f"{title} over the steps. {said}.", keys, note)


_ARRAYS = ("", "6 3", "2 2", "6 2 2 2")


def reliability(title: str, found: Calibration) -> Figure:
    """Return how often what was given a probability came true, above how many decisions there were of each."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], "--", color=_INK, linewidth=1)
        most = max(one.count for one in found.bins)
        axes.bar(
            [one.confidence for one in found.bins],
            [0.25 * one.count / most for one in found.bins],
            width=0.045,
            color=_colour(1),
            alpha=0.45,
        )
        points = [one.confidence for one in found.bins], [one.right for one in found.bins]
        axes.plot(*points, "-o", color=_colour(0), markersize=5)
        axes.set_xlim(0, 1.02)
        axes.set_ylim(0, 1.04)
        axes.set_xlabel("probability given")
        axes.set_ylabel("share that came true")

    keys = (Key(f"share of {found.of} that came true", 0), Key("how many there are", 1))
    told = "; ".join(f"at {one.confidence:.2f} given, {one.right:.2f} came true ({one.count:,})" for one in found.bins)
    return Figure(title, _drawn(title, draw, height=3.4, width=4.6), f"{title}. {told}.", keys)


def spread(title: str, values: Mapping[str, Sequence[float]]) -> Figure:
    """Return the values of each name as points on a line of its own, with their mean.

    Lines have numbers, and the legend says which is whose.
    """
    from matplotlib.ticker import EngFormatter

    def draw(axes: Axes) -> None:
        for place, one in enumerate(values.values()):
            mean = sum(one) / len(one)
            axes.plot(one, [place] * len(one), "o", color=_colour(0), alpha=0.6, markersize=5, markeredgewidth=0)
            axes.plot([mean, mean], [place - 0.3, place + 0.3], "-", color=_INK, linewidth=2)
        axes.set_yticks(range(len(values)), [str(number) for number in range(1, len(values) + 1)])
        axes.set_ylim(len(values) - 0.5, -0.5)
        axes.set_xlabel(title)
        if max(max(one) for one in values.values()) >= 1e4:
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))

    told = "; ".join(f"{name}: mean {sum(one) / len(one):.4f} of {len(one)}" for name, one in values.items())
    height = 0.9 + 0.34 * len(values)
    keys = tuple(Key(name) for name in values)
    return Figure(title, _drawn(title, draw, height=height), f"{title}. {told}.", keys, "Points are seeds, bars means.")


def _together(series: Mapping[str, Series]) -> dict[str, Series]:
    """Return the series with those that are the same as one, under all their names: one would hide the other."""
    names: dict[tuple[tuple[float, ...], tuple[float, ...]], list[str]] = {}
    for name, one in series.items():
        names.setdefault((tuple(one.steps), tuple(one.values)), []).append(name)
    return {" = ".join(same): series[same[0]] for same in names.values()}


def _thinned(series: Series) -> tuple[list[float], list[float]]:
    """Return a long series as the means of as many stretches as a figure can show."""
    size = -(-len(series.values) // MOST_POINTS)
    if size <= 1:
        return series.steps, series.values
    starts = range(0, len(series.values), size)
    return (
        [_mean(series.steps[start : start + size]) for start in starts],
        [_mean(series.values[start : start + size]) for start in starts],
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _told(name: str, series: Series) -> str:
    first, last = series.values[0], series.values[-1]
    return f"{name}: from {first:.4g} at step {series.steps[0]:g} to {last:.4g} at step {series.steps[-1]:g}"


def _colour(place: int) -> str:
    return f"#0301{place % COLOURS:02x}"


def _drawn(title: str, draw: Callable[[Axes], None], width: float = WIDTH, height: float = HEIGHT) -> str:
    """Return what `draw` draws, as an SVG element whose ids no other figure of a page has."""
    from hashlib import sha256
    from io import StringIO

    import matplotlib.style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure as Canvas

    out = StringIO()
    with matplotlib.style.context(["default", {**_STYLE, "svg.hashsalt": title}]):
        figure = Canvas(figsize=(width, height))
        FigureCanvasSVG(figure)
        draw(figure.subplots())
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _themed(_with_own_ids(out.getvalue(), sha256(title.encode()).hexdigest()[:8]))


def _with_own_ids(svg: str, prefix: str) -> str:
    """Return an SVG document whose ids begin with a prefix; those that nothing refers to are left out."""
    refers = r'(href="#|url\(#)([^")]+)'
    used = {found[2] for found in re.finditer(refers, svg)}
    named = re.sub(r' id="([^"]*)"', lambda found: f' id="{prefix}-{found[1]}"' if found[1] in used else "", svg)
    return re.sub(refers, rf"\g<1>{prefix}-\g<2>", named)


def _themed(svg: str) -> str:
    """Return an SVG document as an element of a page, in the page's colours and fonts."""
    element = svg[svg.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", element, count=1)
    element = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", element, count=1)
    element = element.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
    element = re.sub(r"#0301([0-9a-f]{2})", lambda found: f"var(--s{int(found[1], 16)})", element)
    return element.replace(_INK, "var(--ink-2)").replace(_LINE, "var(--line)")

"""Text for people to read in a terminal: aligned columns, bars, sizes and times in units of theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.errors import count as count

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH = 100  # columns of a page
EIGHTHS = " ▏▎▍▌▋▊▉"


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = (), indent: str = "") -> list[str]:
    """Return rows as lines whose columns stand below one another; those numbered in `right` end together."""
    columns = max(map(len, rows), default=0)
    widths = [max(len(row[place]) for row in rows if place < len(row)) for place in range(columns)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(widths[place]) if place in right else cell.ljust(widths[place]) for place, cell in enumerate(row)
        ]
        lines.append((indent + "  ".join(cells)).rstrip())
    return lines


def shortened(text: str, most: int) -> str:
    """Return a text that fits, its middle left out where it is too long: both ends of a path say something."""
    if len(text) <= most:
        return text
    head = (most - 1) // 3
    return f"{text[:head]}…{text[len(text) - (most - 1 - head) :]}"


def wrapped(text: str, indent: str, first: str = "") -> Iterator[str]:
    """Yield a sentence as lines of a page; `first` begins the first one, and the rest hang below it."""
    from textwrap import wrap

    lines = wrap(text, WIDTH - len(indent) - len(first), break_on_hyphens=False) or [""]
    yield f"{indent}{first}{lines[0]}".rstrip()
    for line in lines[1:]:
        yield f"{indent}{' ' * len(first)}{line}"


def bar(share: float, width: int) -> str:
    """Return a bar that fills a share, in [0, 1], of a width; what is not nothing shows."""
    eighths = max(round(share * width * 8), int(share > 0))
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def size(count: float) -> str:
    """Return a number of bytes in a unit that fits: "85.2 MiB"."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def duration(seconds: float) -> str:
    """Return seconds as one says them: "45 s", "3 min 05 s", "2 h 07 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"

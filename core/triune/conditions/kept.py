"""Groundings kept on disk, so that the second run over a table asks no condition again.

They are found by what they depend on: the conditions, the cells that those read, and the code that reads them. What
runs other people's Python is asked every time. The folder is the user's cache folder, or `TRIUNE_CACHE`;
`TRIUNE_CACHE=off` keeps nothing. The oldest go once there is too much.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from datetime import date
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from triune.conditions.truth import Grounding
from triune.conditions.view import parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from triune.conditions.view import View

WORTH = 100_000
"""Answers of one table, conditions times examples, from which on keeping them is quicker than asking again."""

LIMIT = 2**28
"""Bytes that are kept at most."""

PLAIN = (str, int, float, bool, type(None), date)
"""Cells whose `repr` says all about them."""


@runtime_checkable
class Lasting(Protocol):
    """A condition whose answer depends on nothing but how it is written and the cells that it reads."""

    @property
    def reads(self) -> tuple[str | None, ...]:
        """The columns that it reads itself, None for the text."""
        ...

    @property
    def timed(self) -> bool:
        """Whether it may give up on an example because of the time that it takes."""
        ...


def folder() -> Path | None:
    """Return where groundings are kept, None where they are not."""
    said = os.environ.get("TRIUNE_CACHE", "")
    if said.lower() == "off":
        return None
    return Path(said or _users_cache() / "triune").expanduser() / "groundings"


def recall(view: View, conditions: Iterable[object]) -> Path | None:
    """Tell a view what is kept of its conditions; return where their answers are to be kept if they are not."""
    asked, where = _lasting(conditions), folder()
    if where is None or len(asked) * len(view) < WORTH:
        return None
    key = _key(view, asked)
    if key is None:
        return None
    path = where / f"{key}.npz"
    known = _read(path, len(asked), len(view))
    if known is None:
        return path
    for condition, grounding in zip(asked, known, strict=True):
        view.know(condition, grounding)
    with suppress(OSError):
        path.touch()  # the oldest go first
    return None


def keep(path: Path, view: View, conditions: Iterable[object]) -> None:
    """Write the answers of a view, whole or not at all. Where the disk refuses, nothing is kept."""
    asked = _lasting(conditions)
    answers = [view.ask(one) for one in asked]
    if any(_timed(one) and answer.abstains.any() for one, answer in zip(asked, answers, strict=True)):
        return  # on a quieter machine it may be answered
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, answers)
        _make_room(path.parent)


def _lasting(conditions: Iterable[object]) -> list[object]:
    """Return the distinct conditions that are ours, all the way down, and last, ordered by how they are written."""
    distinct: dict[str, object] = {}
    for condition in conditions:
        own = [type(part).__module__.startswith("triune.conditions.") for part in parts(condition)]
        if all(own) and all(isinstance(part, Lasting) for part in parts(condition)):
            distinct.setdefault(repr(condition), condition)
    return [distinct[written] for written in sorted(distinct)]


def _timed(condition: object) -> bool:
    return any(isinstance(part, Lasting) and part.timed for part in parts(condition))


def _key(view: View, conditions: Sequence[object]) -> str | None:
    """Return what names the answers, None where cells cannot be told apart or are not there."""
    names = {name for one in conditions for part in parts(one) if isinstance(part, Lasting) for name in part.reads}
    columns = sorted({view.roles["text"] if name is None else name for name in names})
    hashed = sha256(_code().encode())
    hashed.update(json.dumps([list(map(repr, conditions)), columns, dict(view.roles), len(view)]).encode())
    for name in columns:
        if name not in view.examples.columns:
            return None
        cells = view.examples[name].tolist()
        if not all(isinstance(cell, PLAIN) for cell in cells):
            return None
        hashed.update("\n".join(map(repr, cells)).encode())
    return hashed.hexdigest()


@cache
def _code() -> str:
    """Return the hash of what reads cells: this package, and the package of its regular expressions."""
    from importlib.metadata import version

    files = sorted(Path(__file__).parent.glob("*.py"))
    read = b"".join(file.name.encode() + file.read_bytes() for file in files)
    return sha256(read + f"{version('regex')} {sys.version}".encode()).hexdigest()


def _read(path: Path, conditions: int, examples: int) -> list[Grounding] | None:
    """Return the groundings of a file, None where there is none or it is not whole."""
    import zipfile

    import numpy as np

    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            bits = np.unpackbits(kept["bits"], axis=-1, count=examples).astype(np.bool_)
            reasons = json.loads(kept["reasons"].tobytes().decode())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    if bits.shape != (2, conditions, examples) or len(reasons) != conditions:
        return None
    return [Grounding(*one) for one in zip(bits[0], bits[1], reasons, strict=True)]


def _write(path: Path, answers: Sequence[Grounding]) -> None:
    import numpy as np

    bits = np.packbits([[one.fires for one in answers], [one.abstains for one in answers]], axis=-1)
    reasons = np.frombuffer(json.dumps([one.reason for one in answers]).encode(), dtype=np.uint8)
    with NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
        part = Path(file.name)
        try:
            np.savez(file, bits=bits, reasons=reasons)
            file.close()
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _make_room(where: Path) -> None:
    """Remove the oldest until all is within the limit; another process may do the same."""
    found = sorted(((file.stat().st_mtime, file.stat().st_size, file) for file in where.iterdir()), reverse=True)
    total = 0
    for _, size, file in found:
        total += size
        if total > LIMIT:
            file.unlink(missing_ok=True)


def _users_cache() -> Path:
    if sys.platform == "darwin":
        return Path("~/Library/Caches")
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or "~/AppData/Local")
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")

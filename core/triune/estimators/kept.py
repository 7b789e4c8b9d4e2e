"""The files of a fitted model, in memory: they can be pickled, and are unpacked where they are needed."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from triune.folder import FACTS, MODEL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pandas as pd

    from triune.reopened import Predictor


@dataclass(eq=False)
class Kept:
    """What predictions of a finished run need, by the path inside its folder."""

    files: Mapping[str, bytes]
    _unpacked: Path | None = field(default=None, repr=False)
    _open: Predictor | None = field(default=None, repr=False)

    @classmethod
    def of(cls, folder: Path) -> Kept:
        """Return the files of a run."""
        return cls({path.relative_to(folder).as_posix(): path.read_bytes() for path in _needed(folder)})

    @property
    def folder(self) -> Path:
        """The folder that holds the files; it is gone when nothing holds this object any more."""
        if self._unpacked is None:
            self._unpacked = Path(tempfile.mkdtemp(prefix="triune-"))
            weakref.finalize(self, shutil.rmtree, self._unpacked, ignore_errors=True)
            self.write(self._unpacked)
        return self._unpacked

    def predicted(self, table: pd.DataFrame, plugins: Mapping[str, object]) -> pd.DataFrame:
        """Return the predictions for a table; the model stays loaded for the next one with the same plugins."""
        from triune.reopened import Predictor

        # a local name: another thread may put its own in the place meanwhile
        predictor = self._open
        if predictor is None or predictor.plugins != plugins:
            predictor = self._open = Predictor(self.folder, plugins)
        return predictor.predicted(table).predictions.drop(columns="gold")

    def write(self, folder: Path) -> None:
        """Write the files into a folder."""
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def __getstate__(self) -> dict[str, object]:
        """Leave out where the files are unpacked, and the model that is loaded."""
        return {"files": dict(self.files)}

    def __setstate__(self, state: Mapping[str, object]) -> None:
        """Take the files, unpacked nowhere and not loaded."""
        self.files = state["files"]  # type: ignore[assignment]
        self._unpacked = self._open = None


def _needed(folder: Path) -> Iterator[Path]:
    yield folder / FACTS
    yield from (path for path in sorted((folder / MODEL).rglob("*")) if path.is_file())

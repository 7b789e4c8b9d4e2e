"""The streams of a whole table, in memory or in a file that is mapped into it, and a few of them as a padded batch."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch  # noqa: TID253 - this module is torch
from torch import Tensor  # noqa: TID253

from triune.files import sha256_of, whole_folder, write_json, writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from triune.types import JSON

VALUES, MANIFEST = "values.bin", "manifest.json"


@dataclass(frozen=True, slots=True)
class Shape:
    """How the streams of a table lie in one flat array.

    Attributes:
        starts: (examples + 1,) where each example's vectors begin.
        features: numbers of a vector.
        dtype: of these numbers.
    """

    starts: NDArray[np.int64]
    features: int
    dtype: torch.dtype

    @property
    def rows(self) -> int:
        """How many vectors there are, with one of zeros behind them, which pads."""
        return int(self.starts[-1]) + 1

    @property
    def nbytes(self) -> int:
        """How many bytes they take."""
        return self.rows * self.features * self.dtype.itemsize

    def places(self, rows: NDArray[np.int64], width: int) -> NDArray[np.int64]:
        """Return (len(rows), width) where the vectors of some examples lie, padded with the one of zeros."""
        import numpy as np

        places = self.starts[rows, None] + np.arange(width)
        places[places >= self.starts[rows + 1, None]] = self.rows - 1
        return places


@dataclass(frozen=True, slots=True, eq=False)
class Streams:
    """The streams of a table."""

    shape: Shape
    values: Tensor  # (rows, features)

    def padded(self, rows: NDArray[np.int64], width: int) -> Tensor:
        """Return (len(rows), width, features) the streams of some examples, zero behind their ends."""
        places = torch.from_numpy(self.shape.places(rows, width).reshape(-1))
        return self.values.index_select(0, places).view(len(rows), width, self.shape.features)

    def put(self, rows: NDArray[np.int64], streams: Tensor) -> None:
        """Take (len(rows), width, features) streams of some examples; what pads them is left."""
        places = torch.from_numpy(self.shape.places(rows, streams.shape[1]).reshape(-1))
        inside = places < self.shape.rows - 1
        flat = streams.reshape(-1, self.shape.features)[inside.to(streams.device)]
        self.values.index_copy_(0, places[inside], flat.to(self.values.device))


def in_memory(shape: Shape) -> Streams:
    """Return room for streams in memory."""
    values = torch.empty(shape.rows, shape.features, dtype=shape.dtype)
    values[-1] = 0
    return Streams(shape, values)


@contextmanager
def new_on_disk(folder: Path, shape: Shape, key: str) -> Iterator[Streams]:
    """Yield room for streams in a folder, which is there, whole, when the block ends without an error.

    Raises:
        EnvironmentProblem: the disk is full or broken.
    """
    with whole_folder(folder) as place, writing(folder):
        _reserve(place / VALUES, shape.nbytes)
        streams = _mapped(place / VALUES, shape, shared=True)
        streams.values[-1] = 0
        yield streams
        write_json(place / MANIFEST, _manifest(key, shape, sha256_of(place / VALUES)))


def is_on_disk(folder: Path, shape: Shape, key: str) -> bool:
    """Return whether a folder holds the streams of a key, as they were written."""
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
        # the key first: what is stale need not be read
        same = found["key"] == key
        return bool(same and found == _manifest(key, shape, sha256_of(folder / VALUES)))
    except (OSError, ValueError, LookupError, TypeError):
        return False


def from_disk(folder: Path, shape: Shape) -> Streams:
    """Return the streams of a folder, mapped into memory."""
    return _mapped(folder / VALUES, shape, shared=False)


def _manifest(key: str, shape: Shape, digest: str) -> dict[str, JSON]:
    return {"key": key, "bytes": shape.nbytes, "sha256": digest}


def _reserve(path: Path, size: int) -> None:
    """Make a file of a size: a disk that is full says so here, and not by a signal while the map is written to."""
    with path.open("xb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)


def _mapped(path: Path, shape: Shape, *, shared: bool) -> Streams:
    values = torch.from_file(str(path), shared=shared, size=shape.rows * shape.features, dtype=shape.dtype)
    return Streams(shape, values.view(shape.rows, shape.features))

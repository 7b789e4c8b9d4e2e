"""A comparison as its caller holds it: frames of runs, arms, differences and winners."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from triune.comparing.jobs import RESULT, place_of
from triune.errors import CheckpointError, OutputError
from triune.folder import Folder
from triune.result import Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from triune.types import JSON


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several ways of learning, compared; `comparison.json` in the folder is `facts`.

    Attributes:
        folder: where the runs lie.
        facts: all of it as plain values: "metric", "split", "seeds", "budget", "arms", "left_out", "failures",
            "runs", "summary", "pairs", "winners", "notes".
    """

    folder: Path
    facts: Mapping[str, JSON]

    @classmethod
    def read(cls, folder: str | Path) -> Comparison:
        """Return a comparison that was made before.

        Raises:
            OutputError: the folder holds none.
            CheckpointError: it cannot be read.
        """
        path = Path(folder) / RESULT
        if not path.is_file():
            raise OutputError(f"{str(folder)!r} holds no comparison: it has no {RESULT}; `triune compare` writes one")
        try:
            return cls(Path(folder), json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{path}: cannot be read ({error}): compare again") from error

    @property
    def metric(self) -> str:
        """The metric that decides."""
        return str(self.facts["metric"])

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that every arm was done with."""
        return tuple(cast("list[int]", self.facts["seeds"]))

    @property
    def left_out(self) -> Mapping[str, str]:
        """Why arms did not take part, by their names."""
        return cast("Mapping[str, str]", self.facts["left_out"])

    @property
    def failures(self) -> pd.DataFrame:
        """What failed, one run a row: "arm", "seed", "error"."""
        return self._frame("failures", ("arm", "seed", "error"))

    @property
    def runs(self) -> pd.DataFrame:
        """One finished run a row: arm, family, seed, every metric, broken rules, parameters, seconds, memory."""
        return self._frame("runs")

    @property
    def summary(self) -> pd.DataFrame:
        """One arm a row: means over the seeds, and with `_spread` their standard deviations."""
        return self._frame("summary")

    @property
    def pairs(self) -> pd.DataFrame:
        """One pair of arms a row: their difference, its interval, and p values, also corrected (Holm)."""
        return self._frame("pairs")

    @property
    def winners(self) -> pd.DataFrame:
        """One constraint a row: who wins under it."""
        return self._frame("winners")

    def result(self, arm: str, seed: int) -> Result:
        """Return one of the runs.

        Raises:
            OutputError: there is no such run, or it is not finished.
        """
        folder = Folder(place_of(self.folder, arm, seed))
        facts = folder.facts()
        return Result(folder.path, folder.metrics(), facts)

    def _frame(self, name: str, columns: tuple[str, ...] | None = None) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(cast("list[dict[str, object]]", self.facts[name]), columns=columns)

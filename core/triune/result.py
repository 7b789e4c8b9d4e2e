"""A finished run as its caller holds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune.folder import HISTORY, MODEL, REPORT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pandas as pd

    from triune.types import JSON


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run."""

    folder: Path
    metrics: Mapping[str, JSON]
    facts: Mapping[str, JSON]

    @property
    def history(self) -> pd.DataFrame:
        """Every step and evaluation, one a row."""
        import pandas as pd

        return pd.read_json(self.folder / HISTORY, lines=True)

    @property
    def model(self) -> Path:
        """The folder that `transformers` loads."""
        return self.folder / MODEL

    @property
    def report(self) -> Path:
        """The page to look at the run with, in a browser; `training.report: off` leaves it out."""
        return self.folder / REPORT

"""Advice as its caller holds it: what is recommended, a configuration of it, and frames of what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from triune.advising.findings import FORECASTS, RULES, SUSPECTS, WAYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from triune.settings import Family
    from triune.types import JSON


@dataclass(frozen=True, slots=True)
class Advice:
    """Which strategy suits some data.

    Attributes:
        family: what it is best to learn from.
        strategy: the installed strategy of that family.
        config: its configuration, as `triune.run` and `triune.compare` take it; a frame is passed again as `data`, and
            rules that were no file as a plugin called "given" whose hook `rules` returns them.
        yaml: the same as a file, for a folder that was asked for.
        facts: all that was measured as plain values: "recommended", "texts", "classes", "ways", "labels",
            "more_labels", "more_rules", "rules", "votes", "suspicious".
    """

    family: Family
    strategy: str
    config: Mapping[str, object]
    yaml: str
    facts: Mapping[str, JSON]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, in sentences."""
        return tuple(cast("list[str]", self._recommended["reasons"]))

    @property
    def ties(self) -> tuple[str, ...]:
        """The families that measure alike."""
        return tuple(cast("list[str]", self._recommended["ties"]))

    @property
    def classes(self) -> pd.DataFrame:
        """One label a row: labels, their share, rules that vote for it, how often held-out ones are recognised."""
        return self._frame("classes")

    @property
    def ways(self) -> pd.DataFrame:
        """One way of learning a row: family, score on held-out labels with its error, and against labels alone."""
        return self._frame("ways", WAYS)

    @property
    def more_labels(self) -> pd.DataFrame:
        """One count of labels a row: what was measured with fewer, and what is forecast with more."""
        return self._frame("more_labels", FORECASTS)

    @property
    def rules(self) -> pd.DataFrame:
        """One rule a row: where it fires, how right it is, whether it is likely wrong."""
        return self._frame("rules", RULES)

    @property
    def suspicious(self) -> pd.DataFrame:
        """One label a row that rules and a model that did not see it agree against."""
        return self._frame("suspicious", SUSPECTS)

    @property
    def _recommended(self) -> Mapping[str, JSON]:
        return cast("Mapping[str, JSON]", self.facts["recommended"])

    def _frame(self, name: str, columns: tuple[str, ...] | None = None) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame(cast("list[dict[str, object]]", self.facts[name]), columns=columns)

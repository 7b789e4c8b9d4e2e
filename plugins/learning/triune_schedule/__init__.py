"""Schedule: which parameters train and when, read from a file that `triune plan --write-schedule` wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from triune import ParameterClaim, hookimpl
from triune.config import InputPath

if TYPE_CHECKING:
    from collections.abc import Iterable


class Schedule:
    """Train as a file of claims says."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Settings of the method."""

        path: InputPath = Field(description="The file: YAML or JSON, as `triune plan --write-schedule` writes it.")

    def __init__(self, config: Config) -> None:
        from triune.schedule_file import read

        self.config = config
        self.claims = read(config.path)

    @hookimpl
    def claim_parameters(self) -> Iterable[ParameterClaim]:
        """Contribute the claims of the file."""
        return self.claims

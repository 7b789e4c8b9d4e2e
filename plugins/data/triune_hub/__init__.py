"""The data plugin `hub`: a data set of the Hugging Face `datasets` library, from the hub, its cache or a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from triune import hookimpl
from triune.tables import Columns, assembled

if TYPE_CHECKING:
    from triune import Run
    from triune.data import Data


class Splits(BaseModel, frozen=True, extra="forbid"):
    """Which split of the data set is which table of the run."""

    train: str = Field("train", description="The split to learn from.")
    valid: str | None = Field(
        None, description="The split that chooses the best model; null: 'validation' if it exists."
    )
    test: str | None = Field(None, description="The split that is only evaluated; null: 'test' if it exists.")
    unlabelled: str | None = Field(None, description="A split whose labels are not read, for rules to speak of.")


class Hub:
    """Read the tables of a run through `datasets`; class numbers become class names."""

    class Config(Columns, frozen=True, extra="forbid"):
        """Which data set and splits, and which column means what."""

        path: str = Field(min_length=1, description="Id on the hub, or a folder: saved by datasets, or of data files.")
        subset: str | None = Field(None, description="Configuration of the data set: 'sst2' of 'nyu-mll/glue'.")
        splits: Splits = Field(Splits(), description="Which split is which table.")

    def __init__(self, config: Config) -> None:
        self.config = config

    @hookimpl
    def load_data(self, run: Run) -> Data:
        """Return the tables of the data set."""
        from triune_hub.loading import loaded, tables

        config = self.config
        frames, sources = tables(loaded(config.path, config.subset, run.folder), config.splits, config.path)
        return assembled(config, frames, sources)

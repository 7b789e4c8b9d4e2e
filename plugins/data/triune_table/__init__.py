"""The data plugin `table`: CSV, TSV, JSONL and Parquet files, or frames passed from Python."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from triune import hookimpl
from triune.config import InputPath  # noqa: TC001 - pydantic reads the annotation
from triune.data import SPLITS, Data, Source
from triune.errors import DataError
from triune.reading import known_encoding
from triune.tables import Columns, assembled, checked_frames, framed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from triune import Run


class Table:
    """Read the tables of a run from files, text as text; or take them from Python as frames."""

    class Config(Columns, frozen=True, extra="forbid"):
        """Which files, how they are written, and which column means what."""

        train: InputPath | None = Field(None, description="The table to learn from; needed unless a frame is passed.")
        valid: InputPath | None = Field(None, description="The table that chooses the best model.")
        test: InputPath | None = Field(None, description="The table that is only evaluated.")
        unlabelled: InputPath | None = Field(None, description="Texts without labels, for rules to speak of.")
        format: Literal["auto", "csv", "tsv", "jsonl", "parquet"] = Field(
            "auto", description="How the files are written; auto: by their names. gzip is seen by itself."
        )
        encoding: str = Field("utf-8", description="The encoding of text files: utf-8, cp1252, latin-1, utf-16, …")
        quote: str | None = Field(
            '"', min_length=1, max_length=1, description="What quotes a cell of CSV and TSV; null: nothing does."
        )

        @field_validator("encoding")
        @classmethod
        def _is_known(cls, encoding: str) -> str:
            return known_encoding(encoding)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.frames: dict[str, pd.DataFrame] = {}

    def use_frames(self, frames: Mapping[str, pd.DataFrame]) -> None:
        """Take tables from Python, by split; each stands in for the file of that split.

        Raises:
            DataError: a name is no split, or a value no frame.
        """
        self.frames = checked_frames(frames)

    def reading(self, source: str | Path | pd.DataFrame) -> Table:
        """Return a plugin that brings one file or frame as the test table, its columns named as in this one.

        A file whose name tells its format is read by that; any other is read as this plugin's own.
        """
        from triune_table.files import told_format

        files: dict[str, Path | None] = dict.fromkeys(SPLITS)
        if isinstance(source, str | Path):
            form = "auto" if told_format(Path(source)) else self.config.format
            return Table(self.config.model_copy(update={**files, "test": Path(source), "format": form}))
        one = Table(self.config.model_copy(update=files))
        one.use_frames({"test": source})
        return one

    @hookimpl
    def load_data(self, run: Run) -> Data:
        """Return the tables; of a finished run that is opened again with frames, these alone."""
        from triune.reading import described
        from triune_table.files import read

        files = {split: getattr(self.config, split) for split in SPLITS if split not in self.frames}
        if run.finished is not None and self.frames:
            files = {}
        if run.finished is None and "train" not in self.frames and files["train"] is None:
            raise DataError(
                "data.train: no training table is given; name a file as data.train, "
                "or pass a frame: triune.run(config, data={'train': frame})"
            )
        tables: dict[str, pd.DataFrame] = {}
        sources: dict[str, Source] = {}
        problems: list[str] = []
        for split in SPLITS:
            try:
                if split in self.frames:
                    tables[split], sources[split] = framed(split, self.frames[split])
                elif files.get(split) is not None:
                    place = described(files[split], run.folder)
                    tables[split], sources[split] = read(files[split], place, self.config)
            except DataError as error:
                problems.append(str(error))
        if problems:
            raise DataError("\n".join(problems))
        return assembled(self.config, tables, sources)

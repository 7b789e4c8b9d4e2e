"""The data plugin `conll`: files with a token a line and a blank line between sentences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, Field, field_validator, model_validator

from triune import hookimpl
from triune.config import InputPath
from triune.data import SPLITS, Data, Source
from triune.errors import DataError, listed, nearest
from triune.reading import known_encoding
from triune.tables import Columns, assembled, checked_frames, framed

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from triune import Run


class Conll:
    """Read the tables of a run from CoNLL files: columns of tokens, of tags, of more (Tjong Kim Sang 2002)."""

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Which files, and which of their columns are the tokens and the tags."""

        train: InputPath | None = Field(None, description="The file to learn from; needed unless a frame is passed.")
        valid: InputPath | None = Field(None, description="The file that chooses the best model.")
        test: InputPath | None = Field(None, description="The file that is only evaluated.")
        unlabelled: InputPath | None = Field(None, description="Sentences whose tags are not read.")
        tokens: int | str = Field(
            0, description="Column of the tokens: its number from 0, from the last below 0, or its name in `columns`."
        )
        tags: int | str = Field(-1, description="Column of the tags, told likewise.")
        columns: tuple[str, ...] | None = Field(
            None,
            min_length=1,
            description="Names of the columns, from the first. null: 'tokens', 'tags', 'column 2', …",
        )
        separator: str | None = Field(
            None, min_length=1, description="What parts columns. null: tabs in a file that has any, else blanks."
        )
        comment: str | None = Field(
            "#",
            min_length=1,
            description="What a comment begins with: such a line is one unless it has as many columns as tokens have "
            "and does not go on `name = value`. null: there are none.",
        )
        encoding: str = Field("utf-8", description="The encoding of the files: utf-8, cp1252, latin-1, utf-16, …")

        @field_validator("encoding")
        @classmethod
        def _is_known(cls, encoding: str) -> str:
            return known_encoding(encoding)

        @model_validator(mode="after")
        def _columns_are_named(self) -> Self:
            names = self.columns or ()
            twice = [name for name in names if names.count(name) > 1]
            if twice:
                raise ValueError(f"columns names {twice[0]!r} twice; give each column its own name")
            for key, column in (("tokens", self.tokens), ("tags", self.tags)):
                if isinstance(column, str) and column not in names:
                    raise ValueError(
                        f"{key} is {column!r}, which columns does not name; columns: {listed(names) or 'none'}"
                        f"{nearest(column, names)}"
                    )
            return self

    def __init__(self, config: Config) -> None:
        self.config = config
        self.frames: dict[str, pd.DataFrame] = {}

    def use_frames(self, frames: Mapping[str, pd.DataFrame]) -> None:
        """Take tables from Python, by split, with lists of tokens and tags; each stands in for the file of that split.

        Raises:
            DataError: a name is no split, or a value no frame.
        """
        self.frames = checked_frames(frames)

    def reading(self, source: str | Path | pd.DataFrame) -> Conll:
        """Return a plugin that brings one file or frame as the test table, its columns told as in this one."""
        files: dict[str, Path | None] = dict.fromkeys(SPLITS)
        if isinstance(source, str | Path):
            return Conll(self.config.model_copy(update={**files, "test": Path(source)}))
        one = Conll(self.config.model_copy(update=files))
        one.use_frames({"test": source})
        return one

    @hookimpl
    def load_data(self, run: Run) -> Data:
        """Return the tables; of a finished run that is opened again with frames, these alone."""
        from triune_conll.sentences import names_of, read

        files = {split: getattr(self.config, split) for split in SPLITS if split not in self.frames}
        if run.finished is not None and self.frames:
            files = {}
        if run.finished is None and "train" not in self.frames and files["train"] is None:
            raise DataError(
                "data.train: no training file is given; name one as data.train, "
                "or pass a frame: triune.run(config, data={'train': frame})"
            )
        tables: dict[str, pd.DataFrame] = {split: framed(split, frame)[0] for split, frame in self.frames.items()}
        sources: dict[str, Source] = {split: framed(split, frame)[1] for split, frame in self.frames.items()}
        problems: list[str] = []
        for split, path in files.items():
            if path is not None:
                try:
                    tables[split], sources[split] = read(path, run.folder, self.config, tagged=split == "train")
                except DataError as error:
                    problems.append(str(error))
        if problems:
            raise DataError("\n".join(problems))
        tokens, tags = names_of(self.config)
        return assembled(Columns(text=tokens, label=tags), tables, sources)

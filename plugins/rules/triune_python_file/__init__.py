"""The rule plugin `python-file`: rules from a Python file of one's own, without packaging."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field

from triune import hookimpl
from triune.config import InputPath

if TYPE_CHECKING:
    from triune import Rule


class PythonFile:
    """Read rules from a Python file: every `Rule` that stands in it, most of them functions under `@triune.rule`."""

    reads: ClassVar[tuple[str, ...]] = (".py",)

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Which file."""

        path: InputPath = Field(description="The Python file; it is run once when the run starts.")

    def __init__(self, config: Config) -> None:
        from triune_python_file.reading import read

        self.config = config
        self.read = read(config.path)

    @hookimpl
    def rules(self) -> tuple[Rule, ...]:
        """Contribute the rules of the file, in its order."""
        return self.read

"""The rule plugin `rule-file`: rules in the reader's words, from a YAML or JSON file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, Field

from triune import hookimpl
from triune.config import InputPath

if TYPE_CHECKING:
    from triune import Rule


class RuleFile:
    """Read rules from a file, each with the place where it stands."""

    reads: ClassVar[tuple[str, ...]] = (".yaml", ".yml", ".json")

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Which file, and which of its rules."""

        path: InputPath = Field(description="The file of rules, YAML or JSON.")
        only: tuple[str, ...] = Field((), description="Tags: only rules that have one of them. Empty: all rules.")
        without: tuple[str, ...] = Field((), description="Tags: no rules that have one of them.")
        confidence: float = Field(
            1.0, gt=0, le=1, description="The confidence of rules that say neither `confidence` nor `hard`."
        )

    def __init__(self, config: Config) -> None:
        from triune_rule_file.reading import chosen, read

        self.config = config
        self.read = chosen(read(config.path, config.confidence), config.only, config.without)

    @hookimpl
    def rules(self) -> tuple[Rule, ...]:
        """Contribute the rules of the file, in its order."""
        return self.read

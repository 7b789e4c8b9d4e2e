"""The method `weak-labels`: rules vote, a label model makes labels of votes, unlabelled text becomes training data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, Field

from triune import hookimpl
from triune.config import InputPath
from triune.errors import OutputError, PlanError, count, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

    from triune import GroundedRules, Run
    from triune.spaces import OutputSpace
    from triune.types import RuleLabels
    from triune_weak_labels.votes import Votes


class WeakLabels:
    """Label examples by the votes of rules (Ratner et al. 2016; Dawid & Skene 1979)."""

    writes = ("export_votes",)

    class Config(BaseModel, frozen=True, extra="forbid"):
        """Which label model, and what is done with what it says."""

        model: Literal["best", "majority", "weighted", "dawid-skene", "one-coin"] = Field(
            "best", description="What makes labels of votes. best: majority vote, unless labels show another better."
        )
        hard: bool = Field(False, description="Learn the most probable label instead of the probabilities.")
        min_confidence: float = Field(
            0.0, ge=0, lt=1, description="Examples whose most probable label is less probable stay unlabelled."
        )
        smoothing: float = Field(
            0.01, ge=0, allow_inf_nan=False, description="For dawid-skene: added to each count of a rule's answers."
        )
        silent_tokens: Literal["outside", "unlabelled"] = Field(
            "outside",
            description="Of tasks that tag tokens: what a token is on which no rule speaks, in an example that some "
            "rule speaks of: O, or without a label.",
        )
        import_votes: InputPath | None = Field(
            None, description="A WRENCH file whose votes join those of the rules, by text; label.json beside it."
        )
        export_votes: InputPath | None = Field(
            None, description="Where the votes are written when training has ended, as a WRENCH file."
        )

    def __init__(self, config: Config) -> None:
        self.config = config
        self.written: tuple[Votes, Sequence[str], NDArray[np.int64]] | None = None

    @hookimpl
    def label_examples(
        self,
        run: Run,
        rules: GroundedRules,
        examples: pd.DataFrame,
        roles: Mapping[str, str],
        space: OutputSpace,
        gold: pd.DataFrame,
    ) -> RuleLabels:
        """Decide a probability of each label for every example that a rule speaks of.

        Raises:
            PlanError: several labels may hold at once, or there is nothing that votes.
            DataError: the file of votes cannot be used.
        """
        import numpy as np
        import pandas as pd

        from triune.types import RuleLabels
        from triune_weak_labels.choosing import chosen
        from triune_weak_labels.reporting import summary
        from triune_weak_labels.tokens import outside
        from triune_weak_labels.votes import gold_places
        from triune_weak_labels.voting import decided

        if space.kind == "binaries":
            raise PlanError(["weak-labels: votes decide one label of several, and here several may hold at once"])
        texts = examples[roles["text"]].tolist()
        tags = space.kind == "tags"
        votes, notes = self.votes_on_tokens(rules, space, texts) if tags else self.votes(rules, space, texts)
        known = gold_places({label: gold[label].to_numpy() for label in space.labels}, space.labels)
        self.written = None if tags else (votes, texts, known)
        one = chosen(votes, self.config.model, known, self.config.smoothing)
        generator = run.generators.numpy("weak-labels")
        found = one.probabilities
        if self.config.hard:
            found = np.eye(len(space.labels))[decided(found, generator)]
        spoken = votes.spoken
        if tags and self.config.silent_tokens == "outside":
            spoken = outside(found, spoken, space.labels, np.asarray([len(text) for text in texts], dtype=np.int64))
        unlikely = votes.spoken & (one.probabilities.max(axis=1) < self.config.min_confidence)
        found = np.where((~spoken | unlikely)[:, None], np.nan, found)
        unsure = int(unlikely.sum())
        if unsure:
            stays = f"{count(unsure, 'example')} {'stays' if unsure == 1 else 'stay'} unlabelled"
            notes.append(f"{stays}, being less sure than {self.config.min_confidence:g}")
        said = [*notes, *one.notes, *summary(votes, one, known, generator)]
        table = pd.DataFrame(found, index=gold.index, columns=list(space.labels))
        return RuleLabels(table, tuple(f"weak-labels: {note}" for note in said))

    def votes(self, rules: GroundedRules, space: OutputSpace, texts: Sequence[str]) -> tuple[Votes, list[str]]:
        """Return the votes of rules and of the file of votes, and what was left out."""
        from triune_weak_labels.exchange import read_wrench
        from triune_weak_labels.votes import together, votes_of

        votes, mute = votes_of(rules, space.labels)
        notes = []
        if mute:
            notes.append(
                f"left out, as they say nothing of a single label: rules {listed(repr(one.name) for one in mute)}"
            )
        if self.config.import_votes is not None:
            imported, matched = read_wrench(self.config.import_votes, space.labels, texts)
            votes = together(votes, imported)
            notes.append(
                f"{count(len(imported.names), 'rule')} of {self.config.import_votes} voted on {matched} of "
                f"{count(len(texts), 'text')}"
            )
        if not votes.names:
            raise PlanError(
                ["weak-labels: no rule votes for a label: name rules under rules, or a file of votes as import_votes"]
            )
        return votes, notes

    def votes_on_tokens(
        self, rules: GroundedRules, space: OutputSpace, texts: Sequence[Sequence[str]]
    ) -> tuple[Votes, list[str]]:
        """Return the votes of rules on tokens, laid end to end, and what was left out."""
        import numpy as np

        from triune_weak_labels.tokens import token_votes

        files = [name for name in ("import_votes", "export_votes") if getattr(self.config, name) is not None]
        if files:
            raise PlanError(
                [f"weak-labels: {files[0]}: files of votes have one vote an example, and this task tags tokens"]
            )
        votes, mute = token_votes(rules, space.labels, np.asarray([len(text) for text in texts], dtype=np.int64))
        if not votes.names:
            raise PlanError(
                ["weak-labels: no rule speaks of tokens: write some with token, token_regex or span_regex as 'when'"]
            )
        left = f"left out, as they speak of no single token: rules {listed(repr(one.name) for one in mute)}"
        return votes, [left] if mute else []

    @hookimpl
    def export(self) -> None:
        """Write the votes, if they are wanted.

        Raises:
            OutputError: they cannot be written there.
        """
        from triune_weak_labels.exchange import write_wrench

        if self.config.export_votes is None or self.written is None:
            return
        path = Path(self.config.export_votes)
        try:
            write_wrench(path, *self.written)
        except OSError as error:
            raise OutputError(f"{path}: the votes cannot be written ({error.strerror}): name another place") from error

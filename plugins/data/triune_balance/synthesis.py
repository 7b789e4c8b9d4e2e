"""New texts of a class out of its own: two of them spliced, or words of one swapped and left out.

Swap and deletion are those of Wei & Zou 2019, "EDA: Easy Data Augmentation Techniques for Boosting
Performance on Text Classification Tasks", with their share of 10 % of the words.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

SHARE = 0.1  # of the words are swapped, and left out
TRIES = 20  # drawings after which a class is taken to have no further text
WIDE = "。！？；，："  # marks that no space follows
CLAUSE = re.compile(rf"(?<=[.!?;:,]\s)|(?<=[{WIDE}])")


@dataclass(slots=True)
class TextSynthesis:
    """Over-sampling that makes new texts instead of copies; a step of an imbalanced-learn pipeline.

    Attributes:
        sampling_strategy: how many texts each class shall have; "auto" is as many as the largest.
        generator: where the random numbers come from.
        avoid: texts that may not be made, besides those that are given.
        sample_indices_: after `fit_resample`, which given text each result is, or was begun from.
    """

    sampling_strategy: Mapping[str, int] | str
    generator: np.random.Generator
    avoid: frozenset[str] = frozenset()
    sample_indices_: list[int] = field(default_factory=list)

    def fit_resample(
        self,
        X: Sequence[str],  # noqa: N803 - the name that pipelines pass
        y: Sequence[str],
        kinds: Sequence[object] | None = None,
    ) -> tuple[list[str], list[str]]:
        """Return the texts and their classes, with the new ones below the given.

        A class of which no further different text is found ends smaller than asked.

        Args:
            X: the texts.
            y: the class of each.
            kinds: what two texts must have in common to be spliced, by default the class.
        """
        texts, classes = list(X), list(y)
        alike = list(zip(classes, kinds or classes, strict=True))
        partners: dict[object, list[int]] = {}
        for position, kind in enumerate(alike):
            partners.setdefault(kind, []).append(position)
        self.sample_indices_ = list(range(len(texts)))
        seen = {*texts, *self.avoid}
        for name, missing in self._missing(classes).items():
            members = [position for position in range(len(alike)) if classes[position] == name]
            others = [partners[alike[position]] for position in members]
            for _ in range(missing):
                begun, text = self._one(texts, members, others, seen)
                if text is None:
                    break
                seen.add(text)
                texts.append(text)
                classes.append(name)
                self.sample_indices_.append(begun)
        return texts, classes

    def _missing(self, classes: Sequence[str]) -> dict[str, int]:
        sizes = Counter(classes)
        most = max(sizes.values(), default=0)
        if isinstance(self.sampling_strategy, str):
            return {name: most - size for name, size in sizes.items()}
        return {name: goal - sizes[name] for name, goal in self.sampling_strategy.items()}

    def _one(
        self, texts: Sequence[str], members: Sequence[int], partners: Sequence[Sequence[int]], seen: set[str]
    ) -> tuple[int, str | None]:
        """Return a new text and the one it begins with; None where none was found."""
        for _ in range(TRIES):
            drawn = int(self.generator.integers(len(members)))
            begun = members[drawn]
            other = partners[drawn][int(self.generator.integers(len(partners[drawn])))]
            spliced = other != begun and self.generator.random() < 0.5
            text = splice(texts[begun], texts[other], self.generator) if spliced else texts[begun]
            if text in seen:
                text = vary(text, self.generator)
            if text.strip() and text not in seen:
                return begun, text
        return begun, None


def splice(first: str, second: str, generator: np.random.Generator) -> str:
    """Return the first clauses of one text and the last of another; the first text where both have but one."""
    head, tail = ([clause for clause in CLAUSE.split(text) if clause] for text in (first, second))
    if len(head) == len(tail) == 1:
        return first
    kept = int(generator.integers(1, max(len(head), 2)))
    begin = int(generator.integers(min(1, len(tail) - 1), len(tail)))
    start, end = "".join(head[:kept]), "".join(tail[begin:])
    glue = "" if start[-1].isspace() or start[-1] in WIDE else " "
    return start + glue + end


def vary(text: str, generator: np.random.Generator) -> str:
    """Return a text with a tenth of its words, at least one, swapped, and on average a tenth left out.

    A text without spaces is taken as characters.
    """
    words = text.split()
    glue = " " if len(words) > 1 else ""
    units = words if glue else list(text)
    for _ in range(max(1, round(SHARE * len(units)))):
        one, other = generator.integers(len(units), size=2)
        units[one], units[other] = units[other], units[one]
    stays = generator.random(len(units)) >= SHARE
    return glue.join(unit for unit, kept in zip(units, stays, strict=True) if kept) if stays.any() else text

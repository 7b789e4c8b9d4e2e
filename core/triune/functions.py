"""A rule as a plain Python function of the text, under the decorator `rule`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from triune.conditions.functions import TextMatches
from triune.errors import RuleError
from triune.logic import Formula, Label, SoftFormula
from triune.types import ALL, Rule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from triune.types import Seat


def rule(
    then: Formula | SoftFormula | str | int,
    *,
    name: str | None = None,
    confidence: float = 1.0,
    hard: bool = False,
    seats: Iterable[Seat] = ALL,
    note: str = "",
    tags: Iterable[str] = (),
) -> Callable[[Callable[[str], object]], Rule]:
    """Make a rule of a function of the text that says when it fires.

    ```python
    @rule(then="spam", confidence=0.9)
    def has_link(text: str) -> bool:
        return "http" in text
    ```

    The function returns true or false, or what `re.search` returns. Where it raises, the rule abstains.

    Args:
        then: what the outputs satisfy; a name stands for its label.
        name: of the rule; by default the function's, with "-" for "_".
        confidence: p in (0, 1].
        hard: whether the rule may never be broken.
        seats: where it may act.
        note: where the knowledge comes from; by default the function's docstring.
        tags: groups that it can be switched on and off with.

    Raises:
        RuleError: what it was given makes no rule; the place of the function is named.
    """
    if callable(then):
        raise RuleError([f'{_place(then)}: @rule stands bare; write @rule(then="spam"), with what follows'])

    def decorate(fn: Callable[[str], object]) -> Rule:
        place = _place(fn)
        _check(then, confidence, hard, f"{place}: {fn.__name__}")
        formula = Label(then) if isinstance(then, str | int) else then
        called = name or fn.__name__.replace("_", "-")
        said = note or (fn.__doc__ or "").strip()
        return Rule(called, formula, TextMatches(fn), confidence, hard, frozenset(seats), place, said, frozenset(tags))

    return decorate


def _check(then: object, confidence: float, hard: bool, where: str) -> None:
    if not isinstance(then, Formula | SoftFormula | str | int) or isinstance(then, bool) or then == "":
        raise RuleError([f'{where}: then is {then!r}; give a label or a formula: @rule(then="spam")'])
    if not 0 < confidence <= 1:
        raise RuleError([f"{where}: confidence is {confidence!r}; give a number above 0 and of at most 1"])
    if hard and confidence != 1:
        raise RuleError([f"{where}: a hard rule has no confidence; leave out 'confidence' or 'hard'"])


def _place(fn: Callable[..., object]) -> str:
    code = getattr(fn, "__code__", None)
    if code is None:
        raise RuleError([f'@rule stands on {fn!r}; write @rule(then="spam") above a function of the text'])
    file, here = Path(code.co_filename), Path.cwd()
    return f"{file.relative_to(here) if file.is_relative_to(here) else file}:{code.co_firstlineno}"

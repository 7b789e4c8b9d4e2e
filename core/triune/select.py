"""Which parameters: selectors as values, combined with `&`, `|` and `~`.

>>> print(Name("*.bias") & ~Head())
Name('*.bias') & ~Head()
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triune.types import ModelLayout, ParameterInfo


class Selector:
    """A set of parameters, told by name, owner and place."""

    __slots__ = ()

    def takes(self, parameter: ParameterInfo, layout: ModelLayout) -> bool:
        """Return whether the parameter is in the set."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it takes")

    def __and__(self, other: Selector) -> Both:
        return Both(self, other)

    def __or__(self, other: Selector) -> Either:
        return Either(self, other)

    def __invert__(self) -> Except:
        return Except(self)


@dataclass(frozen=True, slots=True)
class Name(Selector):
    """Parameters whose full name matches a glob: `Name("bert.encoder.layer.0.*")`."""

    glob: str

    def takes(self, parameter: ParameterInfo, layout: ModelLayout) -> bool:
        """Return whether the name matches."""
        return fnmatchcase(parameter.name, self.glob)

    def __repr__(self) -> str:
        return f"Name({self.glob!r})"


@dataclass(frozen=True, slots=True)
class Owner(Selector):
    """Parameters that a plugin brought: `Owner("adapter")`; the task owns the model's own."""

    plugin: str

    def takes(self, parameter: ParameterInfo, layout: ModelLayout) -> bool:
        """Return whether the plugin brought it."""
        return parameter.owner == self.plugin

    def __repr__(self) -> str:
        return f"Owner({self.plugin!r})"


@dataclass(frozen=True, slots=True)
class Brought(Selector):
    """Parameters that a method brought beside the model's own: adapters."""

    def takes(self, parameter: ParameterInfo, layout: ModelLayout) -> bool:
        """Return whether a method brought it."""
        return parameter.brought

    def __repr__(self) -> str:
        return "Brought()"


@dataclass(frozen=True, slots=True)
class Depth(Selector):
    """Parameters of one block, counted from the input; negative counts from the top: `Depth(-1)`."""

    index: int

    def takes(self, parameter: ParameterInfo, layout: ModelLayout) -> bool:
        """Return whether it belongs to the block."""
        index = self.index if self.index >= 0 else layout.blocks + self.index
        return parameter.depth == index

    def __repr__(self) -> str:
        return f"Depth({self.index})"


@dataclass(frozen=True, slots=True)
class Head(Selector):
    """Parameters of the task's head."""

    def takes(self, parameter: ParameterInfo, layout: ModelLayout) -> bool:
        """Return whether it belongs to the head."""
        return parameter.head

    def __repr__(self) -> str:
        return "Head()"


@dataclass(frozen=True, slots=True)
class Outside(Selector):
    """Parameters that belong neither to a block nor to the head: embeddings, norms behind the last block."""

    def takes(self, parameter: ParameterInfo, layout: ModelLayout) -> bool:
        """Return whether it lies outside of blocks and head."""
        return parameter.depth is None and not parameter.head

    def __repr__(self) -> str:
        return "Outside()"


@dataclass(frozen=True, slots=True)
class Both(Selector):
    """What two selectors both take."""

    left: Selector
    right: Selector

    def takes(self, parameter: ParameterInfo, layout: ModelLayout) -> bool:
        """Return whether both take it."""
        return self.left.takes(parameter, layout) and self.right.takes(parameter, layout)

    def __repr__(self) -> str:
        return f"{_inside(self.left)} & {_inside(self.right)}"


@dataclass(frozen=True, slots=True)
class Either(Selector):
    """What at least one of two selectors takes."""

    left: Selector
    right: Selector

    def takes(self, parameter: ParameterInfo, layout: ModelLayout) -> bool:
        """Return whether one of them takes it."""
        return self.left.takes(parameter, layout) or self.right.takes(parameter, layout)

    def __repr__(self) -> str:
        return f"{self.left!r} | {self.right!r}"


@dataclass(frozen=True, slots=True)
class Except(Selector):
    """What a selector does not take."""

    inner: Selector

    def takes(self, parameter: ParameterInfo, layout: ModelLayout) -> bool:
        """Return whether the inner selector leaves it."""
        return not self.inner.takes(parameter, layout)

    def __repr__(self) -> str:
        inside = repr(self.inner)
        return f"~({inside})" if isinstance(self.inner, Both | Either) else f"~{inside}"


def idle_parts(selector: Selector, layout: ModelLayout) -> list[Selector]:
    """Return a selector that takes nothing, or the names, owners and blocks joined in it that do not exist.

    That there is no head, or that no method brought anything, is no mistake of who joins it to what there is.
    """
    if not layout.where(selector):
        return [selector]
    return [
        part
        for part in _joined(selector)
        if not isinstance(part, Brought | Head | Outside | Both) and not layout.where(part)
    ]


def _joined(selector: Selector) -> list[Selector]:
    """Return what is joined by `|`, and blocks that are left out."""
    match selector:
        case Either(left, right):
            return [*_joined(left), *_joined(right)]
        case Both(left, right):
            return [part for side in (left, right) for part in _joined(side) if isinstance(part, Depth)]
        case Except(inner):
            return [part for part in _joined(inner) if isinstance(part, Depth)]
    return [selector]


def _inside(selector: Selector) -> str:
    return f"({selector!r})" if isinstance(selector, Either) else repr(selector)


PLAIN: dict[str, type[Brought] | type[Head] | type[Outside]] = {"Brought": Brought, "Head": Head, "Outside": Outside}
WORDS = {"Name": Name, "Owner": Owner, "Depth": Depth, **PLAIN}
JOINED: dict[type[ast.operator], type[Both] | type[Either]] = {ast.BitAnd: Both, ast.BitOr: Either}


def parsed(text: str) -> Selector:
    """Return the selector that a text says: `parsed("Name('*.bias') & ~Head()")`.

    Raises:
        ValueError: it says none; nothing of the text is executed.
    """
    try:
        return _selector(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError) as error:
        what = error.msg if isinstance(error, SyntaxError) else error
        raise ValueError(
            f"{text!r} is no selector ({what}): say {', '.join(sorted(WORDS))}, joined by &, | and ~, such as "
            "Depth(-1) | Head()"
        ) from None


def _selector(node: ast.expr) -> Selector:
    match node:
        case ast.BinOp(left, operator, right) if type(operator) in JOINED:
            return JOINED[type(operator)](_selector(left), _selector(right))
        case ast.UnaryOp(ast.Invert(), inner):
            return Except(_selector(inner))
        case ast.Call(ast.Name(word), [], []) if word in PLAIN:
            return PLAIN[word]()
        case ast.Call(ast.Name("Name" | "Owner" as word), [ast.Constant(str() as text)], []):
            return Name(text) if word == "Name" else Owner(text)
        case ast.Call(ast.Name("Depth"), [index], []):
            number = ast.literal_eval(index)
            if isinstance(number, int):
                return Depth(number)
    raise ValueError(f"{ast.unparse(node)!r} is none")

"""Where a network can be cut: found by watching it compute once, and proved by computing it again in two halves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch  # noqa: TID253 - this module is torch
from torch import Tensor, nn  # noqa: TID253

from triune.cuts import Beside, Cut, Passage, computing_alone, stream_of, streams_below
from triune.types import Outputs

Forward = Callable[[], Outputs]


@dataclass(frozen=True, slots=True)
class Cuts:
    """The cuts that hold, by their boundary, and why there are none elsewhere."""

    of: Mapping[int, Cut]
    reasons: Mapping[int, str]  # by the boundary that was asked for


class UncutError(Exception):
    """A network cannot be cut at some place; says why."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One call of a module."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    output: Any


def cuts_of(
    model: nn.Module, stacks: Sequence[Sequence[nn.Module]], boundaries: Sequence[int], forward: Forward, tokens: Tensor
) -> Cuts:
    """Return the cuts at some boundaries.

    Args:
        model: the network.
        stacks: its blocks, from the input up; an encoder's and a decoder's are two stacks.
        boundaries: how many blocks are to lie below.
        forward: one pass over a few examples of different length.
        tokens: (batch, tokens) where those examples have tokens.
    """
    found: dict[int, Cut] = {}
    reasons: dict[int, str] = {}
    with computing_alone(model):
        seen, whole = _watched(model, forward)
        for boundary in boundaries:
            try:
                found[boundary] = _proved(_cut(model, stacks, boundary, seen, tokens), forward, whole, tokens)
            except UncutError as error:
                reasons[boundary] = str(error)
    return Cuts(found, reasons)


def used_outside(model: nn.Module, cut: Cut, names: Sequence[str], forward: Forward) -> frozenset[str]:
    """Return which of the named parameters what lies below a cut is computed from.

    One that asks for no gradient cannot be told from one that matters, and counts.
    """
    parameters = {name: one for name, one in model.named_parameters() if name in set(names)}
    asking = {name: one for name, one in parameters.items() if one.requires_grad}
    training = model.training
    model.eval()
    try:
        (stream,) = streams_below([cut], forward)
    finally:
        model.train(training)
    if not asking or not stream.requires_grad:
        return frozenset(parameters)
    reached = set(map(id, _leaves(stream)))
    return frozenset(parameters.keys() - {name for name, one in asking.items() if id(one) not in reached})


def _leaves(tensor: Tensor) -> Iterator[Tensor]:
    """Yield what a tensor was computed from and asks for a gradient: read off the graph, which costs no memory."""
    waiting, met = [tensor.grad_fn], set[Any]()
    while waiting:
        node: Any = waiting.pop()
        if node is None or node in met:
            continue
        met.add(node)
        if hasattr(node, "variable"):  # where a gradient is added up, and nothing lies behind
            yield node.variable
        waiting.extend(before for before, _ in node.next_functions)


def _watched(model: nn.Module, forward: Forward) -> tuple[dict[nn.Module, list[Seen]], Outputs]:
    """Return every call of every module during a pass, and its outputs."""
    seen: dict[nn.Module, list[Seen]] = {}

    def note(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:  # noqa: ANN401
        seen.setdefault(module, []).append(Seen(args, kwargs, output))

    hooks = [module.register_forward_hook(note, with_kwargs=True) for module in model.modules()]
    try:
        return seen, forward()
    finally:
        for hook in hooks:
            hook.remove()


def _cut(
    model: nn.Module,
    stacks: Sequence[Sequence[nn.Module]],
    boundary: int,
    seen: Mapping[nn.Module, list[Seen]],
    tokens: Tensor,
) -> Cut:
    if any(getattr(module, "layerdrop", 0) for module in model.modules()):
        raise UncutError("it leaves out blocks at random (its layerdrop is not 0)")
    if any(map(_listened_to, [one for stack in stacks for one in stack][:boundary])):
        raise UncutError("a plugin listens to a frozen block, which would have nothing to say")
    passages: list[Passage] = []
    taps: dict[int, nn.Module | None] = {}
    streams: list[Tensor] = []
    for stack in stacks:
        below = list(stack[: max(boundary - len(passages), 0)])
        if not below:
            break
        passages.extend(_passage(block, seen.get(block, []), len(passages) + at) for at, block in enumerate(below))
        streams.append(_stream(seen[below[-1]][0].output))
        taps[len(passages) - 1] = _entry(model, below[0], streams[-1], seen)
    kinds = {_kind(stream, tokens) for stream in streams}
    if len(kinds) > 1 or len({stream.dtype for stream in streams}) > 1:
        raise UncutError("its stacks of blocks speak of different things")
    return Cut(
        boundary,
        tuple(passages),
        tuple(taps),
        {tap: entry for tap, entry in taps.items() if entry is not None},
        tuple(stream.shape[-1] for stream in streams),
        kinds.pop(),
        streams[0].dtype,
    )


def _listened_to(block: nn.Module) -> bool:
    return any(module._forward_hooks or module._forward_pre_hooks for module in block.modules())


def _kind(stream: Tensor, tokens: Tensor) -> Any:  # noqa: ANN401 - a literal of Cut
    if stream.shape[:-1] == tokens.shape:
        return "token"
    if stream.shape[:-1] == tokens.shape[:1]:
        return "example"
    raise UncutError(f"a block's output is {tuple(stream.shape)}: neither a vector a token nor one a text")


def _stream(output: Any) -> Tensor:  # noqa: ANN401
    found = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(found, Tensor):
        raise UncutError(f"a block answers with a {type(output).__name__}")
    return found


def _passage(block: nn.Module, calls: Sequence[Seen], place: int) -> Passage:
    if len(calls) != 1:
        raise UncutError(f"block {place} is called {len(calls)} times in one pass")
    (call,) = calls
    _stream(call.output)
    if isinstance(call.output, Tensor):
        return Passage(block, alone=True)
    return Passage(block, False, tuple(_beside(call, number, place) for number in range(1, len(call.output))))


def _beside(call: Seen, number: int, place: int) -> Beside:
    """Return how to make what a block says beside the stream: as always, as it was told, or of one example alone."""
    said = call.output[number]
    if not isinstance(said, Tensor):
        if said is None:
            return lambda args, kwargs, of_first: None
        raise UncutError(f"block {place} answers with a {type(said).__name__} beside its hidden states")
    for at, value in enumerate(call.args):
        if value is said:
            return lambda args, kwargs, of_first: args[at]
    for key, value in call.kwargs.items():
        if value is said:
            return lambda args, kwargs, of_first: kwargs[key]
    if len(said) == 1 < len(stream_of(call.args, call.kwargs)):
        return lambda args, kwargs, of_first: of_first()[number]
    raise UncutError(f"block {place} answers with more than hidden states for each text")


def _entry(
    model: nn.Module, first: nn.Module, stream: Tensor, seen: Mapping[nn.Module, list[Seen]]
) -> nn.Module | None:
    """Return the outermost module that made, in its only call, what enters the first block."""
    given = stream_of(seen[first][0].args, seen[first][0].kwargs)
    if given.shape != stream.shape or given.dtype != stream.dtype:
        return None
    makers = (
        module
        for module in model.modules()
        if len(seen.get(module, ())) == 1 and seen[module][0].output is given and first not in set(module.modules())
    )
    return next(makers, None)


def _proved(cut: Cut, forward: Forward, whole: Outputs, tokens: Tensor) -> Cut:
    """Return a cut that gives what the whole network gives, to the bit.

    It holds the first token alone where that is so with the others gone, too.

    Raises:
        UncutError: it gives something else.
    """
    (streams,) = streams_below([cut], forward)
    if cut.per == "example":
        candidates = [(cut, [streams])]
    else:
        first = streams[:, :1]
        alone = [first.expand_as(streams), streams * _only_first(tokens)]
        candidates = [(replace(cut, per="first token"), alone)] if len(cut.taps) == 1 else []
        candidates.append((cut, [streams.masked_fill(~tokens[..., None], 0)]))
    for candidate, held in candidates:
        if all(_same(_resumed(cut, one, forward), whole) for one in held):
            return candidate
    raise UncutError("what comes above the frozen blocks reads more than their output")


def _only_first(tokens: Tensor) -> Tensor:
    """Return (batch, tokens, 1) ones for first tokens, zeros for others."""
    return (torch.arange(tokens.shape[1], device=tokens.device) == 0)[None, :, None]


def _resumed(cut: Cut, streams: Tensor, forward: Forward) -> Outputs:
    try:
        with cut.held(streams):
            return forward()
    except Exception as error:  # whatever a network does when it is cut, uncut it is as good as ever
        raise UncutError(f"it does not go on from there ({type(error).__name__}: {error})") from error


def _same(first: Outputs, second: Outputs) -> bool:
    """Return whether outputs are the same to the bit."""
    for field in fields(Outputs):
        one, other = getattr(first, field.name), getattr(second, field.name)
        if isinstance(one, Tensor) and not (isinstance(other, Tensor) and torch.equal(one, other)):
            return False
    return True

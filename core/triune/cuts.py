"""A network cut above its lower blocks: it stops there, or goes on from there with what was said before.

Blocks answer with the stream, the hidden states that run through the network, alone or with something beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch  # noqa: TID253 - this module is torch
from torch import Tensor, nn  # noqa: TID253

from triune.errors import TrainingError

Beside = Callable[[tuple[Any, ...], Mapping[str, Any], Callable[[], tuple[Any, ...]]], object]
"""What a block says beside the stream, from what it was asked and from what it says of the first example alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Passage:
    """How a block that is left out answers: with the stream it was given, or with one that is held for it.

    Attributes:
        block: the module.
        alone: whether it answers with the stream alone, rather than with a tuple that begins with it.
        beside: what comes behind the stream in the tuple.
    """

    block: nn.Module
    alone: bool
    beside: tuple[Beside, ...] = ()

    def answering(self, held: Tensor | None, heard: Callable[[], None]) -> Callable[..., object]:
        """Return what stands in for the block's forward."""
        real = self.block.forward

        def forward(*args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - a block takes what it takes
            heard()
            given = stream_of(args, kwargs)
            stream = given if held is None else held
            if self.alone:
                return stream

            def of_first() -> tuple[Any, ...]:
                one = [_first(value, len(given)) for value in args]
                others = {key: _first(value, len(given)) for key, value in kwargs.items()}
                said: tuple[Any, ...] = real(*one, **others)
                return said

            return (stream, *(beside(args, kwargs, of_first) for beside in self.beside))

        return forward


@dataclass(frozen=True, slots=True, eq=False)
class Cut:
    """A network that is cut above its first blocks.

    Attributes:
        boundary: how many blocks lie below.
        passages: of the blocks below, from the input up.
        taps: the places in `passages` whose streams the rest needs: the last one below of each stack of blocks.
        entries: modules that make what enters a stack, by the tap of the stack; they need not compute either.
        widths: features of each tap's stream.
        per: whether the streams have a vector for every token, the rest reads the first token alone, or they have one
            for every example.
        dtype: of the streams.
    """

    boundary: int
    passages: tuple[Passage, ...]
    taps: tuple[int, ...]
    entries: Mapping[int, nn.Module]
    widths: tuple[int, ...]
    per: Literal["token", "first token", "example"]
    dtype: torch.dtype

    @property
    def features(self) -> int:
        """How many numbers are held for each token or example."""
        return sum(self.widths)

    @contextmanager
    def held(self, streams: Tensor) -> Iterator[None]:
        """Answer for what is below inside the block with these streams, (batch, …, features).

        Raises:
            TrainingError: the network went another way than it did when it was cut.
        """
        parts = dict(zip(self.taps, torch.split(streams, list(self.widths), -1), strict=True))
        heard: list[int] = []
        answers = [
            (one.block, one.answering(parts.get(place), lambda place=place: heard.append(place)))  # type: ignore[misc]
            for place, one in enumerate(self.passages)
        ]
        answers += [(module, _saying(parts[tap])) for tap, module in self.entries.items()]
        own = [vars(module).get("forward") for module, _ in answers]  # as a rule none: the class's is used
        try:
            for module, forward in answers:
                module.forward = forward
            yield
        finally:
            for (module, _), before in zip(answers, own, strict=True):
                vars(module).pop("forward", None)
                if before is not None:
                    module.forward = before
        if not set(self.taps) <= set(heard):
            raise TrainingError(
                f"the model left out frozen block {max(set(self.taps) - set(heard))}, whose output is held ready: a "
                "model that skips blocks at random cannot be cut; set its layerdrop to 0"
            )


class _ReachedError(Exception):
    """Everything that was listened for is heard."""


@contextmanager
def computing_alone(model: nn.Module) -> Iterator[None]:
    """Compute without dropout and without gradients inside the block, and leave the modes of modules as they were."""
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        with torch.inference_mode(False), torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def streams_below(cuts: Sequence[Cut], forward: Callable[[], object]) -> list[Tensor]:
    """Return the streams at each cut, (batch, …, features); the highest one ends the computation."""
    said: dict[nn.Module, Tensor] = {}
    wanted = {cut.passages[tap].block for cut in cuts for tap in cut.taps}

    def listen(block: nn.Module, args: object, output: Any) -> None:  # noqa: ANN401
        said[block] = output if isinstance(output, Tensor) else output[0]
        if len(said) == len(wanted):
            raise _ReachedError

    hooks = [block.register_forward_hook(listen) for block in wanted]
    try:
        forward()
    except _ReachedError:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return [_joined([said[cut.passages[tap].block] for tap in cut.taps]) for cut in cuts]


def stream_of(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
    """Return the stream that a block is given: the first tensor of what it is asked with."""
    found: Tensor = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
    return found


def _joined(streams: Sequence[Tensor]) -> Tensor:
    return streams[0] if len(streams) == 1 else torch.cat(list(streams), -1)


def _saying(stream: Tensor) -> Callable[..., Tensor]:
    return lambda *args, **kwargs: stream


def _first(value: Any, batch: int) -> Any:  # noqa: ANN401
    """Return what of a value belongs to the first example, where it has a part for each."""
    return value[:1] if isinstance(value, Tensor) and value.dim() and len(value) == batch else value

"""The frozen-prefix cache: what frozen blocks say of an example is computed once, and read back.

Frozen blocks compute without dropout, and at widths of their own, whether what they say is kept or not: the same
example gets the same bits in whatever company it comes.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from contextlib import ExitStack, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

import torch  # noqa: TID253 - this module is torch

from triune.batching import by_length
from triune.cuts import computing_alone, streams_below
from triune.files import recover, remove_folder
from triune.frozen import KEPT_SPLITS, shape_of
from triune.processes import ALONE, World
from triune.streams import Streams, from_disk, in_memory, is_on_disk, new_on_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from triune.cuts import Cut
    from triune.examples import Examples
    from triune.frozen import Prefix
    from triune.types import Batch, Bundle, ModelLayout, Outputs

FILL = 32  # examples that are computed together
LEAST = 8  # examples that compute alike in any company: fewer take another path through the libraries below
FOLDER = "cache"


class Activations:
    """What is known of the frozen blocks of a run, and the forward pass that makes use of it."""

    def __init__(
        self,
        bundle: Bundle,
        layout: ModelLayout,
        examples: Mapping[str, Examples],
        prefix: Prefix,
        autocast: Callable[[], AbstractContextManager[object]],
        folder: Path | None,
        world: World = ALONE,
    ) -> None:
        """Know nothing yet; `folder` is where the run writes, and of the processes in `world` the first one does."""
        self._bundle, self._layout, self._examples = bundle, layout, examples
        self._prefix, self._autocast, self._world = prefix, autocast, world
        self._folder = None if folder is None else folder / FOLDER
        self._kept = frozenset(KEPT_SPLITS) & examples.keys()
        self._cut: Cut | None = None
        self._held: dict[tuple[str, int], tuple[int, Streams]] = {}  # with the step at which it was computed

    @property
    def blocks(self) -> int:
        """How many blocks lie below the cut now."""
        return self._cut.boundary if self._cut else 0

    @property
    def _writes(self) -> bool:
        return self._prefix.place == "disk" and self._world.leads

    def outputs(self, model: nn.Module, batch: Batch) -> Outputs:
        """Return what the model says of a batch: the whole of it, or what is above its frozen blocks."""
        if self._cut is None:
            return self._bundle.forward(model, batch)
        with self._cut.held(self._streams(self._cut, batch)):
            return self._bundle.forward(model, batch)

    def move_to(self, floor: int) -> None:
        """Go on with so many frozen blocks; what is known of those that train now is forgotten."""
        self._forget(lambda boundary, since: boundary > floor)
        self._cut = self._prefix.cuts.get(self._prefix.under(floor))

    def restored(self, step: int) -> None:
        """Forget what was computed after a step whose weights are back."""
        self._forget(lambda boundary, since: since > step)

    def keep(self, split: str, step: int, obey: Callable[[], None]) -> float:
        """Compute what the frozen blocks say of a table, where that is to be kept; return the seconds it took.

        Raises:
            Interrupted: `obey` was told to stop.
        """
        if self._cut is None or split not in self._kept or (split, self._cut.boundary) in self._held:
            return 0.0
        cuts = [self._prefix.cuts[boundary] for boundary in self._prefix.fills.get(self._cut.boundary, ())]
        if not cuts:
            return 0.0
        begun = time.perf_counter()
        kept = self._on_disk if self._prefix.place == "disk" else self._in_memory
        for cut, streams in kept(split, cuts, obey).items():
            self._held[split, cut.boundary] = step, streams
        return time.perf_counter() - begun

    def close(self) -> None:
        """Go on with the whole model, and leave nothing behind."""
        self._cut = None
        self._held.clear()
        if self._writes and self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _streams(self, cut: Cut, batch: Batch) -> Tensor:
        """Return (batch, …, features) what the frozen blocks say of a batch, as wide as it is."""
        rows, width = batch.rows.cpu().numpy(), next(iter(batch.inputs.values())).shape[1]
        vectors = width if cut.per == "token" else 1
        if (batch.split, cut.boundary) in self._held:
            _, kept = self._held[batch.split, cut.boundary]
            streams = kept.padded(rows, vectors).to(batch.rows.device)
        else:
            streams = self._computed(batch.split, rows, [cut])[0][:, :vectors]
        if cut.per == "example":
            return streams[:, 0]
        # where one token is read, it stands for the others: nobody looks, and nothing is copied
        return streams.expand(-1, width, -1)

    def _computed(self, split: str, rows: NDArray[np.int64], cuts: Sequence[Cut]) -> list[Tensor]:
        """Return (len(rows), width, features) the streams at each cut, at the width at which frozen blocks compute."""
        import numpy as np

        enough = np.concatenate([rows, np.repeat(rows[:1], max(LEAST - len(rows), 0))])
        batch = self._examples[split].batch(enough, self._prefix.multiple).to(_device_of(self._bundle.model))
        model = self._bundle.model
        with computing_alone(model), self._autocast():
            found = streams_below(cuts, lambda: self._bundle.forward(model, batch))
            tokens = batch.inputs["attention_mask"].bool()
            return [_of_real(cut, streams, tokens)[: len(rows)] for cut, streams in zip(cuts, found, strict=True)]

    def _in_memory(self, split: str, cuts: Sequence[Cut], obey: Callable[[], None]) -> dict[Cut, Streams]:
        found = {cut: in_memory(shape_of(cut, self._examples[split])) for cut in cuts}
        self._fill(split, found, obey)
        return found

    def _on_disk(self, split: str, cuts: Sequence[Cut], obey: Callable[[], None]) -> dict[Cut, Streams]:
        assert self._folder is not None
        folder = self._folder
        places = {cut: (folder / f"{split}-{cut.boundary}", shape_of(cut, self._examples[split])) for cut in cuts}

        def write() -> None:
            recover(folder)
            keys = {cut: self._key(split, cut) for cut in cuts}
            missing = [cut for cut in cuts if not is_on_disk(*places[cut], keys[cut])]
            if missing:
                with ExitStack() as stack:
                    new = {cut: stack.enter_context(new_on_disk(*places[cut], keys[cut])) for cut in missing}
                    self._fill(split, new, obey)
                    del new

        self._world.led(write)
        return {cut: from_disk(*places[cut]) for cut in cuts}

    def _fill(self, split: str, kept: Mapping[Cut, Streams], obey: Callable[[], None]) -> None:
        """Compute the streams of a whole table, longest examples first."""
        for rows in by_length(self._examples[split].lengths, FILL):
            obey()
            for streams, found in zip(kept.values(), self._computed(split, rows, list(kept)), strict=True):
                streams.put(rows, found)

    def _forget(self, stale: Callable[[int, int], bool]) -> None:
        for split, boundary in list(self._held):
            if stale(boundary, self._held[split, boundary][0]):
                del self._held[split, boundary]
                if self._writes and self._folder is not None:
                    with suppress(OSError):
                        remove_folder(self._folder / f"{split}-{boundary}")

    def _key(self, split: str, cut: Cut) -> str:
        """Return a hash of all that decides what frozen blocks say of a table."""
        below = {one.name for one in self._layout.parameters if one.depth is not None and one.depth < cut.boundary}
        state = {**dict(self._bundle.model.named_parameters()), **dict(self._bundle.model.named_buffers())}
        names = {*below, *self._prefix.outside, *(name for name, _ in self._bundle.model.named_buffers())}
        code = [version(package) for package in ("torch", "transformers", "triune")]
        facts = [cut.boundary, cut.per, str(cut.dtype), self._prefix.multiple, FILL, torch.get_num_threads(), code]
        digest = hashlib.sha256(repr(facts).encode())
        for name in sorted(names):
            digest.update(name.encode())
            digest.update(state[name].detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        for name, ragged in self._examples[split].inputs.items():
            digest.update(name.encode())
            digest.update(ragged.values.tobytes())
            digest.update(ragged.offsets.tobytes())
        return digest.hexdigest()


def _of_real(cut: Cut, streams: Tensor, tokens: Tensor) -> Tensor:
    """Return (batch, …, features) streams with a dimension of tokens, zero where there is none."""
    if cut.per == "example":
        return streams[:, None]
    return streams[:, :1] if cut.per == "first token" else streams.masked_fill(~tokens[..., None], 0)


def _device_of(model: nn.Module) -> str:
    return str(next(model.parameters()).device)

"""What a pretrained model makes of texts before it has learnt anything: features that a linear head can be put on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triune.batching import by_length
from triune.errors import PluginError
from triune.layout import stacks_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from triune.examples import Examples
    from triune.types import Bundle

BATCH = 64


def features(bundle: Bundle, examples: Examples) -> NDArray[np.float32]:
    """Return (examples, features) the mean over tokens of what the last block puts out, of length one.

    Raises:
        PluginError: the model has no blocks.
    """
    import numpy as np
    import torch

    stacks = stacks_of(bundle.model)
    if not stacks:
        raise PluginError("the model has no stack of blocks, and features are what the last one puts out")
    seen: list[Tensor] = []
    hook = stacks[-1][-1].register_forward_hook(lambda module, given, output: seen.append(_states(output)))
    bundle.model.eval()
    device = next(bundle.model.parameters()).device
    found, order = [], by_length(examples.lengths, BATCH)
    try:
        with torch.no_grad():
            for rows in order:
                seen.clear()
                batch = examples.batch(rows).to(str(device))
                bundle.forward(bundle.model, batch)
                if seen[0].dim() == 2:  # (batch, features): tokens were put together before
                    found.append(_unit(seen[0]))
                    continue
                there = batch.inputs["attention_mask"][..., None].to(seen[0].dtype)  # (batch, tokens, 1)
                mean = (seen[0] * there).sum(1) / there.sum(1).clamp(min=1)
                found.append(_unit(mean))
    finally:
        hook.remove()
    back = np.argsort(np.concatenate(order), kind="stable")
    made: NDArray[np.float32] = np.concatenate(found)[back]
    return made


def _unit(states: Tensor) -> NDArray[np.float32]:
    from torch.nn.functional import normalize

    found: NDArray[np.float32] = normalize(states, dim=-1).float().cpu().numpy()
    return found


def _states(output: Any) -> Tensor:  # noqa: ANN401 - blocks put out tensors, or tuples that begin with one
    states: Tensor = output if hasattr(output, "shape") else output[0]
    return states

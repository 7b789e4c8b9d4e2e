"""IA³'s factors: W x becomes l ⊙ (W x), in feed-forward networks W (l ⊙ x), of which l learns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.adapters import inject, targets_of
from triune.errors import PlanError, listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from triune.adapters import Injected
    from triune_ia3 import Ia3

# beside those that peft knows
MORE = {"distilbert": (("k_lin", "v_lin", "ffn.lin2"), ("ffn.lin2",))}


def adapted(model: nn.Module, settings: Ia3.Config) -> Injected:
    """Put factors beside the layers that the settings name.

    Raises:
        PlanError: what the settings ask for cannot be.
    """
    from peft import IA3Config

    from triune.adapters.targets import fans_out, matches

    ends, inner = _ends(model, settings)
    targets = targets_of(model, ends, "ia3")
    feedforward = [path for path in targets if any(matches(path, glob) for glob in inner)]
    idle = [glob for glob in settings.feedforward or () if not any(matches(path, glob) for path in targets)]
    if idle:
        raise PlanError([f"ia3: feedforward: {idle[0]!r} matches none of the {len(targets)} targets"])
    config = IA3Config(target_modules=targets, feedforward_modules=feedforward, fan_in_fan_out=fans_out(model, targets))
    return inject(model, config, "ia3", settings.adapter_name)


def _ends(model: nn.Module, settings: Ia3.Config) -> tuple[Sequence[str], Sequence[str]]:
    """Return the globs of targets, and of those among them that lie in feed-forward networks."""
    from peft.utils.constants import (
        TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING,
        TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
    )

    if settings.targets is not None:
        return settings.targets, settings.feedforward or ()
    kind = getattr(getattr(model, "config", None), "model_type", "")
    if kind in MORE:
        return MORE[kind]
    known = TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING
    if kind not in known:
        raise PlanError(
            [
                f"ia3: which layers of {kind or type(model).__name__!r} make keys and values is not known: name them "
                f"as targets, and those of feed-forward networks as feedforward; known: {listed(sorted(known), 30)}"
            ]
        )
    return known[kind], TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING[kind]

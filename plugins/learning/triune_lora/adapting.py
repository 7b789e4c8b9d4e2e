"""LoRA's adapters: W x becomes W x + α/r · B A x, of which A and B learn."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from triune.adapters import inject, targets_of
from triune.errors import PlanError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from triune.adapters import Injected
    from triune_lora import Lora

MUTATING = ("olora", "pissa")
"""Beginnings that take out of the layer's own weights what they put into the adapter."""


def adapted(model: nn.Module, settings: Lora.Config) -> Injected:
    """Put adapters beside the layers that the settings name.

    Raises:
        PlanError: what the settings ask for cannot be.
    """
    from triune.adapters.targets import fans_out

    targets = targets_of(model, settings.targets, "lora")
    config = _config(
        r=settings.rank,
        lora_alpha=settings.alpha if settings.alpha is not None else 2 * settings.rank,
        lora_dropout=settings.dropout,
        target_modules=targets,
        use_dora=settings.dora,
        use_rslora=settings.rslora,
        init_lora_weights=True if settings.init == "default" else settings.init,
        fan_in_fan_out=fans_out(model, targets),
    )
    if settings.init in MUTATING:
        _refuse_large_rank(model, targets, settings)
    return inject(model, config, "lora", settings.adapter_name, borrows=settings.init in MUTATING)


def portable(injected: Injected) -> tuple[Any, dict[str, Tensor]]:
    """Return configuration and weights of an adapter that fits the pretrained model.

    Where the layer's weights gave B₀A₀ away, W − s·B₀A₀ + s·BA is the pretrained W with the adapter
    s·(BA − B₀A₀) = s·[B, −B₀][A; A₀], which has twice the rank (Meng et al. 2024, appendix C).
    """
    import torch

    config, state = deepcopy(injected.config), dict(injected.state)
    if config.init_lora_weights not in MUTATING:
        return config, state
    joined = {
        name: torch.cat([tensor, -injected.start[name].cpu()], dim=1)
        if "lora_B" in name
        else torch.cat([tensor, injected.start[name].cpu()])
        for name, tensor in state.items()
    }
    config.lora_alpha *= 2**0.5 if config.use_rslora else 2  # so that s is what it was
    config.r, config.init_lora_weights = 2 * config.r, True
    return config, joined


def _config(**settings: Any) -> Any:  # noqa: ANN401 - peft is untyped
    from peft import LoraConfig

    unknown = [name for name in settings if name not in LoraConfig.__dataclass_fields__]
    if unknown:
        raise PlanError([f'lora: the installed peft knows no {unknown[0]!r}: pip install -U "triune[peft]"'])
    return LoraConfig(**settings)


def _refuse_large_rank(model: nn.Module, targets: list[str], settings: Lora.Config) -> None:
    smallest, path = min((min(model.get_parameter(f"{path}.weight").shape), path) for path in targets)
    if settings.rank > smallest:
        raise PlanError(
            [
                f"lora: rank: found {settings.rank}, wanted at most {smallest}, the singular values of {path!r}, "
                f"with init: {settings.init}"
            ]
        )

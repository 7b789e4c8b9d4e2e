"""Adapters: small modules that learn beside a model's weights, for methods that bring some.

Who writes a method on top of the library `peft` reads `injection` (adapters go in, come out, are loaded again),
`targets` (which modules get one), `prompts` (vectors that a whole network reads), `claims` (what then learns) and
`saving` (the folder that `peft` loads). `beside` is below all of them and knows no library: a module stands beside
another one and answers in its place, so that every parameter of the model keeps its name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triune.adapters.beside import carried, original_of, put_beside, take_away
    from triune.adapters.claims import adapter_claims
    from triune.adapters.injection import Injected, inject, reopen
    from triune.adapters.prompts import Prompted, prompt, recall
    from triune.adapters.saving import head_modules, place_of, task_type_of, write_adapter
    from triune.adapters.targets import targets_of

_HOME = {
    **dict.fromkeys(("carried", "original_of", "put_beside", "take_away"), "beside"),
    "adapter_claims": "claims",
    **dict.fromkeys(("Injected", "inject", "reopen"), "injection"),
    **dict.fromkeys(("Prompted", "prompt", "recall"), "prompts"),
    **dict.fromkeys(("head_modules", "place_of", "task_type_of", "write_adapter"), "saving"),
    "targets_of": "targets",
}

__all__ = [
    "Injected", "Prompted", "adapter_claims", "carried", "head_modules", "inject", "original_of", "place_of", "prompt",
    "put_beside", "recall", "reopen", "take_away", "targets_of", "task_type_of", "write_adapter",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'triune.adapters' has no attribute {name!r}")
    value: object = getattr(import_module(f"triune.adapters.{_HOME[name]}"), name)
    globals()[name] = value
    return value

"""Adapters of the library `peft`: put beside a model's layers, folded into them, loaded again."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from triune.adapters.beside import adapter_names, carried, original_of, put_beside, take_away
from triune.adapters.saving import INSIDE, WEIGHTS, place_of
from triune.errors import OutputError, PlanError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from torch import Tensor, nn

BASE = "base_layer"  # what an adapter's layer calls the layer that it changes
REFUSALS = (ValueError, TypeError, RuntimeError, ImportError, NotImplementedError, KeyError)


@dataclass
class Injected:
    """The adapters that a method brought to one model."""

    method: str
    adapter: str
    config: Any  # a PeftConfig
    layers: Mapping[str, Any]  # path of the adapted module → peft's layer
    names: tuple[str, ...]  # of their parameters in the model
    first: bool  # whether the model carried no adapter before
    start: dict[str, Tensor] = field(default_factory=dict)  # their weights at step 0, where layers gave them theirs
    state: dict[str, Tensor] = field(default_factory=dict)  # their weights once they are folded

    def fold(self, model: nn.Module, *, merge: bool) -> None:
        """Take the adapters out of the model, merged into its weights if asked for; keep theirs in `state`."""
        with _around(model, self):
            self.state = {name: tensor.detach().cpu().clone() for name, tensor in _weights(model, self).items()}
            if merge:
                self._merge()
            elif self.start:  # the layers get back what they gave
                _load(model, self, self.start)
                self._merge()
        for path in self.layers:
            take_away(model.get_submodule(path))

    def _merge(self) -> None:
        for layer in self.layers.values():
            layer.merge(safe_merge=False, adapter_names=[self.adapter])


def inject(model: nn.Module, config: Any, method: str, adapter: str, *, borrows: bool = False) -> Injected:  # noqa: ANN401
    """Put adapters beside the layers that the configuration names by their paths; nothing in the model is renamed.

    Args:
        model: the model, which may carry adapters of other methods.
        config: a `PeftConfig` whose targets are paths.
        method: the child of each adapted module that the adapter becomes.
        adapter: what `peft` calls it.
        borrows: whether adapters begin with a part of their layers' weights.

    Raises:
        PlanError: another adapter of the run has this name, or `peft` refuses.
    """
    from peft import inject_adapter_in_model

    paths = list(config.target_modules)
    if adapter in adapter_names(model):
        raise PlanError(
            [f"{method}: another adapter of this run is called {adapter!r} too: give each an adapter_name of its own"]
        )
    first = not any(map(carried, model.modules()))
    others = [(layer, list(layer.active_adapters)) for layer in _adapters(model)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of settings that it corrects by itself
            inject_adapter_in_model(config, model, adapter)
    except REFUSALS as error:
        raise PlanError([f"{method}: {str(error).splitlines()[0]}"]) from error
    for layer, active in others:
        layer._active_adapter = active  # peft switches all layers of a model to the newest adapter
    del model.peft_config  # transformers would save adapters in a way of its own
    config.target_modules = paths  # which peft has shortened
    layers = {path: model.get_submodule(path) for path in paths}
    for path, layer in layers.items():
        _move_beside(model, path, layer, method)
    for parameter in model.parameters():
        parameter.requires_grad_(True)  # what trains is for the plan to say
    names = tuple(f"{path}.{method}.{name}" for path, layer in layers.items() for name, _ in layer.named_parameters())
    injected = Injected(method, adapter, config, layers, names, first)
    if borrows:
        with _around(model, injected):
            injected.start = {name: tensor.detach().clone() for name, tensor in _weights(model, injected).items()}
    return injected


def reopen(model: nn.Module, model_folder: Path, method: str, adapter: str) -> Injected:
    """Put the adapters beside an exported model that lie in its folder.

    Raises:
        OutputError: they are not there, or of another model.
    """
    from peft import PeftConfig
    from safetensors.torch import load_file

    place = place_of(model_folder, adapter)
    if not (place / WEIGHTS).is_file():
        raise OutputError(f"{str(place)!r} holds no adapter, and the model needs it: run again with another output")
    config = PeftConfig.from_pretrained(str(place))
    config.inference_mode, config.modules_to_save = False, None  # the head is in the model
    injected = inject(model, config, method, adapter)
    stored = {name.removeprefix(INSIDE): tensor for name, tensor in load_file(place / WEIGHTS).items()}
    with _around(model, injected):
        wanted = _weights(model, injected)
        if wanted.keys() - stored.keys():
            raise OutputError(f"{str(place)!r} is of another model than the one beside it: run again")
        _load(model, injected, {name: stored[name] for name in wanted})
    return injected


def _load(model: nn.Module, injected: Injected, weights: Mapping[str, Tensor]) -> None:
    from peft import set_peft_model_state_dict

    set_peft_model_state_dict(model, dict(weights), injected.adapter)


def _adapters(model: nn.Module) -> list[Any]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [module for module in model.modules() if isinstance(module, BaseTunerLayer)]


def _weights(model: nn.Module, injected: Injected) -> dict[str, Tensor]:
    from peft import get_peft_model_state_dict

    found: dict[str, Tensor] = get_peft_model_state_dict(
        model, adapter_name=injected.adapter, save_embedding_layers=False
    )
    mine = tuple(f"{path}." for path in injected.layers)
    return {name: tensor for name, tensor in found.items() if name.startswith(mine)}


@contextmanager
def _around(model: nn.Module, injected: Injected) -> Iterator[None]:
    """Let adapters wrap their layers inside the block, as `peft` expects of them."""
    for path, layer in injected.layers.items():
        module = model.get_submodule(path)
        take_away(module)
        layer._modules[BASE] = module
        _set(model, path, layer)
    vars(model)["peft_config"] = {injected.adapter: injected.config}
    try:
        yield
    finally:
        del vars(model)["peft_config"]
        for path, layer in injected.layers.items():
            _move_beside(model, path, layer, injected.method)


def _move_beside(model: nn.Module, path: str, layer: nn.Module, method: str) -> None:
    module = layer._modules.pop(BASE)
    assert module is not None
    _set(model, path, module)
    put_beside(module, method, layer, BASE)
    assert original_of(layer) is layer.base_layer


def _set(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    model.get_submodule(parent)._modules[name] = module

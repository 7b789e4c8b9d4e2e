"""The folder of an adapter, in the format of the library `peft`: `PeftModel.from_pretrained` loads it."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from torch import Tensor, nn

FOLDER = "adapter"
DEFAULT = "default"
WEIGHTS = "adapter_model.safetensors"
INSIDE = "base_model.model."  # where `peft` keeps the model that it adapts
CARD = """---
library_name: peft
---

# Adapter

```python
import peft, transformers
model = transformers.{model}.from_pretrained({base!r}, num_labels={labels})
model = peft.PeftModel.from_pretrained(model, "{folder}")
```

It belongs to the model as it was pretrained, and brings the head that learnt beside it.
"""
TASKS = {"ForSequenceClassification": "SEQ_CLS", "ForTokenClassification": "TOKEN_CLS", "ForCausalLM": "CAUSAL_LM"}


def place_of(model_folder: Path, adapter: str) -> Path:
    """Return where an adapter lies beside an exported model; "default" is the folder itself, as with `peft`."""
    return model_folder / FOLDER if adapter == DEFAULT else model_folder / FOLDER / adapter


def task_type_of(model: nn.Module) -> str | None:
    """Return what `peft` calls the task of a model, by its class."""
    return next((task for end, task in TASKS.items() if type(model).__name__.endswith(end)), None)


def head_modules(model: nn.Module, head: Collection[str]) -> list[str]:
    """Return the paths of the outermost modules all of whose parameters are among those of the head."""
    found: list[str] = []
    for path, module in model.named_modules():
        names = [f"{path}.{name}" for name, _ in module.named_parameters()]
        if path and names and all(name in head for name in names) and not any(path.startswith(f"{o}.") for o in found):
            found.append(path)
    return found


def write_adapter(
    folder: Path,
    config: Any,  # noqa: ANN401 - a PeftConfig; its package may be missing
    tensors: Mapping[str, Tensor],
    model: nn.Module,
    head: Collection[str],
) -> None:
    """Write an adapter with the head that learnt beside it.

    Args:
        folder: where to; it is made.
        config: the adapter's configuration.
        tensors: its weights, by their names in the model.
        model: the model, folded.
        head: the names of the head's parameters.
    """
    from safetensors.torch import save_file

    written = deepcopy(config)
    written.inference_mode = True
    written.task_type = task_type_of(model)
    written.base_model_name_or_path = getattr(model, "name_or_path", "") or None
    written.modules_to_save = head_modules(model, head) or None
    for name in ("target_modules", "feedforward_modules"):  # sets, which JSON would list in another order each time
        if hasattr(written, name) and not isinstance(getattr(written, name), str):
            setattr(written, name, sorted(getattr(written, name)))
    inside = "base_model." if config.is_prompt_learning else INSIDE
    kept = {name: tensor for name, tensor in model.state_dict().items() if name in head}
    own = dict(tensors) if config.is_prompt_learning else {f"{inside}{name}": one for name, one in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    written.save_pretrained(folder)
    everything = own | {f"{inside}{name}": tensor for name, tensor in kept.items()}
    whole = {name: one.detach().cpu().clone().contiguous() for name, one in everything.items()}
    (folder / "README.md").write_text(_card(model, folder), encoding="utf-8")
    save_file(whole, folder / WEIGHTS, metadata={"format": "pt"})


def _card(model: Any, folder: Path) -> str:  # noqa: ANN401 - transformers is untyped
    labels = getattr(getattr(model, "config", None), "num_labels", "…")
    base = getattr(model, "name_or_path", "") or "the pretrained model"
    return CARD.format(model=type(model).__name__, base=base, labels=labels, folder=folder.name)

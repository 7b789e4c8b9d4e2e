"""What tests of the core stand on: the small task of `triune.testing`, and runs of it."""

import torch

from triune.testing.toys import WORDS, All, Blocks, Tables, ToyTask, encode, table

__all__ = ["WORDS", "All", "Blocks", "Tables", "ToyTask", "config", "encode", "plugins", "same", "table", "weights"]


def config(*methods, data=("tables",), **training):
    """Return a configuration of a toy run, quick and on one thread."""
    settings = {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "threads": 1, "device": "cpu"}
    settings = {**settings, "validation": 0.1, "baselines": False, "report": "off", **training}
    return {"task": "toy", "data": list(data), "methods": list(methods) or ["all"], "training": settings}


def plugins(task=None, data=None, **others):
    """Return the plugins of a toy run."""
    found = {"toy": task or ToyTask(), "tables": data or Tables(train=table(), test=table(16, seed=1)), **others}
    return found if "all" in found or others.get("no_all") else {**found, "all": All()}


def weights(engine_or_model):
    """Return a copy of every parameter by name."""
    return {name: parameter.detach().clone() for name, parameter in engine_or_model.named_parameters()}


def same(first, second):
    """Return whether two mappings of tensors are equal to the bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)

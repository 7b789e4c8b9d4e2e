"""A configuration to begin with, and the example data that make it run as it is.

The sections that name plugins come from `examples/starter`, since the core knows no plugin by name; those of
training come from the settings themselves, so that what is written equals what holds without it.
"""

from __future__ import annotations

import json
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from pydantic import BaseModel

from triune.errors import EnvironmentProblem, listed
from triune.settings import Training

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

COMMON = (
    "epochs",
    "batch_size",
    "accumulate",
    "learning_rate",
    "schedule",
    "warmup",
    "weight_decay",
    "max_length",
    "validation",
    "early_stopping",
    "keep_best",
    "seed",
    "threads",
    "device",
    "precision",
)
DEMO: Mapping[str, object] = {"epochs": 8.0, "batch_size": 16, "learning_rate": 1e-4}
"""What a model needs that has only a few hundred short examples to learn from."""

DATA = ("train.csv", "test.csv", "unlabelled.csv", "few.csv", "pool.csv", "rules.yaml")
BOTH = "rules_and_labels.yaml"
OUTPUT = "runs/first"
SHIPPED = Path(__file__).parents[1] / "demo"
CHECKOUT = Path(__file__).parents[3] / "examples"
COLUMN = 30  # where comments begin


def configuration(model: str, settings: Mapping[str, object]) -> str:
    """Return a commented configuration; `settings` stand in for defaults of training."""
    sections = Template(shipped("starter/sections.yaml").decode()).substitute(model=json.dumps(model))
    head = "# A run of triune. `triune plan` checks it, `triune run` carries it out, `triune schema` knows every key."
    training = ["# How long and how fast it learns: the usual keys, at their defaults."]
    if settings:
        training = [f"{training[0][:-1]} but for {listed(settings)},", "# which suit the few examples of the demo."]
    training.append("training:")
    training += _entries(Training, COMMON, settings, "  ")
    output = ["# The folder for all that the run leaves behind.", f"output: {OUTPUT}"]
    return "\n".join([head, "", sections, *training, "", *output, ""])


def configuration_with_rules(model: str) -> str:
    """Return the example's configuration that learns from few labels and from rules, with another model."""
    from triune.models import PACKAGED

    return shipped(f"customer_service/{BOTH}").decode().replace(next(iter(PACKAGED)), json.dumps(model))


def example_data() -> dict[str, bytes]:
    """Return the files of the example data and their rules, by name."""
    return {name: shipped(f"customer_service/{name}") for name in DATA}


def shipped(name: str) -> bytes:
    """Return a file of the examples: from the installed package, or from the checkout that is being worked on.

    Raises:
        EnvironmentProblem: it is in neither.
    """
    for root in (SHIPPED, CHECKOUT):
        if (root / name).is_file():
            return (root / name).read_bytes()
    raise EnvironmentProblem(
        f"{SHIPPED / name}: the example is missing from this installation; pip install --force-reinstall triune"
    )


def _entries(
    model: type[BaseModel], names: tuple[str, ...], settings: Mapping[str, object], indent: str
) -> Iterator[str]:
    """Yield a line for each setting: its key, its value, what it means."""
    for name in names:
        field = model.model_fields[name]
        value = settings.get(name, field.default)
        if isinstance(value, BaseModel):
            yield f"{f'{indent}{name}:':{COLUMN}} # {field.description}"
            yield from _entries(type(value), tuple(type(value).model_fields), {}, f"{indent}  ")
        else:
            yield f"{f'{indent}{name}: {_scalar(value)}':{COLUMN}} # {field.description}"


def _scalar(value: object) -> str:
    """Return a value as every version of YAML reads it: 2.0e-5, since 2e-05 is text to some."""
    text = json.dumps(value) if not isinstance(value, str) else value
    if isinstance(value, float) and "e" in text:
        mantissa, exponent = text.split("e")
        return f"{float(mantissa)}e{int(exponent):+d}"
    return text

"""The JSON Schema of a configuration, so that an editor completes and checks what a user types."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from triune.catalog import KEYS, Catalog, Entry
from triune.errors import PluginError
from triune.settings import Compare, RunConfig, Training

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

Schema: TypeAlias = dict[str, object]


class _Lenient(GenerateJsonSchema):
    """Leaves open what only Python can pass, such as a frame."""

    def handle_invalid_for_json_schema(self, schema: CoreSchema, error_info: str) -> JsonSchemaValue:
        return {}


def json_schema(catalog: Catalog) -> Schema:
    """Describe every configuration that is valid with what is installed and available.

    A plugin that cannot be loaded is left out: a schema is for those that can.
    """
    definitions: Schema = {}
    families = {family: _family(catalog, family, definitions) for family in KEYS}
    training = _own(Training, "training", definitions)
    compare = _own(Compare, "compare", definitions)
    described = {key: field.description or "" for key, field in RunConfig.model_fields.items()}
    properties: Schema = {
        "task": {"description": described["task"], **families["task"]},
        **{
            KEYS[family]: {
                "description": described[KEYS[family]],
                "anyOf": [families[family], {"type": "array", "items": families[family]}],
            }
            for family in ("data", "method", "rule")
        },
        "training": {"description": described["training"], "anyOf": [training, {"type": "null"}]},
        "compare": {"description": described["compare"], "anyOf": [compare, {"type": "null"}]},
        "output": {"description": described["output"], "type": ["string", "null"]},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A run of triune",
        "description": _first_line(RunConfig),
        "type": "object",
        "properties": properties,
        "required": ["task", "data"],
        "additionalProperties": False,
        "$defs": definitions,
    }


def _family(catalog: Catalog, family: str, definitions: Schema) -> Schema:
    """Describe a section of one family: a bare name, or a mapping that `use` tells apart."""
    bare: list[Schema] = []
    full: list[Schema] = []
    for entry in catalog:
        if entry.family != family or entry.status != "available":
            continue
        try:
            cls = entry.load()
        except PluginError:
            continue
        section = _section(entry, cls, definitions)
        full.append({"$ref": f"#/$defs/{family}.{entry.name}"})
        if section["required"] == ["use"]:
            bare.append({"const": entry.name, "description": section["description"]})
        definitions[f"{family}.{entry.name}"] = section
    sections: Schema = {"type": "object", "required": ["use"], "oneOf": full, "discriminator": {"propertyName": "use"}}
    forms = [*bare, sections] if full else []
    return {"anyOf": forms} if forms else {"not": {}, "description": f"no {family} plugin is installed"}


def _section(entry: Entry, cls: type, definitions: Schema) -> Schema:
    model = getattr(cls, "Config", None)
    settings: Schema = {}
    if isinstance(model, type) and issubclass(model, BaseModel):
        settings = _model_schema(model, f"{entry.family}.{entry.name}", definitions)
    properties, required = settings.get("properties", {}), settings.get("required", [])
    assert isinstance(properties, dict)
    assert isinstance(required, list)
    return {
        "title": entry.name,
        "description": f"{_first_line(cls) or entry.name} ({entry.origin})",
        "type": "object",
        "properties": {
            "use": {"const": entry.name, "description": "The plugin's name."},
            "name": {"type": ["string", "null"], "description": "What the run calls it, where it is used twice."},
            **properties,
        },
        "required": ["use", *required],
        "additionalProperties": False,
    }


def _own(model: type[BaseModel], name: str, definitions: Schema) -> Schema:
    definitions[name] = {**_model_schema(model, name, definitions), "additionalProperties": False}
    return {"$ref": f"#/$defs/{name}"}


def _model_schema(model: type[BaseModel], prefix: str, definitions: Schema) -> Schema:
    """Return the schema of a model; what it refers to goes into `definitions` under a name of its own."""
    schema = model.model_json_schema(
        by_alias=True, ref_template=f"#/$defs/{prefix}.{{model}}", schema_generator=_Lenient
    )
    for name, definition in schema.pop("$defs", {}).items():
        definitions[f"{prefix}.{name}"] = definition
    return schema


def _first_line(cls: type) -> str:
    return (inspect.getdoc(cls) or "").partition("\n")[0] if cls.__doc__ else ""

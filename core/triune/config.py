"""One schema for YAML, JSON and Python: read, checked against the plugins it names, every mistake told at once.

Two passes: the skeleton (which plugins, training, output), then each section by its own plugin's `Config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pydantic import BaseModel, ValidationError

from triune.catalog import KEYS, Catalog, Entry
from triune.documents import Document, dotted, found, mapping_document, read_document
from triune.errors import ConfigError, PluginError
from triune.overrides import override
from triune.problems import Report, explain, unknown
from triune.schema import json_schema
from triune.sections import Named, check_names, named_sections
from triune.settings import Arm, Compare, EarlyStopping, InputPath, RunConfig, Section, Training

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triune.markup import Keys

__all__ = [
    "Arm",
    "Compare",
    "EarlyStopping",
    "InputPath",
    "LoadedConfig",
    "NamedPlugin",
    "RunConfig",
    "Section",
    "Training",
    "json_schema",
    "load_config",
    "resolved",
]


@dataclass(frozen=True, slots=True)
class NamedPlugin:
    """A plugin of a run, found and configured but not yet made.

    Attributes:
        name: what the run calls it: the section's `name`, else its `use`.
        use: the plugin's own name.
        family: task, data, method or rule.
        section: where the configuration names it: `methods[1]`.
        entry: its entry in the catalogue; None for an instance from Python.
        cls: its class.
        config: its checked settings; None if the class has no `Config`.
        instance: the object passed from Python, if it was.
    """

    name: str
    use: str
    family: str
    section: str = field(compare=False)
    entry: Entry | None
    cls: type
    config: BaseModel | None
    instance: object | None = None

    def build(self) -> object:
        """Return the plugin itself: the instance from Python, or a new object of the class."""
        if self.instance is not None:
            return self.instance
        return self.cls() if self.config is None else self.cls(self.config)


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration with nothing left to find wrong in it; `run` has every default filled in."""

    run: RunConfig
    plugins: tuple[NamedPlugin, ...]
    folder: Path = field(compare=False)


def load_config(
    source: str | Path | Mapping[str, object] | RunConfig,
    *,
    catalog: Catalog,
    instances: Mapping[str, object] | None = None,
    overrides: Sequence[str] = (),
) -> LoadedConfig:
    """Read a configuration and check all of it.

    Args:
        source: a YAML or JSON file, a mapping, or a `RunConfig`.
        catalog: what is installed.
        instances: plugin objects from Python, by the names that sections use for them.
        overrides: `KEY=VALUE`, each put over what the source says.

    Raises:
        ConfigError: something is wrong; `problems` holds a line for each mistake.
    """
    document, folder = opened(source, overrides)
    return checked(document, folder, catalog, instances)


def opened(
    source: str | Path | Mapping[str, object] | RunConfig, overrides: Sequence[str] = ()
) -> tuple[Document, Path]:
    """Return what was written, overrides put over it, and the folder that its relative paths start at."""
    document, folder = _document(source)
    override(document, overrides)
    return document, folder


def checked(
    document: Document, folder: Path, catalog: Catalog, instances: Mapping[str, object] | None = None
) -> LoadedConfig:
    """Check all of a document that `opened` returned; arguments and errors are those of `load_config`."""
    report = Report(document)
    given = dict(instances or {})
    _check_instances(given, catalog, report)
    for key in document.data.keys() - RunConfig.model_fields.keys():
        report.add_key((key,), unknown(key, list(RunConfig.model_fields), "a configuration"))
    sections = list(named_sections(document, catalog, report))
    check_names(sections, catalog, report)
    for name in given.keys() - {section.use for section in sections}:
        report.add((), f"the plugin {name!r} is passed from Python but no section names it; add it to methods:")
    loading = _Loading(catalog, given, folder, report)
    plugins = [loading.plugin(section) for section in sections]
    training = _training(document, report)
    compare = _compare(document, report)
    output = _output(document, report)
    if report.lines:
        raise ConfigError(report.sorted()) from loading.cause
    found = tuple(plugin for plugin in plugins if plugin is not None)
    run = _run(found, training, output).model_copy(update={"compare": compare})
    return LoadedConfig(run, found, folder)


def _document(source: str | Path | Mapping[str, object] | RunConfig) -> tuple[Document, Path]:
    """Return what was written and the folder that its relative paths start at."""
    if isinstance(source, RunConfig):
        return mapping_document(_as_mapping(source)), Path.cwd()
    if isinstance(source, Mapping):
        return mapping_document(source), Path.cwd()
    if not isinstance(source, str | Path):
        raise ConfigError([f"config: found {found(source)}, wanted a path, a mapping or a RunConfig"])
    document = read_document(Path(source), starts_with="'task:' and 'data:'")
    return document, Path(source).absolute().parent


def _as_mapping(run: RunConfig) -> dict[str, object]:
    many = {key: [_section_mapping(one) for one in getattr(run, key)] for key in ("data", "methods", "rules")}
    output = None if run.output is None else str(run.output)
    compare = {} if run.compare is None else {"compare": run.compare.model_dump(mode="json")}
    training = run.training.model_dump()
    return {"task": _section_mapping(run.task), **many, "training": training, **compare, "output": output}


def _section_mapping(section: Section) -> dict[str, object]:
    name = {} if section.name is None else {"name": section.name}
    return {"use": section.use, **name, **section.settings}


def _check_instances(given: Mapping[str, object], catalog: Catalog, report: Report) -> None:
    for name, instance in given.items():
        if isinstance(instance, type):
            report.add((), f"the plugin {name!r} is passed as a class; pass an object: {instance.__name__}(…)")
        rival = next((entry for entry in catalog if entry.name == name), None)
        if rival is not None:
            report.add((), f"the plugin {name!r} is passed from Python and installed by {rival.origin}; rename yours")


def _training(document: Document, report: Report) -> Training:
    raw = document.data.get("training")
    if raw is None:
        return Training()
    if not isinstance(raw, dict):
        report.add(("training",), f"found {found(raw)}, wanted a mapping")
        return Training()
    try:
        return Training.model_validate(raw)
    except ValidationError as error:
        _report(error, Training, raw, "training", ("training",), report)
        return Training()


def _compare(document: Document, report: Report) -> Compare | None:
    raw = document.data.get("compare")
    if raw is None:
        return None
    if not isinstance(raw, dict):
        report.add(("compare",), f"found {found(raw)}, wanted a mapping")
        return None
    try:
        return Compare.model_validate(raw)
    except ValidationError as error:
        _report(error, Compare, raw, "compare", ("compare",), report)
        return None


def _report(
    error: ValidationError, model: type[BaseModel], raw: object, owner: str, where: Keys, report: Report
) -> None:
    for below, text, at_key in explain(error, model, raw, owner):
        (report.add_key if at_key else report.add)((*where, *below), text)


def _output(document: Document, report: Report) -> Path | None:
    raw = document.data.get("output")
    if isinstance(raw, str | Path) and str(raw):
        return Path(raw)
    if raw is not None:
        report.add(("output",), f"found {found(raw)}, wanted a path")
    return None


@dataclass(slots=True)
class _Loading:
    """The second pass: each section by its plugin's own `Config`."""

    catalog: Catalog
    given: dict[str, object]
    folder: Path
    report: Report
    cause: Exception | None = None

    def plugin(self, section: Named) -> NamedPlugin | None:
        if section.use in self.given:
            instance = self.given[section.use]
            self._take_none(section, f"plugin {section.use!r}, an object from Python")
            return self._named(section, None, type(instance), None, instance)
        try:
            entry = self.catalog.entry(section.family, section.use)
            cls = entry.load()
            model = _config_of(cls, entry)
        except PluginError as error:
            self.cause = self.cause or error
            self.report.add(section.use_at, str(error))
            return None
        if model is None:
            self._take_none(section, f"plugin {section.use!r}")
            return self._named(section, entry, cls, None)
        config = self._settings(section, model)
        return None if config is None else self._named(section, entry, cls, config)

    def _settings(self, section: Named, model: type[BaseModel]) -> BaseModel | None:
        try:
            return model.model_validate(section.settings, context={"folder": self.folder}, extra="forbid")
        except ValidationError as error:
            _report(error, model, section.settings, f"plugin {section.use!r}", section.where, self.report)
            return None

    def _take_none(self, section: Named, owner: str) -> None:
        for key in section.settings:
            self.report.add_key((*section.where, key), unknown(key, [], owner))

    def _named(
        self, section: Named, entry: Entry | None, cls: type, config: BaseModel | None, instance: object = None
    ) -> NamedPlugin:
        where = dotted(section.where)
        return NamedPlugin(section.name, section.use, section.family, where, entry, cls, config, instance)


def _config_of(cls: type, entry: Entry) -> type[BaseModel] | None:
    """Return the plugin's `Config`, which must be a model that leaves our two keys alone."""
    model = getattr(cls, "Config", None)
    if model is None:
        return None
    fault = ""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        fault = "is not a pydantic model"
    else:
        taken = sorted({"use", "name"} & model.model_fields.keys())
        fault = f"has a field {taken[0]!r}, which every section has already" if taken else ""
    if fault:
        raise PluginError(
            f"plugin {entry.name!r} of {entry.origin} cannot be used: its Config {fault}; "
            f"report it to the authors of {entry.distribution!r}"
        )
    return cast("type[BaseModel]", model)


def _run(plugins: tuple[NamedPlugin, ...], training: Training, output: Path | None) -> RunConfig:
    """Put the run together with every section's defaults filled in."""
    sections = {family: tuple(_filled(one) for one in plugins if one.family == family) for family in KEYS}
    return RunConfig(
        task=sections["task"][0],
        data=sections["data"],
        methods=sections["method"],
        rules=sections["rule"],
        training=training,
        output=output,
    )


def _filled(plugin: NamedPlugin) -> Section:
    settings: dict[str, object] = {}
    if plugin.config is not None:
        # A default that its own annotation would not take is the author's affair, not a warning of the user's.
        settings = plugin.config.model_dump(mode="json", by_alias=True, fallback=found, warnings=False)
    name = None if plugin.name == plugin.use else plugin.name
    return Section.model_validate({**settings, "use": plugin.use, "name": name})


def resolved(loaded: LoadedConfig) -> dict[str, object]:
    """Return the whole configuration as plain values, defaults included; `load_config` takes it back.

    Objects that were passed from Python (a frame as data) are only described.
    """
    run = loaded.run
    return {**_as_mapping(run), "training": run.training.model_dump(mode="json")}

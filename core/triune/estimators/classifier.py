"""The estimator: a run behind `fit`, a finished run behind `predict`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np  # noqa: TID253 - this module is scikit-learn's
from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: TID253
from sklearn.utils.validation import check_is_fitted  # noqa: TID253

from triune.catalog import task_for_text
from triune.errors import DataError, TriuneError
from triune.estimators.choosing import Given, methods_for, reader, rules_of
from triune.estimators.columns import answers_of, plain, table_of, weights_of
from triune.estimators.kept import Kept
from triune.estimators.naming import naming_of
from triune.spaces import PROBABILITY

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from triune.types import Rule

RULES, LABEL, WEIGHT, PREFIX = "rules", "label of the example", "weight of the example", "training__"
NUMBERED = "the classes are numbers here, as ensembles number them: give their names, in sorted order, as `labels`"


class TextClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Fine-tune a language model with labels, with rules, or with both; predict with it.

    ```python
    from triune.sklearn import TextClassifier

    model = TextClassifier(rules="rules.yaml", training={"epochs": 5})
    model.fit(texts, labels).predict_proba(more_texts)
    ```

    Attributes:
        classes_: (classes,) what `y` held, sorted; of several labels an example, the columns of `y`.
        labels_: the name of each, as rules say it.
        metrics_: those of the run, by split.
        notes_: what the plan of the run has to say.
        n_iter_: how many steps it learnt.
    """

    def __init__(
        self,
        *,
        model: str | None = None,
        methods: Sequence[object] | None = None,
        rules: str | Path | Iterable[Rule] | None = None,
        labels: Sequence[str] | None = None,
        text: str = "text",
        task: str | Mapping[str, object] | None = None,
        training: Mapping[str, object] | None = None,
        random_state: int | np.random.RandomState | None = None,
        plugins: Mapping[str, object] | None = None,
    ) -> None:
        """Keep the parameters as they are; `fit` looks at them.

        Args:
            model: a folder, or an id of the hub; None: the small encoder that comes with triune's extra.
            methods: sections of methods, as a configuration has them; None: those of the installed default strategy.
            rules: the path of a rule file, or rules.
            labels: the names of the classes in their sorted order, where rules call them otherwise than `y` does.
            text: the column of frames that holds the text.
            task: the task, by name or as a section; None: the installed one that classifies texts.
            training: keys of `training`; `training__learning_rate` sets one of them.
            random_state: the seed, or what draws it; None: `training`'s, or 42.
            plugins: plugin objects, by the names that `methods` use.
        """
        self.model = model
        self.methods = methods
        self.rules = rules
        self.labels = labels
        self.text = text
        self.task = task
        self.training = training
        self.random_state = random_state
        self.plugins = plugins

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters; deep ones hold every key of `training` as `training__KEY`."""
        from triune.settings import Training

        params = dict(super().get_params(deep=False))
        if deep:
            given = self.training if isinstance(self.training, Mapping) else {}  # what else it is, `fit` says
            defaults = {name: field.default for name, field in Training.model_fields.items()}
            params |= {PREFIX + key: given.get(key, default) for key, default in defaults.items()}
        return params

    def set_params(self, **params: Any) -> Self:  # noqa: ANN401
        """Set parameters; `training__KEY` sets a key of `training`."""
        keys = {name.removeprefix(PREFIX): value for name, value in params.items() if name.startswith(PREFIX)}
        super().set_params(**{name: value for name, value in params.items() if not name.startswith(PREFIX)})
        if keys:
            self.training = {**(self.training or {}), **keys}
        return self

    def fit(
        self,
        X: object,  # noqa: N803 - scikit-learn's name
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        unlabelled: object = None,
    ) -> Self:
        """Learn from texts and labels.

        Args:
            X: (examples,) texts, or a frame with a column of them; rules may ask for its other columns.
            y: (examples,) classes, None or NaN where there is none; or (examples, labels) of zeros and ones, a row of
                NaN where there is none: a frame's columns name the labels.
            sample_weight: (examples,) how much each counts.
            unlabelled: more texts, without labels, for methods that learn from such.

        Raises:
            TriuneError: something is wrong; nothing was learnt.
        """
        import triune

        table = table_of(X, self.text)
        cells, names = answers_of(y, len(table))
        naming = naming_of(cells, names if self.labels is None else self.labels)
        rules = () if self.rules is None else rules_of(self.rules)
        named = {RULES: Given(rules)} if rules else {}
        frame = self._training_table(table, naming.cells(cells), sample_weight)
        frames = (
            {"train": frame} if unlabelled is None else {"train": frame, "unlabelled": table_of(unlabelled, self.text)}
        )
        config = self._configuration(naming.labels, naming.several, WEIGHT in frame.columns, named)
        with tempfile.TemporaryDirectory(prefix="triune-") as folder:
            output = Path(folder) / "run"
            try:
                result = triune.run(config, data=frames, plugins={**named, **(self.plugins or {})}, output=output)
            except TriuneError as error:
                if named and self.labels is None and naming.classes.dtype.kind in "iu":
                    error.add_note(NUMBERED)
                raise
            self._kept = Kept.of(output)
        self._naming, self._given = naming, named
        self.classes_, self.labels_ = naming.classes, naming.labels
        self.metrics_, self.notes_ = dict(result.metrics), list(result.facts["notes"])  # type: ignore[arg-type]
        self.n_iter_ = int(result.facts["ended"]["step"])  # type: ignore[index, call-overload, arg-type]
        return self

    def predict(self, X: object) -> NDArray[Any]:  # noqa: N803
        """Return (examples,) classes, or (examples, labels) of zeros and ones."""
        decided: NDArray[Any] = self._naming_of_fitted().decided(self._predicted(X)["predicted"].tolist())
        return decided

    def predict_proba(self, X: object) -> NDArray[np.float64]:  # noqa: N803
        """Return (examples, classes) the probability of each class, in the order of `classes_`."""
        self._naming_of_fitted()
        columns = [PROBABILITY + name for name in self.labels_]
        p: NDArray[np.float64] = self._predicted(X)[columns].to_numpy(dtype=np.float64)
        return p if self._naming.several else p / p.sum(axis=1, keepdims=True)

    def save(self, folder: str | Path) -> Path:
        """Write the finished run, whose `model` plain transformers loads, into a new folder; return it."""
        check_is_fitted(self)
        place = Path(folder)
        if place.exists() and any(place.iterdir()):
            raise DataError(f"{str(place)!r} is not empty: give a new folder")
        self._kept.write(place)
        return place

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether `fit` has come to its end."""
        return hasattr(self, "_kept")

    def __sklearn_tags__(self) -> Any:  # noqa: ANN401
        """Return what scikit-learn wants to know: texts in one dimension, several labels an example allowed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False, True
        tags.classifier_tags.multi_label = True
        tags.non_deterministic = False
        return tags

    def _naming_of_fitted(self) -> Any:  # noqa: ANN401
        check_is_fitted(self)
        return self._naming

    def _predicted(self, X: object) -> pd.DataFrame:  # noqa: N803
        return self._kept.predicted(table_of(X, self.text), {**self._given, **(self.plugins or {})})

    def _training_table(
        self, table: pd.DataFrame, cells: Sequence[object], sample_weight: ArrayLike | None
    ) -> pd.DataFrame:
        import pandas as pd

        frame = table.assign(**{LABEL: pd.Series(list(cells), dtype=object)})
        return frame if sample_weight is None else frame.assign(**{WEIGHT: weights_of(sample_weight, len(frame))})

    def _configuration(
        self, labels: Sequence[str], several: bool, weighted: bool, named: Mapping[str, object]
    ) -> dict[str, object]:
        from triune.models import PACKAGED

        task = {"use": self.task or task_for_text()} if not isinstance(self.task, Mapping) else dict(self.task)
        columns = {"text": self.text, "label": LABEL, **({"weight": WEIGHT} if weighted else {})}
        seed = {} if self.random_state is None else {"seed": _seed(self.random_state)}
        settings = {"model": self.model or next(iter(PACKAGED)), "labels": list(labels), "multi_label": several}
        return {
            "task": {**settings, **plain(task)},
            "data": {"use": reader(), **columns},
            "methods": plain(list(self.methods)) if self.methods is not None else methods_for(bool(named)),
            "rules": list(named),
            "training": {"baselines": False, **plain(self.training or {}), **seed},
        }


def _seed(random_state: int | np.random.RandomState) -> int:
    """Return the seed of a run: the number itself, or one drawn as scikit-learn draws."""
    if isinstance(random_state, np.random.RandomState):
        return int(random_state.randint(np.iinfo(np.int32).max))
    seed: int = plain(random_state)
    return seed

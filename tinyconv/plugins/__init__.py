"""What a model, a data set and a task are: the whole specification for plugin authors.

A distribution adds them by entry points; tinyconv's own use the same three groups.

    [project.entry-points]
    "tinyconv.models" = {lenet5 = "my_package.lenet:lenet5"}
    "tinyconv.datasets" = {emnist = "my_package.emnist:emnist"}
    "tinyconv.tasks" = {detect = "my_package.detect:Detect"}

Listings read the first line of the target's docstring without an import; a model's says
"N parameters" at its usual size. Your module is imported when its entry is first used. It must
not print, and must import slow packages such as Keras inside functions. Where the user can correct
something, raise `tinyconv.UserError` with one sentence.

Import from here, from `tinyconv` and from its public modules; all other modules may move. All
three may have attributes, most for `tinyconv.checks`; a promise is one of its conformance checks:

    small               arguments (for a task: settings) that make it quick to try
    expected_failures   {promise: why its check fails}
    pretrained          of a model, a `Pretrained`: weights that `tinyconv fit --from MODEL` takes
    examples            known answers, supplied by the author; without them promises are skipped
"""

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from tinyconv.results import Evaluation, Picture, Prediction, Table
from tinyconv.system import lazy

API = 2  # version of this specification; a package states its own as TINYCONV_API
OLDEST_API = 1  # still works, with warnings; assumed where a package states none

if TYPE_CHECKING:
    import keras

    # Plugins may import these from here, too; they are loaded on first use.
    from tinyconv.data import Dataset, Split, split_by_class
    from tinyconv.data.cache import Source, Sources, cached, fingerprint
    from tinyconv.data.decode import decode, resize
    from tinyconv.data.image_files import read_pictures
    from tinyconv.data.pipeline import steps_per_epoch, training_batches, whole_batches
    from tinyconv.data.selection import labelled_split, own
    from tinyconv.data.settings import (
        DataSettings,
        EvaluateOptions,
        ExampleSettings,
        PredictOptions,
        ResizeOptions,
    )
    from tinyconv.data.text import Text, TextOptions, sentences
    from tinyconv.precision import policy
    from tinyconv.recipe import RecipeSettings, TrainingSettings
    from tinyconv.report.curves import curves
    from tinyconv.report.figures import grid, png
    from tinyconv.runs import Run
    from tinyconv.settings import NoOptions, setting
    from tinyconv.tasks import PictureSettings, begin
    from tinyconv.tasks.network import build_network, network_body, settle_network
    from tinyconv.tasks.pretrained import Pretrained
    from tinyconv.training import Training, compile_model, describe_model


def __getattr__(name):
    names = lazy.exports(__file__)
    if name in names:
        return getattr(importlib.import_module(names[name]), name)
    raise AttributeError(f"tinyconv.plugins has no {name!r}; it has {', '.join(names)}")


class Model(Protocol):
    """Builds an untrained network: pixels 0 to 255 (B, H, W, C) to scores (B, classes), float32.

    Sizes (widths, depths) are keyword arguments with defaults, as is `activation` ("prelu",
    "prelu-shared" or "relu") where rectifiers can be chosen. Each of them changes the network.
    """

    def __call__(
        self, input_shape: tuple[int, int, int], classes: int, **sizes: Any
    ) -> "keras.Model": ...


class DatasetLoader(Protocol):
    """Opens a data set from local files at `root`, or without them if it can.

    `image_size` scales and crops pictures to a square of this many pixels, and scales boxes and
    targets that are maps (rows of numbers, one per pixel) with them. `skip_corrupt` leaves out
    unreadable files; otherwise such a file, of targets too, raises an error that names it.

    A data set whose inputs are not pictures takes `root` alone, and returns
    Dataset(name, classes, {"train": Split(None, labels, names, inputs=[...]), ...}, unit="words").

    `examples` is {split: {name or number: answer}}, such as {"train": {"cats/7.png": "cat"}}. An
    answer is a class's name, a label, a target or the part of it to compare, or a function of
    (picture, target) that says whether they match.
    """

    def __call__(
        self, root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
    ) -> "Dataset": ...


@runtime_checkable
class Loop(Protocol):
    """A training before its next step; `tinyconv.training.Training` is one.

    `name` becomes part of a new run's folder name.
    """

    name: str

    def run(self) -> None:
        """Train for as long as the settings specify, with `run.save` at the ends of epochs."""


class Task(Protocol):
    """Something to learn, and the verbs for its runs. The class takes no arguments.

    `Settings`, `Evaluate` and `Predict` are frozen dataclasses of `setting` fields. `Settings`
    gives the options of `tinyconv fit`, the Python arguments and settings.json; the others give
    the options of `tinyconv evaluate RUN` and `tinyconv predict RUN`. `run.options` holds the
    settings, and `run.catalogue.find` returns any registered model or data set. No verb prints on
    standard output.

    `examples` is a list of (input, answer). An input is a file, a text, or (split, number) of the
    run's data as `--limit` leaves it. The answer is that of a run that was trained on 32 pictures
    for 30 epochs: what matters in the first of `Prediction.answers`, or a function of all of them
    that says whether they are right:

        examples = [(("train", 0), {"label": "cat"})]
    """

    Settings: ClassVar[type]
    Evaluate: ClassVar[type]
    Predict: ClassVar[type]

    def prepare(self, run: "Run") -> Loop:
        """The training of `run`, from its last save if it has a folder; nothing is written yet.

        `begin(run)` is the first half of it for every task on a data set. `run.add(**facts: Any)
        -> None` takes further facts for settings.json, which JSON can hold; `run.settings` has
        them later. `fit --check`, `lr-find` and `verify` pass a run that never gets a folder.
        """
        ...

    def evaluate(self, run: "Run", options: Any) -> Evaluation | dict[str, float]:
        """Measure the run; `options` is an `Evaluate`."""
        ...

    def predict(self, run: "Run", inputs: Sequence[str], options: Any) -> Iterator[Prediction]:
        """Yield a prediction for each input; `options` is a `Predict`."""
        ...

    def pictures(self, run: "Run") -> Iterable[Picture | Table]:
        """The figures and tables of the report."""
        ...


@runtime_checkable
class Explains(Protocol):
    """A task for `tinyconv explain RUN`; like those below, an optional ability."""

    Explain: ClassVar[type]

    def explain(self, run: "Run", inputs: Sequence[str], options: Any) -> Iterator[Picture]:
        """Figures that explain the run's prediction for each input."""
        ...


@runtime_checkable
class Averages(Protocol):
    """A task whose runs can be averaged: `tinyconv evaluate RUN RUN ...`."""

    def ensemble(self, runs: Sequence["Run"], options: Any) -> list[Evaluation]:
        """Measure each run, and last their ensemble, on the data of the first run."""
        ...


@runtime_checkable
class Compares(Protocol):
    """A task with figures of its own for `tinyconv report RUN RUN ...`."""

    def comparison(self, runs: "Mapping[str, Run]") -> Iterable[Picture | Table]:
        """The figures and tables of several runs of the task together, by the runs' names."""
        ...


@runtime_checkable
class StartsFromBody(Protocol):
    """A task for `tinyconv fit --from RUN` or `--from MODEL`: a new head on a trained body.

    Its `Settings` are PictureSettings. `prepare` calls `settle_network(run)`, then `begin`, then
    `build_network`. `--from` accepts runs of this task and `Pretrained` models.
    """

    def body(self, model: "keras.Model") -> "keras.Model":
        """The part of a run's network to start from: pixels (B, H, W, C) to features (B, D)."""
        ...


class ReadsText(Protocol):
    """A task that takes text beside files: the class attribute `reads_text` is True.

    `predict` and `explain` then get a `Text` for an argument that names no file or folder, and for
    each line of standard input where that is `-`; `sentences(inputs)` yields (source, text) for
    all. `Settings` are ExampleSettings, `Predict` is TextOptions; at least three of `examples` are
    texts.
    """

    reads_text: ClassVar[bool]


@runtime_checkable
class ExportsSeveral(Protocol):
    """A task with several networks, which `tinyconv export RUN` writes."""

    def networks(self, run: "Run") -> "dict[str, keras.Model]":
        """The networks by the names of their files."""
        ...

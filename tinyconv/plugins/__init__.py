"""What a model, a data set and a task are: the whole specification for plugin authors.

A distribution adds them by entry points; tinyconv's own use the same three groups.

    [project.entry-points."tinyconv.models"]
    lenet5 = "my_package.lenet:lenet5"
    [project.entry-points."tinyconv.datasets"]
    emnist = "my_package.emnist:emnist"
    [project.entry-points."tinyconv.tasks"]
    detect = "my_package.detect:Detect"

Listings show the first line of the docstring of what an entry point names, read without
importing it; a model's says "N parameters" at its usual size. A module is imported when its
entry is used: it prints nothing, and what is slow to import (Keras) waits inside functions.
Raise `tinyconv.UserError`, one sentence, for what the user can mend.

Import from here, from `tinyconv` and from its public modules; all other modules may move.

Any of the three may carry attributes that `tinyconv.checks` reads:

    small               arguments (of a task: settings) that make it quick to try
    expected_failures   {promise: why it is not kept}
    examples            right answers, which only the author knows; without them what depends on
                        them is skipped. Of a data set and of a task: see there.
"""

import importlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from tinyconv.results import Evaluation, Picture, Prediction, Table
from tinyconv.system import lazy

API = 2  # of this specification; a package says which it is made for by TINYCONV_API
OLDEST_API = 1  # that still works, with warnings; a package that says nothing is of 1

if TYPE_CHECKING:
    import keras

    # What plugins may import from here beside the specification; loaded on first use.
    from tinyconv.data import Dataset, Split
    from tinyconv.data.cache import Source, Sources, cached, fingerprint
    from tinyconv.data.decode import decode, resize
    from tinyconv.data.image_files import read_pictures
    from tinyconv.data.pipeline import steps_per_epoch, training_batches, whole_batches
    from tinyconv.data.selection import (
        DataSettings,
        EvaluateOptions,
        ExampleSettings,
        PredictOptions,
        ResizeOptions,
        labelled_split,
        own,
    )
    from tinyconv.data.text import Text, TextOptions, sentences
    from tinyconv.precision import policy
    from tinyconv.recipe import RecipeSettings, TrainingSettings
    from tinyconv.report.figures import curves, grid, png
    from tinyconv.runs import Run
    from tinyconv.settings import NoOptions, setting
    from tinyconv.tasks import PictureSettings, begin
    from tinyconv.training import Training, compile_model, describe_model


def __getattr__(name):
    names = lazy.exports(__file__)
    if name in names:
        return getattr(importlib.import_module(names[name]), name)
    raise AttributeError(f"tinyconv.plugins has no {name!r}; it has {', '.join(names)}")


class Model(Protocol):
    """Builds an untrained network: pixels 0 to 255 (B, H, W, C) to float32 scores (B, classes).

    Sizes (widths, depths) are keyword arguments with defaults. A network whose rectifiers can
    be chosen takes `activation` ("prelu", "prelu-shared" or "relu") among them. Each of them
    changes the network.
    """

    def __call__(
        self, input_shape: tuple[int, int, int], classes: int, **sizes: Any
    ) -> "keras.Model": ...


class DatasetLoader(Protocol):
    """Opens a data set from local files at `root`, or without them if it can.

    `image_size` scales and crops pictures to a square of so many pixels, and with them boxes and
    targets that are maps: rows of numbers, one a pixel. `skip_corrupt` leaves out files that
    cannot be read, which are otherwise refused by name, targets' files too.

    A data set of other inputs than pictures takes `root` alone, and gives
    Dataset(name, classes, {"train": Split(None, labels, names, inputs=[...]), ...}, unit="words").

    `examples` is {split: {name or number: answer}}: a class's name, a label, a target or the
    part of it that counts, or a function of (picture, target) that says whether they fit:

        my_data.examples = {"train": {"cats/007.png": "cat"}}
    """

    def __call__(
        self, root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
    ) -> "Dataset": ...


@runtime_checkable
class Loop(Protocol):
    """A training before its next step; `tinyconv.training.Training` is one.

    `name` is what a new run's folder is called after.
    """

    name: str

    def run(self) -> None:
        """Train to the end of the settings, with `run.save` at the ends of epochs."""
        ...


class Task(Protocol):
    """Something to learn, and the verbs that a run of it answers.

    `Settings`, `Evaluate` and `Predict` are frozen dataclasses of `setting` fields. The options
    of `tinyconv fit`, the Python arguments and settings.json come from the first, those of
    `tinyconv evaluate RUN` and `tinyconv predict RUN` from the others. The class is made without
    arguments; `run.options` holds the settings, and `run.catalogue.find` gives any registered
    model or data set. No verb prints on standard output.

    `examples` is a list of (input, answer): a file, a text, or (split, number) of the run's data
    as `--limit` leaves it, and
    what it says of it when it has seen 32 pictures 30 times: what counts of the first of
    `Prediction.answers`, or a function of all of them that says whether they are right:

        examples = [(("train", 0), {"label": "cat"})]
    """

    Settings: ClassVar[type]
    Evaluate: ClassVar[type]
    Predict: ClassVar[type]

    def prepare(self, run: "Run") -> Loop:
        """The training of `run`, from its last save if it has a folder; nothing is written yet.

        `begin(run)` is the first half of it for every task on a data set. What settings.json is to
        hold beside the settings goes to `run.add`. `fit --check`, `lr-find` and `verify` call it
        with a run that never gets a folder.
        """
        ...

    def evaluate(self, run: "Run", options: Any) -> Evaluation | dict[str, float]:
        """Measure the run; `options` is an `Evaluate`."""
        ...

    def predict(self, run: "Run", inputs: Sequence[str], options: Any) -> Iterator[Prediction]:
        """Answer for each input; `options` is a `Predict`."""
        ...

    def pictures(self, run: "Run") -> Iterable[Picture | Table]:
        """What the report shows."""
        ...


# What a task may be able to do beside that -------------------------------------------------


@runtime_checkable
class Explains(Protocol):
    """A task whose runs can be asked why: `tinyconv explain RUN`, with the options `Explain`."""

    Explain: ClassVar[type]

    def explain(self, run: "Run", inputs: Sequence[str], options: Any) -> Iterator[Picture]:
        """Drawings of why the run answers as it does for each input."""
        ...


@runtime_checkable
class Averages(Protocol):
    """A task whose runs have a mean answer: `tinyconv evaluate RUN RUN ...`."""

    def ensemble(self, runs: Sequence["Run"], options: Any) -> list[Evaluation]:
        """Measure each run on the data of the first, and last of all their mean answer."""
        ...


class ReadsText(Protocol):
    """A task whose `predict` takes text beside files: the class attribute `reads_text` is True.

    `predict` then gets a `Text` for an argument that names no file or folder, and for each line
    of standard input where that is `-`; `sentences(inputs)` gives (source, text) of all. Its
    `Settings` are ExampleSettings with a `data` of its own, its `Predict` TextOptions; three or
    more of its `examples` are texts.
    """

    reads_text: ClassVar[bool]


@runtime_checkable
class ExportsSeveral(Protocol):
    """A task that answers with several networks, which `tinyconv export RUN` writes."""

    def networks(self, run: "Run") -> "dict[str, keras.Model]":
        """The networks by the names of their files."""
        ...

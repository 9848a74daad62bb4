"""What a model, a data set and a task are: the whole specification for plugin authors.

A distribution adds them by entry points; tinyconv's own use the same three groups.

    [project.entry-points."tinyconv.models"]
    lenet5 = "my_package.lenet:lenet5"
    [project.entry-points."tinyconv.datasets"]
    emnist = "my_package.emnist:emnist"
    [project.entry-points."tinyconv.tasks"]
    detect = "my_package.detect:Detect"

Listings show the first line of the docstring of what an entry point names, read without
importing it; a model's says "N parameters" at its usual size.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    import keras

    from tinyconv.data import Dataset
    from tinyconv.pictures import Picture
    from tinyconv.runs import Run


class Model(Protocol):
    """Builds an untrained network that takes pixels 0 to 255 and gives float32 logits."""

    def __call__(
        self, input_shape: tuple[int, int, int], classes: int, activation: str = "prelu"
    ) -> "keras.Model": ...


class DatasetLoader(Protocol):
    """Opens a data set from local files, or downloads it when `root` is None."""

    def __call__(
        self, root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
    ) -> "Dataset": ...


@dataclass(frozen=True)
class Evaluation:
    """A run's numbers on one split of a data set."""

    data: str
    split: str
    pictures: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class Prediction:
    """The answers to one input, the best first, each as it appears in `--json`."""

    input: str
    answers: list[dict[str, Any]]


class Task(Protocol):
    """Something to learn, and the verbs that a run of it answers.

    `Settings` is a frozen dataclass of `tinyconv.settings.setting` fields; the command's
    options, the Python arguments and settings.json all come from it.
    """

    name: ClassVar[str]
    Settings: ClassVar[type]

    def fit(self, run: "Run") -> None:
        """Train; call `run.create` once nothing can be refused any more."""

    def evaluate(self, run: "Run", **where: Any) -> Evaluation:
        """Measure the run on its own data, or on `data`, `root` and `split`."""

    def predict(self, run: "Run", inputs: Sequence[str], **how: Any) -> Iterator[Prediction]:
        """Answer for each input."""

    def pictures(self, run: "Run") -> Iterable["Picture"]:
        """What the report shows."""

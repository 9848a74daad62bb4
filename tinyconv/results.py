"""Return values of a task's verbs: metrics, predictions, and the content of a report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Evaluation:
    """A run's metrics, and the data they were measured on.

    Attributes:
        metrics: {name: value}.
        data: the name of the data set; None if unknown, as are `split` and the counts.
        split: "train", "validation" or "test".
        pictures: the number of examples, if they are pictures.
        count: the number of examples of any kind.
    """

    metrics: dict[str, float]
    data: str | None = None
    split: str | None = None
    pictures: int | None = None
    count: int | None = None

    def with_count(self) -> "Evaluation":
        """Fill in a missing count.

        Returns:
            The Evaluation with `pictures` as its `count`, if it had none.
        """
        return self if self.count is not None else replace(self, count=self.pictures)


def counted(result: Mapping, unit: str | None = None) -> str:
    """The number and kind of examples in an evaluation: "359 test pictures of digits".

    Args:
        result: the fields of an Evaluation, as settings.json has them; with a split.
        unit: the plural noun for the examples, such as "sentences"; "pictures" or "examples" for
            None.
    """
    pictures, split, data = (result[name] for name in ("pictures", "split", "data"))
    count = result.get("count")
    if count is None:  # a result of version 0.1, which only counts pictures
        count = pictures
    if unit is None:
        unit = "examples" if pictures is None else "pictures"
    noun = unit.removesuffix("s")
    return f"{plural(count, f'{split} {noun}')} of {data}"


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 step", "2,000 steps"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def subset(metrics: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    """Those of the metrics that are printed and drawn after each epoch, by their names."""
    return {name: metrics[name] for name in names if name in metrics}


def rounded(value: float) -> str:
    """A metric for people: "0.9916", "12.5000", and from 1,000 on without decimals, "708,240"."""
    return f"{value:.4f}" if abs(value) < 1000 else f"{value:,.0f}"


def metric_cells(metrics: Mapping[str, float]) -> list[str]:
    """Each metric with its name, for people: ["loss 0.5717", "top1 0.9916"]."""
    return [f"{name} {rounded(value)}" for name, value in metrics.items()]


@dataclass(frozen=True)
class Prediction:
    """The predictions for one input.

    Attributes:
        input: the name of the file, or the text.
        answers: one dict per answer, the best first, as in `--json`.
        line: its line in a file with one line per input, such as a course's submission.
    """

    input: str
    answers: list[dict[str, Any]]
    line: str | None = None


@dataclass(frozen=True)
class Picture:
    """A figure for the run folder and the report.

    Attributes:
        name: the name of its file, without the ending.
        title: its heading in the report.
        caption: how to read it, in a sentence or a few.
        png: the bytes of a PNG file.
        alt: its text alternative; the title, if empty.
        plot: whether it has only lines and letters, so that a dark page may invert its colours.
    """

    name: str
    title: str
    caption: str
    png: bytes
    alt: str = ""
    plot: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of text for the report.

    Attributes:
        name: identifies the table.
        title: its heading in the report.
        caption: how to read it.
        header: the names of the columns; empty for none.
        rows: the cells of each row.
    """

    name: str
    title: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

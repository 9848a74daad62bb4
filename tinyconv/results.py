"""What the verbs of a task return: numbers, answers, and what a report shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Evaluation:
    """A run's numbers, and what they were measured on.

    `count` is the number of examples, and `pictures` the same where these are pictures.
    """

    metrics: dict[str, float]
    data: str | None = None
    split: str | None = None
    pictures: int | None = None
    count: int | None = None

    def with_count(self) -> "Evaluation":
        """The same, where pictures alone are counted with these as its count."""
        return self if self.count is not None else replace(self, count=self.pictures)


def counted(result: Mapping) -> str:
    """How many examples, and of what, a result was measured on: "359 test pictures of digits".

    Args:
        result: the fields of an Evaluation, as settings.json has them; with a split.
    """
    pictures, split, data = (result[name] for name in ("pictures", "split", "data"))
    count = result.get("count")
    if count is None:  # as of version 0.1, which has pictures alone
        count = pictures
    unit = "example" if pictures is None else "picture"
    return f"{plural(count, f'{split} {unit}')} of {data}"


def plural(count: int, noun: str) -> str:
    """A count with its noun: "1 step", "2,000 steps"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


@dataclass(frozen=True)
class Prediction:
    """The answers to one input, the best first, each as it appears in `--json`.

    `line` is what stands for it in a file of one line an input, such as a course's submission.
    """

    input: str
    answers: list[dict[str, Any]]
    line: str | None = None


@dataclass(frozen=True)
class Picture:
    """A plot for the run folder and the report; `caption` says how to read it.

    `alt` says what is seen to whoever cannot see it; the title, if not given. A `plot` is lines
    and letters alone, whose white a dark page may turn into black.
    """

    name: str
    title: str
    caption: str
    png: bytes
    alt: str = ""
    plot: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of text for the report; `caption` says how to read them."""

    name: str
    title: str
    caption: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]

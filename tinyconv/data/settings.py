"""The settings of a run's data, and the options about data of the verbs."""

from dataclasses import dataclass
from pathlib import Path

from tinyconv.data import ASPECTS
from tinyconv.settings import setting


@dataclass(frozen=True)
class ExampleSettings:
    """Data, for a task whose inputs are not pictures."""

    data: str = setting("digits", "Data set by name.")
    root: Path | None = setting(
        None, "Local copy of the data set (a folder or an archive), instead of a download."
    )
    limit: int | None = setting(
        None, "Use only this many examples of each split, for a quick trial.", minimum=1
    )


@dataclass(frozen=True)
class DataSettings(ExampleSettings):
    """Data."""

    data: str = setting("digits", "Data set by name, or a folder of class folders.")
    image_size: int | None = setting(
        None, "Scale and crop pictures to this size.", unit="pixels", minimum=8, maximum=1024
    )
    skip_corrupt: bool = setting(
        False, "Leave out files that cannot be read, and report their number."
    )
    aspect: str = setting(
        "crop",
        "Make pictures of a folder square: crop to the centre, pad with black, or stretch.",
        choices=ASPECTS,
    )
    labels: Path | None = setting(
        None,
        "CSV or TSV with the columns file, label and optionally split; for folders without class "
        "folders.",
    )


@dataclass(frozen=True)
class EvaluateOptions:
    """Data for the evaluation of a run."""

    data: str | None = setting(None, "Another data set with the same classes.")
    root: Path | None = setting(None, "Local copy of the data set (a folder or an archive).")
    split: str | None = setting(None, "train, validation or test.")


@dataclass(frozen=True)
class ResizeOptions:
    """How picture files become inputs of the network."""

    resize: bool = setting(False, "Scale and crop pictures of another size.")


@dataclass(frozen=True)
class PredictOptions(ResizeOptions):
    """How picture files are read for predictions."""

    skip_corrupt: bool = setting(False, "Leave out files that cannot be read.")

"""Shared by tasks on pictures: settings of a network of the zoo, and the start of a run."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from tinyconv.data import Dataset, division, selection
from tinyconv.data.settings import DataSettings
from tinyconv.errors import UserError
from tinyconv.recipe import RecipeSettings
from tinyconv.settings import setting
from tinyconv.system.paths import expanded
from tinyconv.tasks import network
from tinyconv.tasks.network import NetworkSettings


@dataclass(frozen=True)
class PictureSettings(RecipeSettings, NetworkSettings, DataSettings):
    """The settings of every task that trains a network of the zoo on pictures."""

    sizes: str = setting(
        "fixed",
        "Train at full resolution, or start at a lower one (progressive resizing), which is "
        "faster.",
        choices=("fixed", "growing"),
    )

    @classmethod
    def implied(cls, values: Mapping) -> dict:
        """The settings of the recipe, and the network for a run with --minutes.

        The recipe "fast" is for networks that start from scratch.
        """
        plain = {"recipe": "plain"} if values.get("from_") else {}
        return super().implied(plain | dict(values)) | network.implied(values)


def begin(run, dataset: Callable[..., Dataset] = selection.own) -> tuple:
    """Open the data of `run` and prepare everything that does not depend on its network.

    The path of a data folder becomes absolute, every random number generator is seeded, the device
    and the data are printed, and the coach checks them. The settings.json of a new run will
    describe the data.

    Args:
        run: the Run to be prepared; its options are ExampleSettings and TrainingSettings.
        dataset: opens the data of a run, and raises UserError for data that its task cannot learn.

    Returns:
        (the Dataset, the dtype policy's name, the compiled model of last.keras or None)

    Raises:
        UserError: where a resumed run would see other data than it began with.
    """
    from tinyconv import coach, training

    if selection.is_folder(run.catalogue, run.options.data):
        run.options = replace(run.options, data=str(expanded(run.options.data).resolve()))
        if getattr(run.options, "labels", None) is not None:
            run.options = replace(run.options, labels=expanded(run.options.labels).resolve())
    data = dataset(run)
    if "train" not in data.splits:
        raise UserError(
            f"{data.name} has no training pictures, only {' and '.join(data.splits)}; a folder "
            "train is missing."
        )
    policy = training.prepare(run, data.splits["train"].rows)
    selection.describe(data)
    selection.check_same(data, run.settings.get("data_sha256"))
    coach.examine_data(run, data)
    if run.path is None:
        run.add(**selection.facts(data))
        if data.division is not None:
            run.initial_files[division.FILE] = division.content(data.division)
    return data, policy, run.model("last", compiled=True) if run.state() else None

"""A training run: its folder, its settings, and the verbs of its task."""

import contextlib
import dataclasses
import datetime
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tinyconv import settings
from tinyconv.data import text
from tinyconv.errors import UserError, close_matches
from tinyconv.plugins import Loop
from tinyconv.results import Evaluation, Picture, Prediction, Table
from tinyconv.runs import schema
from tinyconv.runs.model_files import open_model
from tinyconv.runs.run_folder import RunFolder
from tinyconv.runs.verb_options import call
from tinyconv.system import files, provenance
from tinyconv.system.console import Log
from tinyconv.system.paths import expanded, on_disk

EXTENSIONS = ("epochs", "minutes", "steps")  # settings that may change when a run is resumed
SHIPPED = Path(__file__).with_name("shipped")
GROUP = "group.json"  # in a folder with several runs; see group.py


def runs_folder() -> Path:
    """The folder of all run folders: $TINYCONV_RUNS, or `runs` in the current folder."""
    return expanded(os.environ.get("TINYCONV_RUNS") or "runs")


class Run(RunFolder):
    """A training run: its folder, its settings, its history, its model, and its task's verbs.

    A new run has no folder before `create`, and until then nothing is written; `fit --check`,
    `lr-find` and `verify` use a run that never has one.

    Args:
        task: an instance of a task's class.
        options: the task's checked Settings.
        catalogue: its `find("models", name)` returns a model builder, and
            `find("datasets", name)` a data set loader; settings.json records their distributions.
        name: of the run folder; None for one made of the date and `create`'s default.
    """

    def __init__(self, task, options, catalogue, name: str | None = None):
        super().__init__()
        self.task = task
        self.options = options
        self.catalogue = catalogue
        self.name = name
        self.place: Path | None = None  # an empty folder to use, which the caller has locked
        self.log: Log | None = None
        self.changed: list[str] = []  # options of a resumed run that settings.json lacks so far
        self.exit_stack = contextlib.ExitStack()  # closed after the training: the folder's lock
        self.initial_files: dict[str, Path | bytes] = {}  # content of a new folder, by name

    def create(self, default_name: str, **facts) -> None:
        """Make the run folder and write settings.json.

        Args:
            default_name: the folder is called DATE-default_name unless the run has a name. An
                existing folder is never reused: the new one gets a number.
            facts: written to settings.json beside the settings.

        Raises:
            PluginError: a setting has the name of a fact, which would replace it.
        """
        values = {name: plain(value) for name, value in dataclasses.asdict(self.options).items()}
        for name in values.keys() & {*self.settings, *facts, *schema.FACTS}:
            raise self.catalogue.used["tasks"].plugin_error(
                f"has the setting {name}, which is also the name of a fact in settings.json"
            )
        today = datetime.date.today().isoformat()
        self.path = self.place or files.new_folder(
            runs_folder(), self.name or f"{today}-{default_name}"
        )
        if self.place is None:
            self.exit_stack.enter_context(files.only_writer(self.path))
        for name, content in self.initial_files.items():
            data = content if isinstance(content, bytes) else content.read_bytes()
            files.write(self.path / name, data)
        facts = {
            "task": self.catalogue.used["tasks"].short_name,
            **values,
            **(self.settings | facts),
            "setting_names": list(values),
            "plugins": self.catalogue.origins,
            "created": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
            "command_line": sys.argv,
            "git_commit": provenance.git_commit(),
            "versions": provenance.versions(),
            "machine": provenance.machine(),
        }
        self.settings = json.loads(json.dumps(facts))  # the values that `load` will read
        self._write_settings()
        self.log.open(self.path / "log.txt")

    def removed_settings(self) -> str | None:
        """A clause with the run's settings that its task no longer has; None without any."""
        names = settings.names(self.task.Settings)
        removed = [name for name in self.settings.get("setting_names", ()) if name not in names]
        if not removed:
            return None
        values = ", ".join(f"{name} {self.settings[name]}" for name in removed)
        entry = self.catalogue.used["tasks"]
        subject, verb = ("setting", "exists") if len(removed) == 1 else ("settings", "exist")
        return (
            f"the {subject} {values} no longer {verb} in the task {entry.short_name} of "
            f"{entry.distribution} {entry.version}"
        )

    def model(self, which: str = "best", compiled: bool = False):
        """Open the Keras model, in Keras' safe mode.

        Args:
            which: "best" for best.keras, "last" for last.keras.
            compiled: restore the optimizer too, under the dtype policy of the training.

        Returns:
            A new keras.Model, for pixels 0 to 255 where the task reads pictures.

        Raises:
            UserError: no checkpoint has been written yet, or the file cannot be opened.
        """
        policy = self.settings.get("policy", "float32") if compiled else None
        return open_model(self.model_file(which), policy, self.catalogue.packages)

    def keep_changes(self) -> None:
        """Write the changed options into settings.json, once the training accepts them."""
        values = {name: plain(getattr(self.options, name)) for name in self.changed}
        if any(self.settings.get(name) != values[name] for name in values if name in EXTENSIONS):
            values["extended"] = True
        if values:
            self.add(**values)
        self.changed = []

    # Verbs --------------------------------------------------------------------------------

    def prepare(self) -> Loop:
        """The task's training, from the run's last save, before its next step."""
        training = self.task.prepare(self)
        if not isinstance(training, Loop):
            raise self._blamed("prepare", training, "a Training, or a loop with a name and run()")
        return training

    def evaluate(self, **options) -> dict[str, float]:
        """Evaluate the run on its test split.

        Args:
            options: those of the task, such as `split=`; see `tinyconv evaluate RUN --help`.

        Returns:
            The metrics by name.

        Raises:
            UserError: the task has no such option, or a value does not fit.
        """
        return self.measure(**options).metrics

    def measure(self, **options) -> Evaluation:
        """Evaluate the run, as `evaluate`, with the data set, split and number of examples.

        Args:
            options: those of the task, as for `evaluate`.

        Returns:
            An Evaluation.

        Raises:
            UserError: the task has no such option, or a value does not fit.
        """
        measured = call(self.task, "evaluate", options, self)
        if isinstance(measured, dict):
            measured = Evaluation(measured)
        if not isinstance(measured, Evaluation):
            raise self._blamed("evaluate", measured, "an Evaluation or a dict")
        try:
            metrics = {name: float(value) for name, value in measured.metrics.items()}
        except (TypeError, ValueError) as error:
            raise self._blamed("evaluate", measured.metrics, "numbers") from error
        return dataclasses.replace(measured.with_count(), metrics=metrics)

    def predict(self, *inputs: str | os.PathLike, **options) -> Iterator[Prediction]:
        """Predict for each input, one at a time.

        Args:
            inputs: files, folders and globs. For a task that reads text, an input that names no
                file or folder is text.
            options: those of the task; see `tinyconv predict RUN --help`.

        Yields:
            A Prediction for each input.

        Raises:
            UserError: the task has no such option, or a value or an input does not fit.
        """
        inputs = self._inputs(inputs, options)
        for prediction in call(self.task, "predict", options, self, inputs):
            if not isinstance(prediction, Prediction):
                raise self._blamed("predict", prediction, "a Prediction")
            yield prediction

    def explain(self, *inputs: str | os.PathLike, **options) -> Iterator[Picture]:
        """Draw why the network predicts as it does, where the task can.

        Args:
            inputs: as for `predict`.
            options: those of the task; see `tinyconv explain RUN --help`.

        Yields:
            A Picture for each figure.

        Raises:
            UserError: the task does not explain its runs, or an option or input does not fit.
        """
        if not hasattr(self.task, "explain"):  # with declared options, or those of version 0.1
            raise UserError(f"The task {self.settings['task']} does not explain its runs.")
        yield from call(self.task, "explain", options, self, self._inputs(inputs, options))

    def _inputs(self, inputs, options: Mapping) -> list[str]:
        """File names; for a task that reads text, texts and the names of existing files."""
        names = [os.fspath(path) for path in inputs]
        if text.reads_text(self.task):
            return text.inputs(names, options.get("text", False))
        return names

    def pictures(self) -> list:
        """The Pictures and Tables of the run that its task shows in the report."""
        return self._checked("pictures", self.task.pictures(self))

    def comparison(self, runs: Mapping[str, "Run"]) -> list:
        """The Pictures and Tables that the task shows of several runs together, by their names."""
        return self._checked("comparison", self.task.comparison(runs))

    def _checked(self, verb: str, content) -> list:
        """The Pictures and Tables that a verb of the task returned."""
        content = list(content or [])
        for each in content:
            if not isinstance(each, (Picture, Table)):
                raise self._blamed(verb, each, "a Picture or a Table")
        return content

    def _blamed(self, verb: str, value, promised: str):
        """The error for a task whose verb returns something else than the specification says."""
        what = f"returns {value!r} from {verb}"
        task = self.catalogue.used["tasks"]
        return task.plugin_error(f"{what:.200}, but should return {promised}")


def find_folder(path: str | os.PathLike) -> Path:
    """The run folder: a path, a name in the runs folder, or a run included in the package."""
    path = expanded(path)
    for folder in (path, on_disk(runs_folder() / path), SHIPPED / path):
        if (folder / "settings.json").is_file():
            return folder
    what = "is not a run folder: it has no settings.json" if path.exists() else "does not exist"
    files = [file for file in runs_folder().glob("*/settings.json") if file.is_file()]
    hint = close_matches(path.name, [file.parent.name for file in files])
    for folder in (path, runs_folder() / path):
        if (folder / GROUP).is_file():
            what = "holds several runs"
            runs = [file.parent.as_posix() for file in sorted(folder.glob("*/settings.json"))]
            hint = f"name one of them, such as {runs[0]}." if runs else "none has begun yet."
    if (path.parent / "settings.json").is_file():
        hint = f"name its folder, {path.parent}."
    hint = hint or "`tinyconv runs` lists all runs."
    raise UserError(f"{path} {what}; {hint}")


def refuse_shipped(folder: Path) -> None:
    """Raise UserError for a run that comes with the package: its folder is read-only."""
    if folder.resolve().is_relative_to(SHIPPED.resolve()):
        raise UserError(
            f"{folder.name} comes with tinyconv, and its folder is read-only; name another place, "
            "or train a run of your own."
        )


def plain(value):
    """A value for JSON; paths are absolute, so that the run works from any other folder."""
    return os.path.abspath(value) if isinstance(value, os.PathLike) else value

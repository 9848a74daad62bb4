"""A training run: its folder, what began it, and the verbs of its task."""

import contextlib
import dataclasses
import datetime
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from tinyconv import deprecated, settings
from tinyconv.data import text
from tinyconv.errors import UserError, alike
from tinyconv.plugins import Loop
from tinyconv.results import Evaluation, Picture, Prediction, Table
from tinyconv.runs import schema
from tinyconv.runs.model_files import open_model
from tinyconv.runs.run_folder import RunFolder
from tinyconv.system import files, provenance
from tinyconv.system.console import Log

OPTIONS = {  # where a task declares the options of a verb
    "evaluate": "Evaluate",
    "ensemble": "Evaluate",
    "predict": "Predict",
    "explain": "Explain",
}
MORE = ("epochs", "minutes", "steps")  # what a run that goes on may be given, where its task has it
SHIPPED = Path(__file__).with_name("shipped")


def runs_folder() -> Path:
    """Where run folders are kept: $TINYCONV_RUNS, or `runs` in the current folder."""
    return Path(os.environ.get("TINYCONV_RUNS") or "runs")


class Run(RunFolder):
    """A training run: its folder, its settings, its history, its model, and its task's verbs.

    `options` is the task's checked Settings; `catalogue.find("models", name)` gives a model
    builder and `catalogue.find("datasets", name)` a data set loader; settings.json keeps whose
    they are. A new run has no folder before `create`: nothing of it is written, as of a trial.
    """

    def __init__(self, task, options, catalogue, name: str | None = None):
        super().__init__()
        self.task = task
        self.options = options
        self.catalogue = catalogue
        self.name = name
        self.log: Log | None = None
        self.changed: list[str] = []  # options of a run that goes on, not yet in its settings
        self.held = contextlib.ExitStack()  # what ends with the training: the folder's lock
        self.initial_files: dict[str, Path] = {}  # files that a new folder gets a copy of, by name

    def create(self, default_name: str, **facts) -> None:
        """Make the folder and settings.json; `facts` are kept beside the settings.

        A name that is taken gets a number, so that nothing is overwritten. Raises PluginError for
        a setting that has the name of a fact, which would take its place.
        """
        values = {name: plain(value) for name, value in dataclasses.asdict(self.options).items()}
        for name in values.keys() & {*self.settings, *facts, *schema.FACTS}:
            raise self.catalogue.used["tasks"].blamed(
                f"has the setting {name}, which is also the name of a fact in settings.json"
            )
        today = datetime.date.today().isoformat()
        self.path = files.new_folder(runs_folder(), self.name or f"{today}-{default_name}")
        self.held.enter_context(files.only_writer(self.path))
        for name, file in self.initial_files.items():
            shutil.copyfile(file, self.path / name)
        facts = {
            "task": self.catalogue.used["tasks"].called,
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
        self.settings = json.loads(json.dumps(facts))  # as `load` will find them
        self._write_settings()
        self.log.open(self.path / "log.txt")

    def lost_settings(self) -> str | None:
        """The settings of the run that its task no longer has, in a clause; None without any."""
        names = settings.names(self.task.Settings)
        lost = [name for name in self.settings.get("setting_names", ()) if name not in names]
        if not lost:
            return None
        values = ", ".join(f"{name} {self.settings[name]}" for name in lost)
        entry = self.catalogue.used["tasks"]
        return (
            f"{self.path} was made with {values}, which the task {entry.called} of "
            f"{entry.distribution} {entry.version} no longer has"
        )

    def model(self, which: str = "best", compiled: bool = False):
        """The Keras model from best.keras or last.keras, opened in Keras' safe mode."""
        policy = self.settings.get("policy", "float32") if compiled else None
        return open_model(self.model_file(which), policy, self.catalogue.packages)

    def keep_changes(self) -> None:
        """Write the changed options into settings.json: a training that begins was not refused."""
        given = {name: plain(getattr(self.options, name)) for name in self.changed}
        if any(self.settings.get(name) != given[name] for name in given if name in MORE):
            given["extended"] = True
        if given:
            self.add(**given)
        self.changed = []

    # Verbs --------------------------------------------------------------------------------

    def prepare(self) -> Loop:
        """The training by its task, from where the run stands, before its next step."""
        training = self.task.prepare(self)
        if not isinstance(training, Loop):
            raise self._blamed("prepare", training, "a Training, or a loop with a name and run()")
        return training

    def evaluate(self, **options) -> dict[str, float]:
        """The run's metrics on its test split; `options` are its task's, such as `split=`."""
        return self.measure(**options).metrics

    def measure(self, **options) -> Evaluation:
        """As `evaluate`, with what was measured on.

        Raises UserError for an option that the task does not take.
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
        """A Prediction for each file; folders and globs stand for the files in them.

        For a task that reads text an input that names no file or folder is text. Raises UserError
        for an option that the task does not take.
        """
        names = [os.fspath(path) for path in inputs]
        if getattr(self.task, "reads_text", False):
            names = text.inputs(names, options.get("text", False))
        for prediction in call(self.task, "predict", options, self, names):
            if not isinstance(prediction, Prediction):
                raise self._blamed("predict", prediction, "a Prediction")
            yield prediction

    def explain(self, *inputs: str | os.PathLike, **options) -> Iterator[Picture]:
        """Pictures of why it answers as it does, where the task can draw them."""
        if not hasattr(self.task, "explain"):  # with declared options, or those of version 0.1
            raise UserError(f"A run of the task {self.settings['task']} cannot be explained yet.")
        yield from call(self.task, "explain", options, self, [os.fspath(path) for path in inputs])

    def pictures(self) -> list:
        """What the task shows of the run: Pictures and Tables."""
        shown = list(self.task.pictures(self) or [])
        for each in shown:
            if not isinstance(each, (Picture, Table)):
                raise self._blamed("pictures", each, "a Picture or a Table")
        return shown

    def _blamed(self, verb: str, given, promised: str):
        """The error of a task whose verb gives something else than the specification says."""
        what = f"gives {given!r} to {verb}"
        return self.catalogue.used["tasks"].blamed(f"{what:.200}, and should give {promised}")


def call(task, verb: str, values: dict, *arguments):
    """What the task's verb returns for `arguments` and its options, made of `values`.

    Raises UserError for an option that it does not take, or a value that does not fit.
    """
    options = build_options(options_of(task, verb), values, "This run's task", verb)
    if not hasattr(task, OPTIONS[verb]):
        return deprecated.call(task, verb, arguments, values)
    return getattr(task, verb)(*arguments, options)


def build_options(Options: type, values: dict, who: str, verb: str):
    """`settings.build`, with an error that says whose verb takes no such option."""
    keywords = settings.keywords(Options)
    for name in settings.without_aliases(Options, values):
        if name not in settings.names(Options):
            others = f"it takes {', '.join(keywords)}." if keywords else "it takes nothing more."
            raise UserError(f"{who} takes no {name} to {verb}; {others}")
    return settings.build(Options, values)


def options_of(task, verb: str) -> type:
    """The dataclass of a verb's options, as the task declares it.

    Args:
        task: a task, or its class.
        verb: "evaluate", "ensemble", "predict" or "explain".
    """
    declared = getattr(task, OPTIONS[verb], None)
    return deprecated.verb_options(task, verb) if declared is None else declared


def find_folder(path: str | os.PathLike) -> Path:
    """The run folder that `path` names: by itself, inside the folder of runs, or shipped."""
    path = Path(path)
    for folder in (path, runs_folder() / path, SHIPPED / path):
        if (folder / "settings.json").is_file():
            return folder
    what = "is not a run folder: it has no settings.json" if path.exists() else "does not exist"
    near = alike(path.name, [file.parent.name for file in runs_folder().glob("*/settings.json")])
    near = near or "`tinyconv runs` lists the runs that there are."
    raise UserError(f"{path} {what}; {near}")


def refuse_shipped(folder: Path) -> None:
    """Raise UserError for a run that comes with the package: nothing is written into that."""
    if folder.resolve().is_relative_to(SHIPPED.resolve()):
        raise UserError(
            f"{folder.name} comes with tinyconv, and its folder is left as it is; name another "
            "place, or train a run of your own."
        )


def plain(value):
    """A value for JSON; a path in full, so that the run answers from any other folder."""
    return os.path.abspath(value) if isinstance(value, os.PathLike) else value

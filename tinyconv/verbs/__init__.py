"""The verbs that the command and Python share, from fit and resume to report and export."""

import time
from pathlib import Path

from tinyconv import deprecated, registry, runs, settings
from tinyconv.data import arrays
from tinyconv.data.text import reads_text
from tinyconv.errors import UserError
from tinyconv.plugins import Averages
from tinyconv.recipe import TrainingSettings
from tinyconv.results import Evaluation, plural
from tinyconv.runs import Run, call
from tinyconv.runs.schema import read_settings
from tinyconv.system import console
from tinyconv.system.files import make_folder, only_writer, unused_path, write
from tinyconv.system.start_keras import start
from tinyconv.tasks import own_network
from tinyconv.trials import dry_run
from tinyconv.verbs.outputs import explain, export, report

__all__ = [
    "check",
    "ensemble",
    "explain",
    "export",
    "fit",
    "load",
    "lr_find",
    "new",
    "report",
    "resume",
    "train",
]

LOCATIONS = ("data", "root")  # may change too where settings.json has the data's SHA-256


def fit(task: str = "classify", *, name: str | None = None, **values) -> Run:
    """Train a network for `task`, and return the run, which is also saved on disk.

    Args:
        task: a name that `tinyconv tasks` lists.
        name: of the run folder; by default the date, the model and the data set.
        values: the task's settings. `data` may be (pictures (N, H, W) or (N, H, W, C), labels
            (N,)), with `validation`, `test` and `mirror` as in `data.arrays.read`. `model` may
            be a Keras model, pictures (B, H, W, C) to scores (logits) (B, classes), of which a
            copy is trained; its pixels are 0 to 255, or 0 to 1 where those of `data` are.

    Returns:
        The Run, evaluated. `run.model()` is its network, for pixels 0 to 255.

    Raises:
        UserError: a setting, a file or an array does not fit; nothing is written.
    """
    run = new(task, values, name)
    train(run)
    return run


def new(task: str, values: dict, name: str | None = None) -> Run:
    """A run of `task` with the values of `fit`; it has no folder yet."""
    catalogue = registry.Catalogue()
    instance = catalogue.find("tasks", task)()
    values, network = own_network.extract(values, settings.names(instance.Settings))
    values, own = arrays.extract(values, network and network.outputs)
    _refuse_two_ends(instance.Settings, values)
    options = settings.build(instance.Settings, values)
    run = Run(instance, options, catalogue, name)
    if network is not None:
        network.join(run, own and own.dataset, own and own.unit_range)
    if own is not None:
        own.store()
    return run


def train(run: Run) -> None:
    """Train `run` from its last save, evaluate it, save the numbers, and write its report."""
    start()
    start_time = time.monotonic()
    with console.run_log() as run.log, run.exit_stack:
        if run.path is not None:
            run.log.open(run.path / "log.txt")
        if hasattr(run.task, "prepare"):
            training = run.prepare()
            if run.path is None:
                run.create(training.name)
            training.run()
        else:
            deprecated.fit(run)
        history = run.history
        seconds = history[-1]["seconds"] if history else time.monotonic() - start_time
        measured = run.measure()
        run.add(result={**vars(measured), "seconds": seconds})
        _report(run)
        _print_result(run, measured, seconds)


def check(task: str = "classify", **values):
    """Whether the network of a `fit` with these settings can overfit one small batch.

    Returns an `overfit_batch.Check`; no run is made.
    """
    training = dry_run.prepared(new(task, values))
    from tinyconv.trials import overfit_batch  # imports Keras

    return overfit_batch.check(training)


def lr_find(task: str = "classify", *, output: Path | None = None, **values):
    """Run the learning-rate range test for a `fit` with these settings, and plot it.

    Returns (an `lr_range.RangeTest`, the path of the PNG); `output` names a file or a folder for
    the plot, and no file is replaced. No run is made. Raises UserError if `values` have a
    learning rate.
    """
    from tinyconv.report import curves
    from tinyconv.trials import lr_range

    if values.get("learning_rate") is not None:
        raise UserError("lr-find tries a series of learning rates; leave out learning_rate.")
    test = lr_range.range_test(dry_run.prepared(new(task, values)))
    path = Path(output or ".")
    path = unused_path(path if path.suffix else path / "lr-find.png")
    make_folder(path.parent)
    write(path, curves.range_test(test).png)
    return test, path


def resume(path, **changes) -> Run:
    """Resume the run at `path` from its last save.

    Args:
        path: of the run folder, or its name inside the folder of runs.
        changes: `epochs`, `minutes`, `steps` or `patience` to extend the run, or `data` and `root`
            where its data have moved.

    Returns:
        The Run, evaluated.

    Raises:
        UserError: a change of any other setting, a run that has finished, or a run that another
            process is training.
    """
    folder = runs.find_folder(path)
    runs.refuse_shipped(folder)
    with only_writer(folder):
        return _resume(path, arrays.restore(read_settings(folder), changes))


def _resume(path, changes: dict) -> Run:
    """Resume the run, whose folder is locked."""
    run = load(path)
    if removed := run.removed_settings():
        raise UserError(
            f"{run.path} cannot be resumed with its original settings: {removed}; start a new run."
        )
    names, aliases = settings.names(run.task.Settings), settings.aliases(run.task.Settings)
    extensions = [name for name in (*runs.EXTENSIONS, "patience") if name in names]
    locations = [name for name in LOCATIONS if name in names and "data_sha256" in run.settings]
    for name in changes:
        if aliases.get(name, name) not in (*extensions, *locations):
            allowed = ", ".join((*extensions, *locations)) or "nothing"
            raise UserError(
                f"A resumed run cannot change {name}, only {allowed}; "
                "start a new run for other settings."
            )
    changes = settings.without_aliases(run.task.Settings, changes)
    _refuse_two_ends(run.task.Settings, changes)
    changed = [name for name in changes if changes[name] is not None]
    if "epochs" in changed and getattr(run.options, "minutes", None) is not None:
        changes["minutes"] = None  # from now on epochs end the run
        changed.append("minutes")
    run = load(path, **changes)
    run.changed = changed
    for name in locations:
        changes.pop(name, None)
    _refuse_without_patience(run)
    if _is_finished(run, changes):
        extend = f"extend it with --{' or --'.join(extensions)}, or " if extensions else ""
        raise UserError(f"{run.path} has finished training; {extend}start a new run.")
    run.settings.pop("result", None)  # of a shorter training
    try:
        train(run)
    except KeyboardInterrupt:
        run.keep_changes()
        raise
    run.keep_changes()  # where the task's own loop does not
    return run


def _refuse_two_ends(Settings: type, values: dict) -> None:
    """Raise UserError where both epochs and minutes are to end a training of batches."""
    ends = [name for name in ("epochs", "minutes") if values.get(name) is not None]
    if len(ends) == 2 and issubclass(Settings, TrainingSettings):
        raise UserError(
            "epochs and minutes would both end the training, and the learning-rate schedule needs "
            "one end; leave out --epochs or --minutes."
        )


def _refuse_without_patience(run: Run) -> None:
    """Raise UserError for a run that early stopping has ended, and would end again at once."""
    patience, state = getattr(run.options, "patience", None), run.state() or {}
    waited = state.get("since_best", 0)
    if "result" in run.settings and patience is not None and waited >= patience:
        raise UserError(
            f"{run.path} was ended by early stopping: {plural(waited, 'epoch')} brought no "
            f"improvement, and patience is {patience}; raise it with --patience, or start a new "
            "run."
        )


def _is_finished(run: Run, changes: dict) -> bool:
    """Whether the run has its result and the changes do not extend it, as by more epochs."""
    if "result" not in run.settings:
        return False
    if changes and isinstance(run.options, TrainingSettings):
        state, minutes = run.state(), run.options.minutes
        if minutes is None:
            return state["epoch"] >= run.options.epochs
        if state["seconds"] >= minutes * 60 or "minutes" not in changes:
            return True
    return all(run.settings[name] == value for name, value in changes.items())


def load(path, **changes) -> Run:
    """Open a run.

    Args:
        path: of the run folder, or its name inside the folder of runs.
        changes: settings that replace those of the run in this process. A run on your own arrays
            whose cache is gone needs them again, as in `fit`: `data=(x, y)` and the arguments
            that belong to it.

    Returns:
        The Run, with its settings, history, models and verbs.

    Raises:
        UserError: there is no such run, its settings.json or a change does not fit, or a plugin
            that it was made with is missing.
    """
    folder = runs.find_folder(path)
    facts = read_settings(folder)
    changes = arrays.restore(facts, changes)
    catalogue = registry.Catalogue()
    for kind, origin in facts.get("plugins", {}).items():
        catalogue.import_recorded(kind, origin, folder)
    if "tasks" in facts.get("plugins", {}):
        task = catalogue.used["tasks"].load()()
    else:
        task = catalogue.find("tasks", facts["task"])()
    names = settings.names(task.Settings)
    changes = settings.without_aliases(task.Settings, changes)
    options = settings.build(
        task.Settings, {name: facts[name] for name in names if name in facts} | changes
    )
    run = Run(task, options, own_network.catalogue_of_run(catalogue, folder, facts))
    run.path, run.settings = folder, facts
    if removed := run.removed_settings():
        console.say(f"settings   ignored in {run.path}: {removed}")
    return run


def _report(run: Run) -> None:
    """Write the report of a run whose result is already saved."""
    try:
        report(run)
    except OSError as error:
        raise UserError(
            f"{run.path} is trained and evaluated, but its report cannot be written "
            f"({error.strerror or error}); fix that, then: tinyconv report {run.path}"
        ) from error


def _print_result(run: Run, measured: Evaluation, seconds: float) -> None:
    """Print the last lines of a training: its numbers, its folder, and what to do next."""
    numbers = "  ".join(f"{name} {value:.4f}" for name, value in measured.metrics.items())
    split = measured.split or "result"
    after = f"after {console.duration(seconds)} of training"
    unit = "example" if measured.pictures is None else "picture"
    count = "" if measured.count is None else f"  ({plural(measured.count, unit)})"
    console.say(f"{split:10} {numbers}{count}, {after}")
    console.say(f"run        {run.path}   (open {run.path / 'report.html'})")
    what = "TEXT" if reads_text(run.task) else "PICTURE"
    console.say(f"next       tinyconv predict {run.path} {what}")


def ensemble(*opened: Run, **options) -> list[Evaluation]:
    """Evaluate each run, and then the average of their predictions, on the data of the first run.

    Built by hand in tutorials/09.

    Args:
        opened: runs of one task.
        options: those of `Run.evaluate`.

    Returns:
        An Evaluation for each run, and a last one for the average of their predictions.

    Raises:
        UserError: the runs are of several tasks, or their task does not average predictions.
    """
    tasks = {run.settings["task"]: run.task for run in opened}
    if len(tasks) > 1:
        raise UserError(
            f"Runs of {' and '.join(tasks)} cannot be averaged: their predictions are of different "
            "kinds."
        )
    for name, task in tasks.items():
        if not isinstance(task, Averages):
            raise UserError(f"Runs of {name} cannot be averaged; evaluate them one by one.")
        return [each.with_count() for each in call(task, "ensemble", options, opened)]
    raise UserError("ensemble needs at least one run.")

"""One run from its settings to its result: new, like, train, resume, load."""

import time
from pathlib import Path

from tinyconv import deprecated, registry, runs, settings
from tinyconv.data import arrays
from tinyconv.data.text import reads_text
from tinyconv.errors import UserError
from tinyconv.recipe import TrainingSettings
from tinyconv.results import Evaluation, metric_cells, plural
from tinyconv.runs import Run
from tinyconv.runs.schema import read_settings
from tinyconv.system import console, processes
from tinyconv.system.start_keras import start
from tinyconv.tasks import own_network
from tinyconv.trials import dry_run
from tinyconv.verbs.outputs import report

LOCATIONS = ("data", "root")  # may change too where settings.json has the data's SHA-256


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


def train(run: Run, epochs: int | None = None, with_report: bool = True) -> bool:
    """Train `run` from its last save, evaluate it, save the numbers, and write its report.

    Args:
        run: a Run; it gets a folder if it has none.
        epochs: the number of epochs after which to pause, for a task with tinyconv's loop.
        with_report: whether to write the report.

    Returns:
        False if the training has paused, True if it has ended.
    """
    start()
    if not processes.is_first():
        _assist(run)
        return True
    start_time = time.monotonic()
    with console.run_log() as run.log, run.exit_stack:
        if run.path is not None:
            run.log.open(run.path / "log.txt")
        if hasattr(run.task, "prepare"):
            training = run.prepare()
            if run.path is None:
                run.create(training.name)
            if epochs is None:
                training.run()
            elif not _is_over_after(training, epochs):
                return False
        else:
            deprecated.fit(run)
        history = run.history
        seconds = history[-1]["seconds"] if history else time.monotonic() - start_time
        measured = run.measure()
        run.add(result={**vars(measured), "seconds": seconds})
        if with_report:
            _report(run)
        _print_result(run, measured, seconds)
    return True


def _assist(run: Run) -> None:
    """Take part in the training of process 0, and write and print nothing."""
    with console.only_logged():
        training = dry_run.prepared(run)
        run.path = None
        training.run()


def _is_over_after(training, epochs: int) -> bool:
    """Train up to a number of epochs; returns whether that was the end of the training."""
    from tinyconv.training import Training

    if not isinstance(training, Training):
        raise UserError(
            f"{training.name} has a training loop of its own, which does not pause after "
            f"{plural(epochs, 'epoch')}; leave out --prune."
        )
    training.run(epochs=epochs)
    return training.is_over


def resume(path, changes: dict, **how) -> Run:
    """Resume a run, as `tinyconv.resume`, in a folder that is locked already.

    `how` is for `train`.
    """
    changes = arrays.restore(read_settings(runs.find_folder(path)), changes)
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
        train(run, **how)
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
    task, catalogue = _task_and_catalogue(folder, facts)
    changes = settings.without_aliases(task.Settings, arrays.restore(facts, changes))
    options = settings.build(task.Settings, _values(task, facts) | changes)
    run = Run(task, options, catalogue)
    run.path, run.settings = folder, facts
    if removed := run.removed_settings():
        console.print_line(f"settings   ignored in {run.path}: {removed}")
    return run


def like(folder: Path, facts: dict, changes: dict, name: str | None = None) -> Run:
    """A new run with the settings of another, some of them changed; it has no folder yet.

    Args:
        folder: of the other run, or of a group.
        facts: its task, plugins and settings, as in a run's settings.json.
        changes: settings with other values; `epochs` and `minutes` replace each other.
        name: of the new run's folder.
    """
    task, catalogue = _task_and_catalogue(folder, facts)
    names = settings.names(task.Settings)
    changes = settings.without_aliases(task.Settings, changes)
    changes, network = own_network.extract(changes, names)
    changes, own = arrays.extract(changes, network and network.outputs)
    _refuse_two_ends(task.Settings, changes)
    values = _values(task, facts)
    for end, other in (("epochs", "minutes"), ("minutes", "epochs")):
        if changes.get(end) is not None:
            values.pop(other, None)
    run = Run(task, settings.build(task.Settings, values | changes), catalogue, name)
    run.settings = facts
    if removed := run.removed_settings():
        raise UserError(f"{folder} cannot be repeated with its settings: {removed}.")
    run.settings = {}
    if network is not None:
        network.join(run, own and own.dataset, own and own.unit_range)
    elif "model" not in changes and (folder / own_network.INITIAL).is_file():
        run.initial_files[own_network.INITIAL] = folder / own_network.INITIAL
    if own is not None:
        own.store()
    return run


def _task_and_catalogue(folder: Path, facts: dict) -> tuple:
    """The task that the facts about a run in `folder` name, and the catalogue for the run."""
    catalogue = registry.Catalogue()
    for kind, origin in facts.get("plugins", {}).items():
        catalogue.import_recorded(kind, origin, folder)
    if "tasks" in facts.get("plugins", {}):
        task = catalogue.used["tasks"].load()()
    else:
        task = catalogue.find("tasks", facts["task"])()
    return task, own_network.catalogue_of_run(catalogue, folder, facts)


def _values(task, facts: dict) -> dict:
    """The values that the facts about a run have for its task's settings."""
    return {name: facts[name] for name in settings.names(task.Settings) if name in facts}


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
    cells = metric_cells(measured.metrics)
    unit = "example" if measured.pictures is None else "picture"
    count = "" if measured.count is None else f"({plural(measured.count, unit)}), "
    cells.append(f"{count}after {console.duration(seconds)} of training")
    for line in console.wrapped(measured.split or "result", cells):
        console.print_line(line)
    console.print_line(f"run        {run.path}   (open {run.path / 'report.html'})")
    what = "TEXT" if reads_text(run.task) else "PICTURE"
    console.print_line(f"next       tinyconv predict {run.path} {what}")

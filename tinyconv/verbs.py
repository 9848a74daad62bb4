"""The words that the command and Python share, from fit and resume to report and export."""

import time
from pathlib import Path

from tinyconv import deprecated, registry, runs, settings
from tinyconv.data import arrays
from tinyconv.errors import UserError, nearest
from tinyconv.explain import ModelExplainOptions
from tinyconv.plugins import Averages, ExportsSeveral
from tinyconv.recipe import TrainingSettings
from tinyconv.results import Evaluation
from tinyconv.runs import Run, build_options, call
from tinyconv.runs.schema import read_settings
from tinyconv.system import console
from tinyconv.system.files import free, only_writer, write
from tinyconv.system.start_keras import start
from tinyconv.tasks import own_network
from tinyconv.trials import dry_run

PLACES = ("data", "root")  # what may change, too, where the run knows its data by their SHA-256


def fit(task: str = "classify", *, name: str | None = None, **values) -> Run:
    """Train `task`, and return the run that it leaves on disk.

    Args:
        task: a name that `tinyconv tasks` lists.
        name: of the run's folder.
        values: the task's settings. `data` may be (pictures (N, H, W) or (N, H, W, C), labels
            (N,)), with `validation`, `test` and `mirror` as of `data.arrays.read`. `model` may
            be a Keras model, pictures (B, H, W, C) to scores (B, classes), of which a copy is
            trained; its pixels are 0 to 255, or 0 to 1 where those of `data` are.

    Returns:
        The Run, measured. `run.model()` is its network, for pixels 0 to 255.

    Raises:
        UserError: for what does not fit, before anything is written.
    """
    run = new(task, values, name)
    train(run)
    return run


def new(task: str, values: dict, name: str | None = None) -> Run:
    """A run of `task` with the values of `fit`, which has no folder yet."""
    catalogue = registry.Catalogue()
    chosen = catalogue.find("tasks", task)()
    values, network = own_network.extract(values, settings.names(chosen.Settings))
    values, own = arrays.extract(values, network and network.outputs)
    options = settings.build(chosen.Settings, values)
    run = Run(chosen, options, catalogue, name)
    if network is not None:
        network.join(run, own and own.dataset, own and own.unit_range)
    if own is not None:
        own.store()
    return run


def train(run: Run) -> None:
    """Train `run` from where it stands, measure it, keep the numbers, and write its report."""
    start()
    began = time.monotonic()
    with console.logging() as run.log, run.held:
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
        seconds = history[-1]["seconds"] if history else time.monotonic() - began
        measured = run.measure()
        run.add(result={**vars(measured), "seconds": seconds})
        _report(run)
        _print_result(run, measured, seconds)


def check(task: str = "classify", **values):
    """Whether the network of a `fit` with these settings learns one small batch by heart.

    Returns a `one_batch.Check`; no run is made.
    """
    training = dry_run.prepared(new(task, values))
    from tinyconv.trials import overfit_batch  # which imports Keras

    return overfit_batch.check(training)


def lr_find(task: str = "classify", *, output: Path | None = None, **values):
    """The range test of step sizes for a `fit` with these settings, and where its plot is.

    Returns (a `range_test.RangeTest`, the PNG's path); `output` names a file or a folder for it,
    and nothing is replaced. No run is made. Raises UserError where a step size is given.
    """
    from tinyconv.report import figures
    from tinyconv.trials import lr_range

    if values.get("learning_rate") is not None:
        raise UserError("lr-find tries step sizes one after the other; leave out learning_rate.")
    found = lr_range.range_test(dry_run.prepared(new(task, values)))
    path = Path(output or ".")
    path = free(path if path.suffix else path / "lr-find.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, figures.range_test(found).png)
    return found, path


def resume(path, **changes) -> Run:
    """Go on with the run at `path` where it stopped; `changes` may give more of it, or say where
    its data lie now.

    Raises UserError for any other change, for a run that has nothing left to do, and for one
    that another process is at work on.
    """
    folder = runs.find_folder(path)
    runs.refuse_shipped(folder)
    with only_writer(folder):
        return _go_on(path, arrays.restore(read_settings(folder), changes))


def _go_on(path, changes: dict) -> Run:
    run = load(path)
    if gone := run.lost_settings():
        raise UserError(f"{gone}: the run cannot go on as it began; start a new run.")
    known, aliases = settings.names(run.task.Settings), settings.aliases(run.task.Settings)
    may = [name for name in runs.MORE if name in known]
    where = [name for name in PLACES if name in known and "data_sha256" in run.settings]
    for name in changes:
        if aliases.get(name, name) not in (*may, *where):
            only = ", ".join((*may, *where)) or "nothing"
            raise UserError(
                f"A run that goes on cannot change {name}, only {only}; "
                "start a new run for other settings."
            )
    changes = settings.without_aliases(run.task.Settings, changes)
    run = load(path, **changes)
    run.changed = [name for name in changes if changes[name] is not None]
    for name in where:
        changes.pop(name, None)
    if _is_done(run, changes):
        more = f"give it more with --{' or --'.join(may)}, or " if may else ""
        raise UserError(f"{run.path} has done all that was asked of it; {more}start a new run.")
    run.settings.pop("result", None)  # of a shorter training
    try:
        train(run)
    except KeyboardInterrupt:
        run.keep_changes()
        raise
    run.keep_changes()  # where the task's own loop does not
    return run


def _is_done(run: Run, changes: dict) -> bool:
    """Whether the run has its result and nothing more is asked of it, such as more epochs."""
    if "result" not in run.settings:
        return False
    if changes and isinstance(run.options, TrainingSettings) and run.options.minutes is None:
        return run.state()["epoch"] >= run.options.epochs
    return all(run.settings[name] == value for name, value in changes.items())


def load(path, **changes) -> Run:
    """Open the run folder at `path`, or of that name inside the folder of runs.

    Arrays that the cache has lost are given once more, as to `fit`: `data=(x, y)` and what went
    with it.
    """
    folder = runs.find_folder(path)
    kept = read_settings(folder)
    changes = arrays.restore(kept, changes)
    catalogue = registry.Catalogue()
    for kind, origin in kept.get("plugins", {}).items():
        catalogue.reopen(kind, origin, folder)
    if "tasks" in kept.get("plugins", {}):
        task = catalogue.used["tasks"].load()()
    else:
        task = catalogue.find("tasks", kept["task"])()
    known = settings.names(task.Settings)
    changes = settings.without_aliases(task.Settings, changes)
    options = settings.build(
        task.Settings, {name: kept[name] for name in known if name in kept} | changes
    )
    run = Run(task, options, own_network.catalogue_of_run(catalogue, folder, kept))
    run.path, run.settings = folder, kept
    if gone := run.lost_settings():
        console.say(f"settings   {gone}; it is left out")
    return run


def _report(run: Run) -> None:
    """Write the report of a run that has its result already."""
    try:
        report(run)
    except OSError as error:
        raise UserError(
            f"{run.path} is trained and measured, and its pages cannot be written "
            f"({error.strerror or error}); mend that, then: tinyconv report {run.path}"
        ) from error


def _print_result(run: Run, measured: Evaluation, seconds: float) -> None:
    """The lines at the end of a training: its numbers, its folder, and what to do next."""
    numbers = "  ".join(f"{name} {value:.4f}" for name, value in measured.metrics.items())
    split = measured.split or "result"
    after = f"after {console.duration(seconds)} of training"
    unit = "examples" if measured.pictures is None else "pictures"
    count = "" if measured.count is None else f"  ({measured.count:,} {unit})"
    console.say(f"{split:10} {numbers}{count}, {after}")
    console.say(f"run        {run.path}   (open {run.path / 'report.html'})")
    reads_text = getattr(run.task, "reads_text", False)
    console.say(f"next       tinyconv predict {run.path} {'TEXT' if reads_text else 'PICTURE'}")


def ensemble(*opened: Run, **options) -> list[Evaluation]:
    """Measure each run on the data of the first, and last of all the mean of their answers.

    `options` are as of `Run.evaluate`. Raises UserError for runs that have no mean. Built by hand
    in tutorials/09.
    """
    tasks = {run.settings["task"]: run.task for run in opened}
    if len(tasks) > 1:
        raise UserError(f"Runs of {' and '.join(tasks)} answer other questions, and have no mean.")
    for name, task in tasks.items():
        if not isinstance(task, Averages):
            raise UserError(f"Runs of {name} have no mean answer; evaluate them one by one.")
        return [each.with_count() for each in call(task, "ensemble", options, opened)]
    raise UserError("ensemble needs runs to measure.")


def report(run: Run, *others: Run, output: Path | None = None) -> Path:
    """Write pictures/*.png and report.html into the run folder; returns the page's path.

    While the run is trained, too; of two reports of a run at once one waits for the other.
    Of several runs one page with all of them side by side, at `output` or at comparison.html in
    the current folder (comparison-2.html where that is taken). Raises UserError where `output`
    exists already.
    """
    if not others:
        from tinyconv.report import write_report

        if output:
            raise UserError(
                f"The report of one run goes into its folder, {run.path}; name more runs to "
                "compare, or leave out --output."
            )
        runs.refuse_shipped(run.path)
        folder = run.path / "pictures"
        folder.mkdir(exist_ok=True)
        with only_writer(folder, wait=True):
            return write_report(run)
    from tinyconv.report.comparison import write_comparison

    if output and Path(output).exists():
        raise UserError(f"{output} exists already; name another file with --output.")
    return write_comparison([run, *others], Path(output or free(Path("comparison.html"))))


def explain(run: Run | Path, *inputs, output: Path | None = None, **options) -> list[Path]:
    """Write pictures of why RUN answers as it does for `inputs`; returns where, none replaced.

    Into the folder `output`, or the current one. `run` may be the path of a .keras file with a
    classifier of pictures.
    """
    if isinstance(run, Run):
        shown = run.explain(*inputs, **options)
    else:
        shown = _explain_file(run, inputs, options)
    folder = Path(output or ".")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for picture in shown:
        path = free(folder / f"{picture.name}.png")
        write(path, picture.png)
        written.append(path)
    return written


def _explain_file(path: Path, inputs, values: dict):
    options = build_options(ModelExplainOptions, values, f"The model {path}", "explain")
    start()
    from tinyconv.explain import command

    return command.pictures(command.open_file(path, options.pixels), inputs, options)


def export(run: Run, format: str, output: Path | None = None) -> Path:
    """Write the run's best model as "keras", "savedmodel" or "onnx"; returns where.

    A folder of several where its task has several `networks`. Raises UserError where `output`
    exists already.
    """
    from tinyconv.runs.export import ENDINGS, EXPORTERS, require

    if format not in EXPORTERS:
        raise UserError(f"There is no format {format!r}; {nearest(format, EXPORTERS)}")
    several = isinstance(run.task, ExportsSeveral)
    ending = "" if several else ENDINGS[format]
    if output is None:
        runs.refuse_shipped(run.path)
    path = Path(output) if output else run.path / f"export-{format}{ending}"
    if path.exists():
        raise UserError(f"{path} exists already; name another place with --output.")
    require(format)
    if not several:
        EXPORTERS[format](run.model(), path)
        return path
    networks = run.task.networks(run)
    path.mkdir(parents=True)
    for name, network in networks.items():
        EXPORTERS[format](network, path / f"{name}{ENDINGS[format]}")
    return path

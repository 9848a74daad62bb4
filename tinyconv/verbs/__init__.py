"""The verbs that the command and Python share, from fit and resume to report and export."""

import contextlib
from pathlib import Path
from typing import overload

from tinyconv import runs
from tinyconv.errors import UserError
from tinyconv.registry import recorded_plugins
from tinyconv.runs import Run, group
from tinyconv.runs.schema import read_settings
from tinyconv.system import processes
from tinyconv.system.files import make_folder, only_writer, unused_path, write
from tinyconv.trials import dry_run
from tinyconv.verbs.outputs import explain, export, report
from tinyconv.verbs.several import RunGroup, ensemble, fit_seeds, resume_seeds
from tinyconv.verbs.single import like as _like
from tinyconv.verbs.single import load, new, train
from tinyconv.verbs.single import resume as _resume

__all__ = [
    "RunGroup",
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

DEFAULT_TASK = "classify"


@overload
def fit(
    task: str | None = None,
    *,
    name: str | None = None,
    seeds: None = None,
    like: str | Path | None = None,
    **values,
) -> Run: ...


@overload
def fit(
    task: str | None = None,
    *,
    name: str | None = None,
    seeds: int,
    like: str | Path | None = None,
    **values,
) -> RunGroup: ...


def fit(task=None, *, name=None, seeds=None, like=None, **values):
    """Train a network for `task`, and return the run, which is also saved on disk.

    Args:
        task: a name that `tinyconv tasks` lists; None for classify, or the task of `like`.
        name: of the run folder; by default the date, the model and the data set.
        seeds: number of runs, which differ in their seed, from `seed` on; None for a single run.
            The same call continues what was interrupted, and trains no finished run again.
        like: a run whose settings hold where `values` has no other.
        values: the task's settings. `data` may be (pictures (N, H, W) or (N, H, W, C), labels
            (N,)), with `validation`, `test` and `mirror` as in `data.arrays.read`. `model` may
            be a Keras model, pictures (B, H, W, C) to scores (logits) (B, classes), of which a
            copy is trained; its pixels are 0 to 255, or 0 to 1 where those of `data` are.

    Returns:
        The Run, evaluated; `run.model()` is its network, for pixels 0 to 255. With `seeds`, a
        RunGroup of all runs.

    Raises:
        UserError: a setting, a file or an array does not fit; nothing is written.
    """
    run = (
        new(task or DEFAULT_TASK, values, name)
        if like is None
        else repeat(task, like, values, name)
    )
    if seeds is not None:
        return fit_seeds(run, seeds, name)
    train(run)
    return run


def repeat(task: str | None, path, changes: dict, name: str | None = None) -> Run:
    """A new run with the settings of the run at `path`, some of them changed.

    Raises UserError where `task` is another than the run's.
    """
    folder = runs.find_folder(path)
    facts = read_settings(folder)
    own = recorded_plugins.task(facts, folder)
    if task not in (None, own.name, own.full_name):
        raise UserError(f"{folder} is a run of {own.short_name}, not of {task}; leave out {task}.")
    return _like(folder, facts, changes, name)


def resume(path, *, seeds: int | None = None, **changes):
    """Resume the run at `path` from its last save, or the runs of several seeds.

    Args:
        path: of the run folder, or its name inside the folder of runs; or of a group, which the
            argument `seeds` of `fit` made.
        seeds: a greater number of seeds for a group.
        changes: `epochs`, `minutes`, `steps` or `patience` to extend the run, or `data` and `root`
            where its data have moved.

    Returns:
        The Run, evaluated, or the RunGroup.

    Raises:
        UserError: a change of any other setting, a run that has finished, or a run that another
            process is training.
    """
    several = group.find(path)
    if several and group.read(several)["kind"] == group.SEEDS:
        if changes:
            raise UserError(
                f"{several} holds several runs, of which --resume changes nothing but --seeds; "
                f"leave out {', '.join(changes)}."
            )
        return resume_seeds(several, seeds)
    folder = runs.find_folder(path)
    runs.refuse_shipped(folder)
    if seeds is not None:
        raise UserError(f"{folder} is a single run; leave out --seeds.")
    with only_writer(folder) if processes.is_first() else contextlib.nullcontext():
        return _resume(path, changes)


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

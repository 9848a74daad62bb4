"""The record of a new sweep, from what `fit` is given; and whether this machine can join it."""

import os
import tempfile
import time
from pathlib import Path

from tinyconv import registry, settings
from tinyconv.data import arrays
from tinyconv.errors import UserError, nearest
from tinyconv.recipe import TrainingSettings
from tinyconv.results import plural
from tinyconv.runs import group
from tinyconv.sweep import halving, ranges, study
from tinyconv.system import console

CLOCKS = 60  # seconds by which the clocks of machines may differ


def new_record(task: str, trials, sampler, prune: bool, values: dict) -> tuple[dict, str]:
    """(the content of a sweep's group.json, its task's name); UserError for what does not fit."""
    catalogue = registry.Catalogue()
    Settings = catalogue.find("tasks", task).Settings
    entry = catalogue.used["tasks"]
    values, own = arrays.extract(values)
    if not isinstance(values.get("model"), (str, list, tuple, type(None))):
        raise UserError("A sweep takes networks by their names; register yours by a plugin.")
    if "minutes" in settings.names(Settings) and "minutes" in values:
        raise UserError("A trial ends after --epochs; --minutes ends the work of this process.")
    shared, varied = ranges.split(Settings, values)
    if not varied:
        raise UserError(
            "A sweep needs a setting to vary, as a range LOW..HIGH or a list with commas, such as "
            "--learning-rate 1e-4..1e-1; `tinyconv fit` trains one run."
        )
    count, sampler = _count(varied, trials, sampler)
    epochs = _epochs(entry.short_name, Settings, shared, varied, prune)
    if own is not None:
        own.store()
    seed = shared.get("seed", 0)
    record = {
        "kind": group.SWEEP,
        "task": entry.full_name,
        "plugins": catalogue.origins,
        "settings": group.portable(catalogue, shared),
        "space": ranges.as_json(varied),
        "seed": seed,
        "sampler": sampler,
        "prune": prune,
        "epochs": epochs,
        "count": count,
    }
    return record | ({"trials": count} if prune else {}), entry.name


def _count(varied: ranges.Space, trials, sampler) -> tuple[int, str]:
    """The number of trials, and the sampler."""
    size = ranges.grid_size(varied)
    sampler = sampler or ("random" if size is None else "grid")
    if sampler not in study.SAMPLERS:
        raise UserError(f"There is no sampler {sampler!r}; {nearest(sampler, study.SAMPLERS)}")
    if sampler == "grid" and size is None:
        names = [name for name, each in varied.items() if isinstance(each, ranges.Range)]
        raise UserError(
            f"A grid has lists alone, but {' and '.join(names)} has a range; list its values, or "
            "leave out --sampler grid."
        )
    if trials is None and sampler != "grid":
        raise UserError("A sweep needs a number of trials, such as --trials 40.")
    if trials is not None and (not isinstance(trials, int) or trials < 1):
        raise UserError(f"trials must be a whole number from 1, but {trials!r} was given.")
    if sampler == "grid":
        if trials is not None and trials != size:
            which = "all" if trials > size else f"the first {trials}"
            console.print_line(f"grid       has {plural(size, 'point')}: {which} of them are tried")
        return min(size, trials or size), sampler
    return trials, sampler


def _epochs(task: str, Settings: type, shared: dict, varied: ranges.Space, prune: bool) -> int:
    """The epochs of every trial; 0 where they differ or do not count. UserError with halving."""
    is_counted = issubclass(Settings, TrainingSettings)
    lengths = set()
    if is_counted and "epochs" not in varied:
        lists = {n: each.values for n, each in varied.items() if isinstance(each, ranges.Choices)}
        first = shared | {name: values[0] for name, values in lists.items()}
        others = [{name: value} for name, values in lists.items() for value in values]
        lengths = {settings.build(Settings, first | each).epochs for each in ({}, *others)}
    epochs = lengths.pop() if len(lengths) == 1 else 0
    if prune and epochs < halving.FACTOR:
        way = "give --epochs" if is_counted else f"sweep another task, as {task} has no epochs"
        raise UserError(
            f"--prune compares trials after a fraction of their --epochs, which must be "
            f"{halving.FACTOR} or more and the same for all; leave out --prune, or {way}."
        )
    return epochs


def check_clock(folder: Path, now=time.time) -> None:
    """Raise UserError where this machine's clock and that of the folder's disk disagree."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock-") as probe:
        probe.write(b"?")
        probe.flush()
        os.fsync(probe.fileno())
        behind = os.fstat(probe.fileno()).st_mtime - now()
    if abs(behind) > CLOCKS:
        side = "behind" if behind > 0 else "ahead of"
        raise UserError(
            f"The clock of this machine is {abs(behind):.0f} s {side} that of the disk with "
            f"{folder}, so that the dates of trials would contradict each other; set both clocks, "
            "and give the same command again."
        )

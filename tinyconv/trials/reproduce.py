"""`verify`: whether a run's training, done once more, takes the steps that it took then."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinyconv.errors import UserError
from tinyconv.recipe import TrainingSettings
from tinyconv.runs import Run
from tinyconv.system import console, provenance
from tinyconv.trials import dry_run

STEPS = 20  # that are done again unless told otherwise
OTHER_SEEDS = 2  # that show how far apart seeds are


@dataclass(frozen=True)
class Verdict:
    """What came of it; `first` is {"step" or "epoch", "what", "then", "now"} or None."""

    verdict: str  # identical, within seed spread, or different
    steps: int  # compared
    epochs: int  # compared, by all numbers of their rows
    first: dict | None  # where the two differ first
    distance: float  # mean |loss then - loss now| of the steps
    seed_distance: float | None  # the least one of other seeds; None where nobody asked
    changed: list[str]  # versions, machine, data


def _again(run: Run, seed: int, steps: float):
    """The training.Training of `run` from `seed` once more, with so many steps done."""
    again = Run(type(run.task)(), replace(run.options, seed=seed), run.catalogue)
    again.add(policy=run.settings.get("policy"), compiled_from=run.settings.get("compiled_from", 0))
    training = dry_run.prepared(again)
    training.run(steps)
    return training


def verify(run: Run, steps: int | None = STEPS) -> Verdict:
    """Do `run`'s first steps again, or all of it for None, and compare with what it kept.

    Not identical, it is within seed spread where its losses are no farther from the kept ones,
    on the mean, than from those of the nearer of two other seeds. The run is not touched.
    Raises UserError for a run that kept no losses, or whose steps cannot be repeated.
    """
    then, rows = _kept(run)
    count = math.inf if steps is None else min(steps, len(then))
    again = _again(run, run.options.seed, count)
    now = again.state.step_losses
    rows = rows if steps is None else []
    then = then[: len(now)]
    first = _first_step(then, now) or _first_row(rows, again.state.rows)
    distance, nearest = _distance(then, now), None
    verdict = "identical"
    if first is not None:
        console.say(f"not the same; {OTHER_SEEDS} other seeds show how far apart seeds are")
        seeds = [(run.options.seed + 1 + i) % 2**31 for i in range(OTHER_SEEDS)]
        others = [_again(run, seed, len(then)).state.step_losses for seed in seeds]
        nearest = min(_distance(now, other) for other in others)
        verdict = "within seed spread" if distance <= nearest else "different"
    changed = _changed(run, again.folder.settings)
    return Verdict(verdict, len(then), len(rows), first, distance, nearest, changed)


def _kept(run: Run) -> tuple[list[float], list[dict[str, float]]]:
    """The losses of the first steps and the rows of the epochs, as last.keras has them."""
    state = run.state() or {}
    if isinstance(run.options, TrainingSettings) and run.options.minutes is not None:
        raise UserError(
            f"{run.path} was trained by the clock (--minutes), which no second run can follow "
            "step by step; verify runs that were given --epochs."
        )
    if run.settings.get("extended"):
        raise UserError(
            f"{run.path} was given more epochs on the way, so that its step sizes follow no one "
            "plan; verify runs that ended as they began."
        )
    if not state.get("step_losses"):
        raise UserError(
            f"{run.path} kept no losses of its first steps, by which it could be verified: it "
            "has no checkpoint, or its task or the version that made it keeps none."
        )
    return state["step_losses"], state["rows"]


def _first_step(then: Sequence[float], now: Sequence[float]) -> dict | None:
    for step, (one, other) in enumerate(zip(then, now), start=1):
        if one != other:
            return {"step": step, "what": "loss", "then": one, "now": other}
    return None


def _first_row(then: Sequence[dict], now: Sequence[dict]) -> dict | None:
    from tinyconv.training import PACE

    for one, other in zip(then, now):
        for name in one:
            if name not in PACE and one[name] != other.get(name):
                return {
                    "epoch": one["epoch"],
                    "what": name,
                    "then": one[name],
                    "now": other.get(name),
                }
    return None


def _distance(then: Sequence[float], now: Sequence[float]) -> float:
    return statistics.fmean(abs(one - other) for one, other in zip(then, now))


def _changed(run: Run, settings: dict) -> list[str]:
    """What is another today, with those settings, than in the run's settings.json."""
    today = {
        "versions": provenance.versions(),
        "machine": provenance.machine(),
        "data": {"data": settings.get("data_sha256")},
    }
    kept = {
        "versions": run.settings.get("versions", {}),
        "machine": run.settings.get("machine", {}),
        "data": {"data": run.settings.get("data_sha256")},
    }
    return [
        f"{name}: {kept[kind].get(name)} then, {value} now"
        for kind, values in today.items()
        for name, value in values.items()
        if kept[kind].get(name) not in (None, value)
    ]

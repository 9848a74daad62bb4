"""`verify`: whether a run's training, repeated, takes the same steps."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tinyconv.errors import UserError
from tinyconv.recipe import TrainingSettings
from tinyconv.runs import Run
from tinyconv.system import console, provenance
from tinyconv.trials import dry_run

STEPS = 20  # repeated by default
OTHER_SEEDS = 2  # seeds that show how far apart the losses of two seeds are


@dataclass(frozen=True)
class Verdict:
    """The outcome of the comparison."""

    verdict: str  # identical, within seed spread, or different
    steps: int  # compared
    epochs: int  # compared, by all numbers of their rows
    first: dict | None  # first difference: {"step" or "epoch", "what", "then", "now"}
    distance: float  # mean |loss then - loss now| of the steps
    seed_distance: float | None  # smallest distance to another seed; None where it is not needed
    changed: list[str]  # versions, machine, data


def _repeat(run: Run, seed: int, steps: float):
    """The training.Training of `run` from `seed`, after this number of steps."""
    repeated = Run(type(run.task)(), replace(run.options, seed=seed), run.catalogue)
    compiled_from = run.settings.get("compiled_from", 0)
    repeated.add(policy=run.settings.get("policy"), compiled_from=compiled_from)
    training = dry_run.prepared(repeated)
    training.run(steps)
    return training


def verify(run: Run, steps: int | None = STEPS) -> Verdict:
    """Repeat `run`'s first steps, or all for None, and compare with the losses that it saved.

    If they are not identical, they are within seed spread where the new losses are no farther from
    the saved ones, on the mean, than from those of the nearer of two other seeds. The run is not
    changed. Raises UserError for a run without saved losses, or whose steps cannot be repeated.
    """
    then, rows = _record(run)
    count = math.inf if steps is None else min(steps, len(then))
    repeated = _repeat(run, run.options.seed, count)
    now = repeated.state.step_losses
    rows = rows if steps is None else []
    then = then[: len(now)]
    first = _first_step(then, now) or _first_row(rows, repeated.state.rows)
    distance, nearest = _distance(then, now), None
    verdict = "identical"
    if first is not None:
        console.print_line(
            f"not identical; running {OTHER_SEEDS} other seeds to show the seed-to-seed variation"
        )
        seeds = [(run.options.seed + 1 + i) % 2**31 for i in range(OTHER_SEEDS)]
        others = [_repeat(run, seed, len(then)).state.step_losses for seed in seeds]
        nearest = min(_distance(now, other) for other in others)
        verdict = "within seed spread" if distance <= nearest else "different"
    changed = _differences(run, repeated.run_folder.settings)
    return Verdict(verdict, len(then), len(rows), first, distance, nearest, changed)


def _record(run: Run) -> tuple[list[float], list[dict[str, float]]]:
    """The losses of the first steps and the rows of the epochs, from last.keras."""
    state = run.state() or {}
    if isinstance(run.options, TrainingSettings) and run.options.minutes is not None:
        raise UserError(
            f"{run.path} was trained by the clock (--minutes), which cannot be "
            "reproduced exactly; only runs trained with --epochs can be verified."
        )
    if run.settings.get("extended"):
        raise UserError(
            f"{run.path} was extended by more epochs, so that its learning rates follow no single "
            "schedule; verify runs that ended with the settings that they began with."
        )
    if not state.get("step_losses"):
        raise UserError(
            f"{run.path} has no saved losses of its first steps to verify it by: it has no "
            "checkpoint, or its task or the version that made it saves none."
        )
    return state["step_losses"], state["rows"]


def _first_step(then: Sequence[float], now: Sequence[float]) -> dict | None:
    for step, (one, other) in enumerate(zip(then, now), start=1):
        if one != other:
            return {"step": step, "what": "loss", "then": one, "now": other}
    return None


def _first_row(then: Sequence[dict], now: Sequence[dict]) -> dict | None:
    from tinyconv.training.messages import PACE

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


def _differences(run: Run, settings: dict) -> list[str]:
    """Versions, machine and data of these settings that differ from the run's settings.json."""
    today = {
        "versions": provenance.versions(),
        "machine": provenance.machine(),
        "data": {"data": settings.get("data_sha256")},
    }
    before = {
        "versions": run.settings.get("versions", {}),
        "machine": run.settings.get("machine", {}),
        "data": {"data": run.settings.get("data_sha256")},
    }
    return [
        f"{name}: {before[kind].get(name)} then, {value} now"
        for kind, values in today.items()
        for name, value in values.items()
        if before[kind].get(name) not in (None, value)
    ]

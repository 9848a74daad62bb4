"""The coach: sentences that say why a network does not learn, what to do, and where to read it.

It measures (`measurements.py`), asks its rules (`rules.py`), and says what they find once a run: on
the screen, in the log, and in settings.json for the report. It never changes the training.
"""

import inspect
import statistics
import time
from collections import deque

import numpy as np

from tinyconv.coach import measurements
from tinyconv.coach.rules import RULES, WEAK
from tinyconv.data import Dataset
from tinyconv.system import console, hardware

SHARE = 0.005  # of the training's time that looking may take; all else takes as much at most
FIRST_LOOK = 20  # steps; then at twice as many each time, and at the ends of epochs
EARLY = 40  # steps in which the weights are still about those that it began with
ASKED = 10  # steps from one question about the loss to the next
PACED = 8  # steps by which the whole run is timed
START = 5  # first steps whose mean loss is what the training began with
NEEDS = {rule: set(inspect.signature(rule).parameters) for rule in RULES}


def sentences(known: dict, said=()) -> dict:
    """{rule: sentence} of the rules whose numbers are all in `known`, but for those `said`."""
    asked = [rule for rule in RULES if NEEDS[rule] <= known.keys() and rule.__name__ not in said]
    found = {rule: rule(**{name: known[name] for name in NEEDS[rule]}) for rule in asked}
    return {rule: sentence for rule, sentence in found.items() if sentence}


def tell(run, epoch: int, **known) -> None:
    """Say what the rules find in the numbers `known`, unless the run has been told so before."""
    told = run.settings.get("coach", [])
    new = [
        {"rule": rule.__name__, "epoch": epoch, "sentence": sentence, "lesson": RULES[rule]}
        for rule, sentence in sentences(known, {each["rule"] for each in told}).items()
    ]
    for each in new:
        console.say(f"coach      {line(each['sentence'], each['lesson'])}")
    if not new:
        return
    run.add(coach=[*told, *new])


def line(sentence: str, lesson: int) -> str:
    """A sentence with where it is explained."""
    return f"{sentence} (see: tinyconv lesson {lesson})"


def before(run, dataset: Dataset) -> None:
    """Look at the data of a run that is about to begin; see settings `no_coach`."""
    if run.options.no_coach or run.path is not None:
        return
    train = dataset.splits["train"]
    tell(
        run,
        0,
        policy=run.settings["policy"],
        gpu=hardware.has_gpu(),
        narrow_instructions=hardware.bfloat16_flag() is not None,
        validation_pictures=len(dataset.splits["validation"].labels),
        **measurements.pixels(train),
    )
    if dataset.classes:
        counts = np.bincount(train.labels, minlength=len(dataset.classes))
        tell(run, 0, class_counts=dict(zip(dataset.classes, counts.tolist())))
    for name, split in dataset.splits.items():
        if name != "train":
            found = measurements.duplicates(train, split)
            tell(run, 0, held_out=name, duplicates=found, held_out_pictures=len(split.labels))


class Gradients:
    """Looks at the gradients by layer: at first where they do not arrive, then where they cease."""

    def __init__(self):
        self.reached = None  # the layers that gradients reached at first, if that was seen

    def look(self, optimizer, idle_loss: float, steps: int) -> dict:
        """What is known for the rules after so many steps; nothing of some optimizers."""
        found = measurements.by_layer(optimizer, idle_loss)
        if not found:
            return {}
        if steps <= EARLY:
            self.reached = {name for name, pull in found["pull"].items() if pull > WEAK}
            return {"pull": found["pull"]}
        silent = found["silent"]
        layers = silent.keys() if self.reached is None else self.reached
        return {"silent": {name: silent[name] for name in layers}, "steps": steps}


class Coach:
    """Watches a training.Training: asked after each step and each epoch."""

    def __init__(self, loop):
        self.losses = deque(maxlen=100)
        self.chance = None  # the loss of knowing nothing, where it can be told
        self.gradients = Gradients()
        self.next_look, self.spent, self.cost = FIRST_LOOK, 0.0, 0.0  # steps, seconds, seconds

    def after_step(self, loop, targets, loss: float) -> None:
        """Ask about the loss, and now and then about gradients."""
        self.losses.append(loss)
        steps = loop.state.epoch * loop.steps_per_epoch + loop.state.step
        if len(self.losses) == 1:
            self.chance = measurements.chance(loop.model, targets)
            if steps == 1 and self.chance is not None:
                self._tell(loop, first_loss=loss, chance=self.chance)
        # Where pictures grow in the course of the run, first steps tell nothing of the others.
        if steps == PACED == len(loop.clock.steps) and len(loop.stages) == 1:
            expected = 0.0 if loop.settings.minutes else loop.clock.expected_seconds
            self._tell(loop, expected_seconds=expected, epochs=loop.settings.epochs)
        if steps % ASKED == 0:
            self._ask(loop, steps)
        if steps >= self.next_look:
            self.next_look = 2 * steps
            self._look(loop, steps)

    def after_epoch(self, loop) -> None:
        """Ask about the epochs so far, and about gradients."""
        rows = loop.state.rows
        seconds = rows[-1]["seconds"] - (rows[-2]["seconds"] if len(rows) > 1 else 0.0)
        tell(
            loop.folder,
            loop.state.epoch,
            history=rows,
            waiting_share=rows[-1]["waiting"],
            epoch_seconds=seconds,
        )
        self._look(loop, loop.state.epoch * loop.steps_per_epoch)

    def _tell(self, loop, **known) -> None:
        tell(loop.folder, loop.state.epoch + 1, **known)

    def _begun(self, loop) -> float:
        """The mean of the first losses; of a run that an older version began, of those known."""
        return statistics.fmean(loop.state.step_losses[:START] or self.losses)

    def _ask(self, loop, steps: int) -> None:
        self._tell(
            loop,
            recent_loss=statistics.fmean(list(self.losses)[-20:]),
            hundred_loss=statistics.fmean(self.losses),
            begun_loss=self._begun(loop),
            idle_loss=self._begun(loop) if self.chance is None else self.chance,
            steps=steps,
            learning_rate=loop.settings.peak_rate,
        )

    def _look(self, loop, steps: int) -> None:
        """Look at gradients, if the share of the time allows."""
        if self.spent + self.cost > SHARE * loop.state.seconds:
            return
        start = time.monotonic()
        idle = self._begun(loop) if self.chance is None else self.chance
        known = self.gradients.look(loop.model.optimizer, idle, steps)
        self.cost = time.monotonic() - start
        self.spent += self.cost
        self._tell(loop, **known)

"""The coach: sentences that say why a network does not learn, what to do, and where to read it.

It measures (`measurements.py`), asks its rules (`rules.py`), and says each rule's sentence once a
run: on the screen, in the log, and in settings.json for the report. It never changes the training.
"""

import statistics
import time
from collections import deque

import numpy as np

from tinyconv.coach import measurements, rules
from tinyconv.data import Dataset
from tinyconv.system import console, hardware

SHARE = 0.005  # of the training's time that looking may take; all else takes as much at most
FIRST_LOOK = 20  # steps; then at twice as many each time, and at the ends of epochs
EARLY = 40  # steps in which the weights are still about those that it began with
ASKED = 10  # steps from one question about the loss to the next
PACED = 8  # steps by which the whole run is timed
START = 5  # first steps whose mean loss is what the training began with


def tell(run, epoch: int, **sentences: str | None) -> None:
    """Say the sentences, each under its rule's name, unless the run has had one of that rule."""
    earlier = run.settings.get("coach", [])
    reported = {each["rule"] for each in earlier}
    new = [
        {"rule": rule, "epoch": epoch, "sentence": sentence, "lesson": rules.LESSONS[rule]}
        for rule, sentence in sentences.items()
        if sentence and rule not in reported
    ]
    for each in new:
        console.say(f"coach      {line(each['sentence'], each['lesson'])}")
    if new:
        run.add(coach=[*earlier, *new])


def line(sentence: str, lesson: int) -> str:
    """A sentence with where it is explained."""
    return f"{sentence} (see: tinyconv lesson {lesson})"


def before(run, dataset: Dataset) -> None:
    """Look at the data of a run that is about to begin; see settings `no_coach`."""
    if run.options.no_coach or run.path is not None:
        return
    train = dataset.splits["train"]
    policy, narrow_instructions = run.settings["policy"], hardware.bfloat16_flag() is not None
    tell(
        run,
        0,
        slow_numbers=rules.slow_numbers(policy, hardware.has_gpu(), narrow_instructions),
        small_validation=rules.small_validation(len(dataset.splits["validation"]), dataset.unit),
    )
    if train.inputs is None:
        tell(run, 0, input_scale=rules.input_scale(**measurements.pixels(train)))
    if dataset.classes:
        counts = np.bincount(train.labels, minlength=len(dataset.classes))
        by_class = dict(zip(dataset.classes, counts.tolist()))
        tell(run, 0, imbalance=rules.imbalance(by_class))
    for name, split in dataset.splits.items():
        if name != "train":
            duplicates = measurements.duplicates(train, split)
            count, unit = len(split), dataset.unit
            tell(run, 0, seen_before=rules.seen_before(name, duplicates, count, unit))


class Gradients:
    """Looks at the gradients by layer: at first where they do not arrive, then where they cease."""

    def __init__(self):
        self.reached = None  # the layers that gradients reached in the first steps, if looked at

    def look(self, optimizer, idle_loss: float, steps: int) -> dict[str, str | None]:
        """Sentences by rule after so many steps; none of some optimizers."""
        layers = measurements.by_layer(optimizer, idle_loss)
        if not layers:
            return {}
        pull, silent = layers["pull"], layers["silent"]
        if steps <= EARLY:
            self.reached = {name for name in pull if pull[name] > rules.WEAK}
            return {"vanishing": rules.vanishing(pull), "exploding": rules.exploding(pull)}
        reached = silent if self.reached is None else self.reached
        silent = {name: silent[name] for name in reached}
        return {"dead_rectifiers": rules.dead_rectifiers(silent, steps)}


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
                self._tell(loop, first_loss=rules.first_loss(loss, self.chance))
        # Where pictures grow in the course of the run, first steps tell nothing of the others.
        if steps == PACED == len(loop.clock.steps) and len(loop.stages) == 1:
            expected = 0.0 if loop.settings.minutes else loop.clock.expected_seconds
            self._tell(loop, how_long=rules.how_long(expected, loop.settings.epochs))
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
            overfitting=rules.overfitting(rows),
            waiting=rules.waiting(rows[-1]["waiting"], seconds),
        )
        self._look(loop, loop.state.epoch * loop.steps_per_epoch)

    def _tell(self, loop, **sentences: str | None) -> None:
        tell(loop.folder, loop.state.epoch + 1, **sentences)

    def _begun(self, loop) -> float:
        """The mean of the first losses; of a run that an older version began, of those known."""
        return statistics.fmean(loop.state.step_losses[:START] or self.losses)

    def _idle(self, loop) -> float:
        """The loss without having learnt anything."""
        return self._begun(loop) if self.chance is None else self.chance

    def _ask(self, loop, steps: int) -> None:
        idle = self._idle(loop)
        self._tell(
            loop,
            diverging=rules.diverging(
                recent_loss=statistics.fmean(list(self.losses)[-20:]),
                begun_loss=self._begun(loop),
                idle_loss=idle,
                learning_rate=loop.settings.peak_rate,
                steps=steps,
            ),
            stuck=rules.stuck(statistics.fmean(self.losses), idle, steps),
        )

    def _look(self, loop, steps: int) -> None:
        """Look at gradients, if the share of the time allows."""
        if self.spent + self.cost > SHARE * loop.state.seconds:
            return
        start = time.monotonic()
        sentences = self.gradients.look(loop.model.optimizer, self._idle(loop), steps)
        self.cost = time.monotonic() - start
        self.spent += self.cost
        self._tell(loop, **sentences)

"""The coach: sentences on why a network does not learn, what to do, and which lesson explains it.

It measures (`measurements.py`), applies its rules (`rules.py`), and reports each rule's sentence
once per run: on the screen, in the log, and in settings.json. It never changes the training.
"""

import statistics
import time
from collections import deque

import numpy as np

from tinyconv.coach import measurements, rules
from tinyconv.data import Dataset
from tinyconv.system import console, hardware

MAX_FRACTION = 0.005  # of the training's time for gradients; all else takes at most as much
FIRST_LOOK = rules.SPAN  # steps; then at twice as many each time, and at the end of each epoch
EARLY = 40  # steps in which the weights are still close to the initial ones
LOSS_EVERY = 10  # steps from one check of the loss to the next
PACE_STEPS = 8  # steps from which the time of the whole run is estimated
INITIAL = 5  # first steps, whose mean loss is the initial loss


def report(run, epoch: int, **sentences: str | None) -> None:
    """Print and record the sentences, by their rules' names, once per run for each rule."""
    earlier = run.settings.get("coach", [])
    reported = {each["rule"] for each in earlier}
    new = [
        {"rule": rule, "epoch": epoch, "sentence": sentence, "lesson": rules.LESSONS[rule]}
        for rule, sentence in sentences.items()
        if sentence and rule not in reported
    ]
    for each in new:
        console.print_line(f"coach      {line(each['sentence'], each['lesson'])}")
    if new:
        run.add(coach=[*earlier, *new])


def line(sentence: str, lesson: int) -> str:
    """A sentence with the lesson that explains it."""
    return f"{sentence} (see: tinyconv lesson {lesson})"


def examine_data(run, dataset: Dataset) -> None:
    """Examine the data of a new run, unless `no_coach` is set."""
    if run.options.no_coach or run.path is not None:
        return
    train = dataset.splits["train"]
    policy, has_bfloat16 = run.settings["policy"], hardware.bfloat16_flag() is not None
    report(run, 0, slow_numbers=rules.slow_numbers(policy, hardware.has_gpu(), has_bfloat16))
    if train.inputs is None:
        report(run, 0, input_scale=rules.input_scale(**measurements.pixels(train)))
    if dataset.classes:  # answers that are right or wrong
        held_out = len(dataset.splits["validation"])
        report(run, 0, small_validation=rules.small_validation(held_out, dataset.unit))
        counts = np.bincount(train.labels, minlength=len(dataset.classes))
        by_class = dict(zip(dataset.classes, counts.tolist()))
        report(run, 0, imbalance=rules.imbalance(by_class))
    for name, split in dataset.splits.items():
        if name != "train":
            duplicates = measurements.duplicates(train, split)
            count, unit = len(split), dataset.unit
            report(run, 0, seen_before=rules.seen_before(name, duplicates, count, unit))


class Gradients:
    """Checks the gradients by layer: early on for layers that none reach, later for dead units."""

    def __init__(self):
        self.reached = None  # the layers that gradients reached in the first steps, if checked

    def look(self, optimizer, chance_loss: float, steps: int) -> dict[str, str | None]:
        """Sentences by rule after `steps`; none where the optimizer keeps no mean gradients."""
        layers = measurements.by_layer(optimizer, chance_loss)
        if not layers:
            return {}
        influence, dead = layers["influence"], layers["dead"]
        if steps <= EARLY:
            if steps >= rules.SPAN:
                self.reached = {name for name in influence if influence[name] > rules.WEAK}
            return {
                "vanishing": rules.vanishing(influence, steps),
                "exploding": rules.exploding(influence),
            }
        reached = dead if self.reached is None else self.reached
        dead = {name: dead[name] for name in reached}
        return {"dead_rectifiers": rules.dead_rectifiers(dead, steps)}


class Coach:
    """Watches a training.Training, which calls it after each step and each epoch."""

    def __init__(self, loop):
        self.losses = deque(maxlen=100)
        self.chance = None  # the loss of equal scores, if the loss takes scores
        self.gradients = Gradients()
        self.next_look, self.spent, self.cost = FIRST_LOOK, 0.0, 0.0  # steps, seconds, seconds

    def after_step(self, loop, targets, loss: float) -> None:
        """Check the loss, and from time to time the gradients."""
        self.losses.append(loss)
        steps = loop.state.epoch * loop.steps_per_epoch + loop.state.step
        if len(self.losses) == 1:
            self.chance = measurements.chance(loop.model, targets)
            if steps == 1 and self.chance is not None:
                self._report(loop, first_loss=rules.first_loss(loss, self.chance))
        # With progressive resizing the pace of the first steps is not that of the others.
        if steps == PACE_STEPS == len(loop.clock.steps) and len(loop.stages) == 1:
            expected = 0.0 if loop.settings.minutes else loop.clock.expected_seconds
            self._report(loop, how_long=rules.how_long(expected, loop.settings.epochs))
        if steps % LOSS_EVERY == 0:
            self._check_loss(loop, steps)
        if steps >= self.next_look:
            self.next_look = 2 * steps
            self._check_gradients(loop, steps)

    def after_epoch(self, loop) -> None:
        """Check the history, and the gradients."""
        rows = loop.state.rows
        seconds = rows[-1]["seconds"] - (rows[-2]["seconds"] if len(rows) > 1 else 0.0)
        report(
            loop.run_folder,
            loop.state.epoch,
            overfitting=rules.overfitting(rows),
            waiting=rules.waiting(rows[-1]["waiting"], seconds),
        )
        self._check_gradients(loop, loop.state.epoch * loop.steps_per_epoch)

    def _report(self, loop, **sentences: str | None) -> None:
        report(loop.run_folder, loop.state.epoch + 1, **sentences)

    def _initial_loss(self, loop) -> float:
        """The mean of the first losses; for a run of an older version, of the latest losses."""
        return statistics.fmean(loop.state.step_losses[:INITIAL] or self.losses)

    def _chance_loss(self, loop) -> float:
        """The loss before anything is learnt."""
        return self._initial_loss(loop) if self.chance is None else self.chance

    def _check_loss(self, loop, steps: int) -> None:
        chance_loss = self._chance_loss(loop)
        self._report(
            loop,
            diverging=rules.diverging(
                recent_loss=statistics.fmean(list(self.losses)[-20:]),
                initial_loss=self._initial_loss(loop),
                chance_loss=chance_loss,
                learning_rate=loop.settings.peak_rate,
                steps=steps,
            ),
            stuck=rules.stuck(statistics.fmean(self.losses), chance_loss, steps),
        )

    def _check_gradients(self, loop, steps: int) -> None:
        """Check the gradients, if that stays within MAX_FRACTION of the time."""
        if self.spent + self.cost > MAX_FRACTION * loop.state.seconds:
            return
        start = time.monotonic()
        chance_loss = self._chance_loss(loop)
        sentences = self.gradients.look(loop.model.optimizer, chance_loss, steps)
        self.cost = time.monotonic() - start
        self.spent += self.cost
        self._report(loop, **sentences)

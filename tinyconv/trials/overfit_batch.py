"""`fit --check`: whether a network can overfit one small batch, as a sound one can.

Generalisation is not tested: a network that fails here has a fault between inputs and loss.
"""

import dataclasses
import statistics

import keras
import numpy as np

from tinyconv.coach import FIRST_LOOK, Gradients, line
from tinyconv.coach.rules import LESSONS

EXAMPLES = 16
STEPS = 150
RIGHT = 15 / 16  # of the examples, where there are classes
REST = 1 / 4  # of the loss, where there are none
OF_HEADS = 1 / 2  # of the loss of each head, where there are several


@dataclasses.dataclass(frozen=True)
class Check:
    """The outcome of the check."""

    learns: bool
    steps: int
    examples: int
    first_loss: float
    last_loss: float
    right: float | None  # fraction of right predictions; None where there are no classes
    sentences: list[dict]  # of the coach: sentence and lesson

    @property
    def lines(self) -> list[str]:
        """The coach's sentences, each with the lesson that explains it."""
        return [line(each["sentence"], each["lesson"]) for each in self.sentences]

    @property
    def verdict(self) -> str:
        """The outcome, for people."""
        right = "" if self.right is None else f"{self.right * self.examples:.0f} of them right, "
        end = (
            f"{self.examples} examples: after {self.steps} steps {right}the loss is "
            f"{self.last_loss:.3g}, from {self.first_loss:.3g} at first"
        )
        if self.learns:
            return f"It can overfit {end}."
        return (
            f"It cannot overfit {end}; something is wrong between the inputs and the loss (labels "
            "of other inputs, a layer that lets no gradient through), or the learning rate is "
            "wrong (tinyconv lr-find)."
        )


def check(loop) -> Check:
    """Train `loop`'s network, which is of no further use, on one batch over and over."""
    model, settings = loop.model, loop.settings
    inputs, targets = next(iter(loop.batches(0, 0)))
    count = len(keras.tree.flatten(targets)[0])
    # Evenly spaced: a batch is in the data's order, where examples of a class may be adjacent.
    places = np.unique(np.linspace(0, count - 1, EXAMPLES).astype(int))
    inputs, targets = keras.tree.map_structure(lambda rows: rows[places], (inputs, targets))
    losses, heads, gradients, sentences = [], [], Gradients(), {}
    for step in range(STEPS):
        model.optimizer.learning_rate = settings.peak_rate * loop.schedule(step / STEPS)
        logs = model.train_on_batch(inputs, targets, return_dict=True)
        losses.append(float(logs["loss"]))
        heads.append([float(logs[name]) for name in logs if name.endswith("_loss")])
        if not np.isfinite(losses[-1]):
            break
        if len(losses) in (FIRST_LOOK, STEPS):
            sentences |= gradients.look(model.optimizer, losses[0], len(losses))
    last = statistics.fmean(losses[-10:])
    right = _accuracy(model, inputs, targets)
    learns = last < REST * losses[0] if right is None else right >= RIGHT
    learns &= all(now < OF_HEADS * first for first, now in zip(heads[0], heads[-1]))
    advice = [
        {"sentence": sentence, "lesson": LESSONS[rule]}
        for rule, sentence in sentences.items()
        if sentence and not learns
    ]
    return Check(learns, len(losses), len(places), losses[0], last, right, advice)


def _accuracy(model, inputs, targets) -> float | None:
    """The fraction of right predictions, for a network with a head of one score per class."""
    scores = model.predict_on_batch(inputs)
    if isinstance(targets, dict):
        scores, targets = scores.get("scores"), targets.get("scores")
    if not isinstance(targets, np.ndarray) or targets.ndim != 1 or targets.dtype.kind not in "iu":
        return None
    return float((np.asarray(scores).argmax(axis=1) == targets).mean())

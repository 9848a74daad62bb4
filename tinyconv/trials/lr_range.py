"""`lr-find`: the learning-rate range test.

Smith 2017, "Cyclical learning rates" (arXiv 1506.01186), section 3.3: the learning rate rises from
far too small, here by a tenth each step, and the loss shows where it begins to be too large.
"""

import dataclasses
import itertools
import math

import numpy as np

from tinyconv.errors import UserError

FIRST, RISE, STEPS = 1e-5, 1.1, 150  # from 0.00001 to 15
SMOOTHING = 8  # steps whose mean loss belongs to the learning rate of the first of them
DIVERGENCE = 4  # times the lowest loss, where the test ends: higher learning rates are useless
SAFE = 3  # the suggestion is the learning rate of the lowest loss, divided by this


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """The learning rates of a range test, with the loss before each step and its moving mean."""

    sizes: list[float]  # learning rates
    losses: list[float]
    smooth: list[float]  # mean loss of each SMOOTHING steps in a row: SMOOTHING - 1 fewer
    lowest: float  # learning rate of the lowest smoothed loss
    suggestion: float  # a third of it


def range_test(loop) -> RangeTest:
    """Train `loop`'s network with a rising learning rate until it diverges.

    The network is of no further use. Built by hand in tutorials/03.
    """
    model = loop.model
    epochs = (loop.batches(epoch, 0) for epoch in itertools.count())
    rates, losses, smooth = [], [], []
    for step, (inputs, targets) in zip(range(STEPS), itertools.chain.from_iterable(epochs)):
        rate = FIRST * RISE**step
        model.optimizer.learning_rate = rate
        loss = float(model.train_on_batch(inputs, targets, return_dict=True)["loss"])
        if not math.isfinite(loss):
            break
        rates.append(rate)
        losses.append(loss)
        if len(losses) >= SMOOTHING:
            smooth.append(float(np.mean(losses[-SMOOTHING:])))
            if smooth[-1] > DIVERGENCE * min(smooth):
                break
    if not smooth:
        raise UserError(
            f"The loss became {loss} at a learning rate of {rate:.1g}; a lower learning rate "
            "will not help; check whether the network can overfit one batch: tinyconv fit --check"
        )
    lowest = rates[int(np.argmin(smooth))]
    return RangeTest(rates, losses, smooth, lowest, float(f"{lowest / SAFE:.2g}"))

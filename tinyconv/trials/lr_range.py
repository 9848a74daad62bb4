"""`lr-find`: the range test of step sizes.

Smith 2017, "Cyclical learning rates" (arXiv 1506.01186), section 3.3: the step size rises from
far too small, here by a tenth each step, and the loss tells where steps begin to be too large.
"""

import dataclasses
import itertools
import math

import numpy as np

from tinyconv.errors import UserError

FIRST, RISE, STEPS = 1e-5, 1.1, 150  # from 0.00001 to 15
SMOOTHED = 8  # steps whose mean loss belongs to the size that they begin with
DIVERGED = 4  # times the lowest loss: from there on nothing is learnt about step sizes
SAFE = 3  # how much smaller than the size of the lowest loss the suggestion is


@dataclasses.dataclass(frozen=True)
class RangeTest:
    """The step sizes tried, with the loss before each step, and smoothed over the next ones."""

    sizes: list[float]
    losses: list[float]
    smooth: list[float]  # SMOOTHED - 1 fewer
    lowest: float  # the size of the lowest smoothed loss
    suggestion: float  # a third of it


def range_test(loop) -> RangeTest:
    """Train `loop`'s network, which nobody needs any more, with rising steps until it diverges.

    Built by hand in tutorials/03.
    """
    model = loop.model
    epochs = (loop.batches(epoch, 0) for epoch in itertools.count())
    sizes, losses, smooth = [], [], []
    for step, (inputs, targets) in zip(range(STEPS), itertools.chain.from_iterable(epochs)):
        size = FIRST * RISE**step
        model.optimizer.learning_rate = size
        loss = float(model.train_on_batch(inputs, targets, return_dict=True)["loss"])
        if not math.isfinite(loss):
            break
        sizes.append(size)
        losses.append(loss)
        if len(losses) >= SMOOTHED:
            smooth.append(float(np.mean(losses[-SMOOTHED:])))
            if smooth[-1] > DIVERGED * min(smooth):
                break
    if not smooth:
        raise UserError(
            f"The loss became {loss} at a step size of {size:.1g}, which no step size mends; see "
            "whether the network can learn one batch: tinyconv fit --check"
        )
    lowest = sizes[int(np.argmin(smooth))]
    return RangeTest(sizes, losses, smooth, lowest, float(f"{lowest / SAFE:.2g}"))

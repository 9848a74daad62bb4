"""What a map was normalised from, handed to the rectifier that follows, which does all in one pass.

Any backend can import this; TensorFlow's programs for it stand in `fused_norm.py`.
"""

import dataclasses
from typing import Any

from tinyconv.system import private

ATTRIBUTE = "tinyconv_normalised"  # of a map: the Normalised that it was made from


@dataclasses.dataclass(frozen=True)
class Normalised:
    """A map as a rectifier takes it: before the normalisation and the shortcut it came through.

    x (B, ..., C); mean, variance, gamma and beta (C,), or those of no normalisation; `of_batch`
    if mean and variance are x's own, and change with it; the shortcut as x, or None.
    """

    x: Any
    mean: Any = 0.0
    variance: Any = 1.0
    gamma: Any = 1.0
    beta: Any = 0.0
    epsilon: float = 0.0
    of_batch: bool = False
    shortcut: Any = None


def attach(outputs, before: Normalised) -> None:
    """Note on the map `outputs` (B, ..., C) what it was made from."""
    private.attach(outputs, ATTRIBUTE, before)


def attached(outputs) -> Normalised | None:
    """What the map `outputs` (B, ..., C) was made from, or None where nothing was noted."""
    return private.attached(outputs, ATTRIBUTE)

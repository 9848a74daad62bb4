"""The parts of a normalised map, for the rectifier that follows and computes all in one pass.

Any backend can import this file; TensorFlow's programs are in `fused_norm.py`.
"""

import dataclasses
from typing import Any

from tinyconv.system import private

ATTRIBUTE = "tinyconv_normalised"  # attribute of a map, which holds its Normalised


@dataclasses.dataclass(frozen=True)
class Normalised:
    """A map x (B, ..., C) before its normalisation, with the normalisation and shortcut to apply.

    mean, variance, gamma and beta are (C,); the defaults stand for no normalisation. `of_batch`
    is True if mean and variance are x's own, and change with it. The shortcut has x's shape, or
    is None.
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
    """Attach to the map `outputs` (B, ..., C) the parts that it was computed from."""
    private.attach(outputs, ATTRIBUTE, before)


def attached(outputs) -> Normalised | None:
    """The parts of the map `outputs` (B, ..., C), or None where none are attached."""
    return private.attached(outputs, ATTRIBUTE)

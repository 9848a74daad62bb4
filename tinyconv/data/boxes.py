"""Bounding boxes: their coordinates, their overlap, and how augmentation moves them.

A split's boxes are whole pixels: left, top, right and bottom of the first and the last pixel
inside. A network's boxes are corners (B, 4): left, top, right, bottom as fractions of the
picture's width and height, from 0 to 1. In both, an unknown box is -1 four times.
"""

from dataclasses import replace

import numpy as np

from tinyconv.data import augment

UNKNOWN = -1.0


def corners(boxes, shape) -> np.ndarray:
    """Boxes in pixels as fractions of the width and height, for pictures of `shape` (H, W, C).

    From (N, 4) left, top, right, bottom, the last two inclusive, to (N, 4) float32 in the same
    order from 0 to 1, the last two exclusive. Unknown boxes are -1 four times.
    """
    height, width, _ = shape
    fractions = (np.asarray(boxes) + [0, 0, 1, 1]) / [width, height, width, height]
    return np.where(is_known(boxes)[:, None], fractions, UNKNOWN).astype("float32")


def is_known(boxes) -> np.ndarray:
    """Which of the boxes or corners (N, 4) are known: (N,) bool."""
    return np.asarray(boxes)[:, 0] >= 0


def overlap(one, other) -> np.ndarray:
    """Intersection over union (N,) of corners (N, 4) and (N, 4)."""
    low, high = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    return shared / (_area(one) + _area(other) - shared)


def _area(corners) -> np.ndarray:
    return np.prod(corners[:, 2:] - corners[:, :2], axis=1)


# Random changes of data/augment.py, with targets {"box": corners (B, 4), ...} -------------------


def policy(name: str, mirror: bool) -> list:
    """The changes of policy `name`, which move the boxes, too."""
    moves = {augment.flip: _mirrored, augment.crop: _shifted}
    return [replace(each, move=moves.get(each)) for each in augment.policy(name, mirror)]


def _mirrored(targets, shape, is_mirrored):
    boxes = targets["box"]
    left, top, right, bottom = boxes.T
    mirrored = np.stack([1 - right, top, 1 - left, bottom], axis=1)
    changed = is_mirrored & is_known(boxes)
    return targets | {"box": np.where(changed[:, None], mirrored, boxes)}


def _shifted(targets, shape, rows, columns):
    """A box that leaves the picture becomes unknown."""
    boxes = targets["box"]
    _, height, width, _ = shape
    by = np.stack([columns / width, rows / height] * 2, axis=1).astype(boxes.dtype)
    moved = np.clip(boxes + by, 0, 1)
    is_visible = is_known(boxes) & (moved[:, :2] < moved[:, 2:]).all(axis=1)
    return targets | {"box": np.where(is_visible[:, None], moved, UNKNOWN)}

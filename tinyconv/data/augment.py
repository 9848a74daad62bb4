"""Data augmentation: random changes that keep a picture's class, on batches (B, H, W, C) of uint8.

They run in NumPy between the memory map and the network, in the feeding thread. Each function
takes the batch, a random generator and each picture's turn (B,), and returns a new batch of the
same shape and dtype. A picture's turn starts at 0 or 1 and rises by one each epoch.
"""

import numpy as np

TURN, STRETCH, SHEAR = 0.2, 0.12, 0.15  # most that a warp turns (radians), stretches and shears
SHIFT = 0.1  # most that it shifts, as a fraction of the side


def flip(pictures, random, turns):
    """Mirror each picture left to right in alternate epochs; a random half starts mirrored.

    Jordan 2024 (arXiv 2404.00498, section 3.6): independent random flips repeat the same side
    half of the time; alternating flips show both sides in two epochs.
    """
    flipped = turns % 2 == 1
    return np.where(flipped[:, None, None, None], pictures[:, :, ::-1], pictures)


def crop(pictures, random, turns):
    """Shift each picture by up to an eighth of its size; mirrored borders fill the gap.

    He et al. 2016, section 4.2, pad 32x32 by 4 pixels; mirrored pixels keep the statistics.
    Built by hand in tutorials/09, with zeros in the gap.
    """
    return shifted(pictures, *shifts(pictures, random))


def shifts(pictures, random):
    """(rows, columns) by which each picture's content moves down and to the right, each (B,)."""
    pad = max(1, min(pictures.shape[1:3]) // 8)
    if min(pictures.shape[1:3]) <= pad:
        return np.zeros((2, len(pictures)), int)
    return pad - random.integers(0, 2 * pad + 1, (2, len(pictures)))


def shifted(pictures, rows, columns):
    """The pictures with their content moved."""
    _, height, width, _ = pictures.shape
    pad = max(1, abs(rows).max(), abs(columns).max())
    padded = np.pad(pictures, [(0, 0), (pad, pad), (pad, pad), (0, 0)], mode="reflect")
    moved = np.empty_like(pictures)
    for i, (top, left) in enumerate(zip(pad - rows, pad - columns, strict=True)):
        moved[i] = padded[i, top : top + height, left : left + width]
    return moved


def warp(pictures, random, turns):
    """Turn, shear and stretch each picture a little, and shift it by up to a tenth of its size."""
    return warped(pictures, random, SHIFT)


def warped(pictures, random, shift=0.0):
    """The pictures turned, sheared and stretched at random, with black around them.

    Args:
        pictures: (B, H, W, C) uint8.
        random: a generator.
        shift: most that each is shifted, as a fraction of the side.

    Returns:
        (B, H, W, C) uint8, by linear interpolation.
    """
    count, height, width, _ = pictures.shape
    turn, shear = random.uniform(-TURN, TURN, count), random.uniform(-SHEAR, SHEAR, count)
    cos, sin = np.cos(turn), np.sin(turn)
    matrices = np.stack([cos, cos * shear - sin, sin, sin * shear + cos], -1).reshape(-1, 2, 2)
    matrices = matrices / random.uniform(1 - STRETCH, 1 + STRETCH, (count, 1, 2))
    middle = np.array([[height - 1], [width - 1]]) / 2
    target = middle * (1 + 2 * random.uniform(-shift, shift, (count, 2, 1))) if shift else middle
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"))
    at = (matrices @ (grid.reshape(2, -1) - middle) + target).astype("float32")  # (B, 2, H W)
    whole = np.floor(at).astype(int)
    share = at - whole
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)))
    result, rows = 0.0, np.arange(count)[:, None]
    for down in (0, 1):
        for right in (0, 1):
            y = np.clip(whole[:, 0] + down, -1, height) + 1
            x = np.clip(whole[:, 1] + right, -1, width) + 1
            weights = np.abs(1 - np.array([[down], [right]]) - share).prod(axis=1)
            result = result + weights[..., None] * padded[rows, y, x]
    return np.round(result).astype("uint8").reshape(pictures.shape)


def colour(pictures, random, turns):
    """Change brightness and contrast by up to 40 %, drawn once for each picture."""
    brightness, contrast = random.uniform(0.6, 1.4, (2, len(pictures), 1, 1, 1)).astype("float32")
    mean = pictures.mean(axis=(1, 2, 3), keepdims=True, dtype="float32")
    changed = (pictures - mean) * contrast + mean * brightness
    return np.clip(changed, 0, 255).astype(np.uint8)


def cutout(pictures, random, turns):
    """Grey out one square of a quarter of the side (DeVries & Taylor 2017, arXiv 1708.04552)."""
    _, height, width, _ = pictures.shape
    side = max(1, min(height, width) // 4)
    tops = random.integers(0, height - side + 1, len(pictures))
    lefts = random.integers(0, width - side + 1, len(pictures))
    cut = pictures.copy()
    for i, (top, left) in enumerate(zip(tops, lefts, strict=True)):
        cut[i, top : top + side, left : left + side] = 128
    return cut


def on_pictures(step):
    """Adapt a step on pictures to one on pictures and targets, which it leaves unchanged."""
    return lambda pictures, targets, random, turns: (step(pictures, random, turns), targets)


POLICIES = {
    "none": (),
    "basic": (flip, crop),
    "strong": (flip, crop, colour, cutout),
}


def policy(name: str, mirror: bool):
    """The steps of policy `name`, without `flip` if a mirror image changes the class."""
    return tuple(step for step in POLICIES[name] if mirror or step is not flip)

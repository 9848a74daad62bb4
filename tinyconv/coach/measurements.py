"""What the coach measures: of the data before, and of the training as it goes.

Nothing here draws a random number of the run's or runs the network: gradients by layer are read
off the optimizer, which keeps their moving average anyway. So training is the same with and
without, bit by bit, on every backend, and a look costs a pass over the weights.
"""

import json
from collections.abc import Mapping

import keras
import numpy as np

from tinyconv.data import Split
from tinyconv.data.pipeline import release
from tinyconv.losses import MulticlassHinge, SoftmaxCrossEntropy
from tinyconv.system import private

LOOKED_AT = 500  # training pictures, for the range of their pixels
NOTHING = 1e-6  # of the largest gradient of the last layer: in float32 that is none


def pixels(split: Split) -> dict[str, float]:
    """The spread and the greatest of the pixels of some pictures, in levels from 0 to 255."""
    chosen = np.linspace(0, len(split.pictures) - 1, min(LOOKED_AT, len(split.pictures)))
    some = np.asarray(split.pictures[chosen.astype(int)])
    return {"pixel_spread": float(some.std()), "brightest_pixel": int(some.max())}


def duplicates(training: Split, held_out: Split) -> int:
    """How many held-out examples are among the training examples, of pictures pixel by pixel.

    Their middle rows are compared first, and the whole of those alone that agree there.
    """
    if training.inputs is not None:
        known = set(map(_key, training.inputs))
        return sum(_key(each) in known for each in held_out.inputs)
    rows = {row.tobytes() for row in _middle(held_out)}
    alike = [i for i, row in enumerate(_middle(training)) if row.tobytes() in rows]
    known = {training.pictures[i].tobytes() for i in alike}
    found = sum(picture.tobytes() in known for picture in held_out.pictures) if known else 0
    release(training.pictures)
    release(held_out.pictures)
    return found


def _key(example) -> bytes:
    return example.tobytes() if isinstance(example, np.ndarray) else json.dumps(example).encode()


def _middle(split: Split) -> np.ndarray:
    return np.asarray(split.pictures[:, split.pictures.shape[1] // 2])  # (N, W, C)


def chance(model, targets) -> float | None:
    """The loss of scores that are all 0, which say nothing; None where the loss takes no scores."""
    loss = getattr(model, "loss", None)
    takes_scores = isinstance(loss, (SoftmaxCrossEntropy, MulticlassHinge)) or (
        isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
        and loss.get_config()["from_logits"]
    )
    if not takes_scores:
        return None
    scores = np.zeros((len(targets), *model.output_shape[1:]), "float32")
    return float(loss(targets, scores))


def mean_gradients(optimizer) -> list[tuple] | None:
    """(weight, mean gradient of about the last ten steps, an array) of kernels, from the input on.

    None of an optimizer that keeps no such mean.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # of float16's loss scaling
    means = private.mean_gradients(optimizer)
    if means is None:
        return None
    return [
        (weight, keras.ops.convert_to_numpy(mean) * factor)
        for weight, (mean, factor) in zip(private.trained_variables(optimizer), means, strict=True)
        if len(weight.shape) > 1
    ]


def by_layer(optimizer, idle_loss: float) -> dict[str, Mapping]:
    """`pull` and `silent` of rules.py; nothing where the optimizer keeps no gradients."""
    found = mean_gradients(optimizer)
    if not found:
        return {}
    last = np.abs(found[-1][1]).max()
    pull, silent = {}, {}
    for weight, mean in found:
        layer = weight.path.rpartition("/")[0] or weight.path
        size = np.linalg.norm(keras.ops.convert_to_numpy(weight))
        pull[layer] = float(np.linalg.norm(mean) * size / max(idle_loss, 1e-12))
        units = np.abs(mean).reshape(-1, mean.shape[-1]).max(axis=0)
        silent[layer] = int((units <= NOTHING * last).sum()), len(units)
    return {"pull": pull, "silent": silent}

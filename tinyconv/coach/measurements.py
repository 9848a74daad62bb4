"""The coach's measurements: of the data before training, and of the training while it runs.

No function here draws from the run's random numbers or runs the network: gradients by layer are
read from the optimizer, which keeps their moving averages anyway. So the training is bit for bit
the same with the coach and without, on every backend, and a check costs one pass over the weights.
"""

import json
from collections.abc import Mapping

import keras
import numpy as np

from tinyconv.data import Split
from tinyconv.data.pipeline import release
from tinyconv.losses import MulticlassHinge, SoftmaxCrossEntropy
from tinyconv.system import private

SAMPLE = 500  # training pictures, for the range of their pixels
NO_GRADIENT = 1e-6  # of the largest gradient of the last layer: in float32 that is none


def pixels(split: Split) -> dict[str, float]:
    """Standard deviation and maximum of the pixels of a sample, in levels from 0 to 255."""
    places = np.linspace(0, len(split.pictures) - 1, min(SAMPLE, len(split.pictures)))
    sample = np.asarray(split.pictures[places.astype(int)])
    return {"pixel_spread": float(sample.std()), "brightest_pixel": int(sample.max())}


def duplicates(training: Split, held_out: Split) -> int:
    """Count the held-out examples that are also training examples; pictures pixel by pixel.

    The middle rows of pictures are compared first, and then whole pictures whose middle rows agree.
    """
    if training.inputs is not None:
        examples = set(map(_key, training.inputs))
        return sum(_key(each) in examples for each in held_out.inputs)
    rows = {row.tobytes() for row in _middle(held_out)}
    candidates = [i for i, row in enumerate(_middle(training)) if row.tobytes() in rows]
    examples = {training.pictures[i].tobytes() for i in candidates}
    count = sum(each.tobytes() in examples for each in held_out.pictures) if examples else 0
    release(training.pictures)
    release(held_out.pictures)
    return count


def _key(example) -> bytes:
    return example.tobytes() if isinstance(example, np.ndarray) else json.dumps(example).encode()


def _middle(split: Split) -> np.ndarray:
    return np.asarray(split.pictures[:, split.pictures.shape[1] // 2])  # (N, W, C)


def chance(model, targets) -> float | None:
    """The loss of scores that are all 0; None where the loss does not take scores (logits)."""
    loss = getattr(model, "loss", None)
    takes_scores = isinstance(loss, (SoftmaxCrossEntropy, MulticlassHinge)) or (
        isinstance(loss, keras.losses.SparseCategoricalCrossentropy)
        and loss.get_config()["from_logits"]
    )
    if not takes_scores:
        return None
    sizes = zip(model.output_shape, (*targets.shape, None))
    scores = np.zeros([of_batch if n is None else n for n, of_batch in sizes], "float32")
    return float(loss(targets, scores))


def mean_gradients(optimizer) -> list[tuple] | None:
    """(kernel, array of its mean gradient over about ten steps), in order from the input.

    None for an optimizer that keeps no such mean.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # inside float16's loss scaling
    means = private.mean_gradients(optimizer)
    if means is None:
        return None
    return [
        (weight, keras.ops.convert_to_numpy(mean) * factor)
        for weight, (mean, factor) in zip(private.trained_variables(optimizer), means, strict=True)
        if len(weight.shape) > 1
    ]


def by_layer(optimizer, chance_loss: float) -> dict[str, Mapping]:
    """`influence` and `dead` of rules.py; {} where the optimizer keeps no mean gradients."""
    gradients = mean_gradients(optimizer)
    if not gradients:
        return {}
    last = np.abs(gradients[-1][1]).max()
    influence, dead = {}, {}
    for weight, mean in gradients:
        layer = weight.path.rpartition("/")[0] or weight.path
        with np.errstate(over="ignore", invalid="ignore"):  # of a training that diverges
            size = np.linalg.norm(keras.ops.convert_to_numpy(weight))
            influence[layer] = float(np.linalg.norm(mean) * size / max(chance_loss, 1e-12))
        units = np.abs(mean).reshape(-1, mean.shape[-1]).max(axis=0)
        dead[layer] = int((units <= NO_GRADIENT * last).sum()), len(units)
    return {"influence": influence, "dead": dead}

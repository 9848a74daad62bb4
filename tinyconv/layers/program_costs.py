"""What compiled programs cost and save: whether they pay for a training, or for predictions."""

import contextlib
import dataclasses
import math
from collections.abc import Iterator

import keras

from tinyconv import layers
from tinyconv.system import program_cache

# Seconds on two cores of an EPYC of 2024, rounded from steps and compilations of convnet, resnet20
# and resnet18 that were timed beside other work. On another machine all of them are longer or
# shorter together, and only their ratios count.
GRAPH = 0.5  # to build the graph once more,
LAYER = 0.1  # and for each layer with programs of its own,
SHAPE = 0.15  # and to compile them for a new shape of map
NUMBER = 4.5e-9  # that Keras' normalisation or rectifier takes for a number, forward and back,
SAVED = 0.5  # and the fraction of that which a program saves
PRODUCT = 1 / 350e9  # that a convolution takes for a multiply-add, one way of three,
SAVED_PRODUCTS = 0.2  # and the fraction of that which a faster convolution saves
PARAMETER = 1.5e-9  # that the optimizer's program saves of a parameter's step
MARGIN = 2  # times its cost that compiling must save: the estimate is rough
FORWARD = 1 / 3  # of a step's time is the forward pass


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Seconds that compiling takes, that a plain step takes, and that programs save of it."""

    compilation: float
    step: float
    saved: float

    def pays(self, steps: float) -> bool:
        """Whether the programs save more in `steps` steps than they cost."""
        return steps * self.saved > MARGIN * self.compilation


def estimate(model, batch_size: int, trains: bool = True) -> Estimate:
    """What compiling costs and saves for batches of `batch_size`: of training, or of predicting."""
    shapes, count, numbers, products, faster = set(), 0, 0, 0, 0
    for layer in _connected(model):
        if isinstance(layer, layers.WithPrograms):
            size = layer.program_numbers()
            count += 1
            shapes.add((type(layer), size))
            numbers += size
        elif isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            products += layer_multiply_adds(layer)
            inputs = batch_size, *layer.input.shape[1:]
            if isinstance(layer, layers.Conv2D) and layer.faster(inputs, layer.compute_dtype):
                faster += layer_multiply_adds(layer)
                shapes.add((type(layer), layer.output.shape))
    passes = batch_size * numbers * NUMBER
    convolutions = 3 * batch_size * PRODUCT
    step = passes + convolutions * products
    saved = passes * SAVED + convolutions * faster * SAVED_PRODUCTS
    if trains:
        saved += PARAMETER * sum(math.prod(weight.shape) for weight in model.trainable_weights)
    else:
        step, saved = step * FORWARD, saved * FORWARD
    return Estimate(GRAPH + LAYER * count + SHAPE * len(shapes), step, saved)


def at_once(model, batch_size: int, steps: int) -> int | None:
    """0, the step from which a loop of its own trains `model` by programs, if they pay; or None."""
    pays = layers.can_compile() and estimate(model, batch_size).pays(steps)
    return 0 if pays else None


@contextlib.contextmanager
def for_predictions(model, count: int) -> Iterator[None]:
    """Use programs inside the block if they pay for `count` predictions of `model`.

    Where a block around it has chosen, as a training does for its validation, that stays.
    """
    if layers.is_chosen():
        yield
        return
    pays = layers.can_compile() and estimate(model, 1, trains=False).pays(count)
    if pays:
        program_cache.check()
    with layers.compiled(pays):
        yield


def _connected(model) -> Iterator[keras.layers.Layer]:
    """The layers of `model` and of the networks inside it that stand in a graph of layers."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _connected(layer)
        elif hasattr(layer, "output"):  # raises AttributeError where it was never connected
            yield layer


def layer_multiply_adds(layer) -> int:
    """Those of one connected layer: 0 without a kernel; a side that is not known counts as 1."""
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return 0
    cells = math.prod(side or 1 for side in layer.output.shape[1:-1])  # 1 for a dense layer
    return cells * math.prod(kernel.shape)

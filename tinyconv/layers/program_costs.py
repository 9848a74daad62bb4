"""The cost and the savings of compiled programs: whether they pay for a training or predictions."""

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
GRAPH = 0.5  # to build the graph again,
LAYER = 0.1  # plus this for each layer with programs of its own,
SHAPE = 0.15  # plus this to compile them for a new shape of feature map
NUMBER = 4.5e-9  # Keras' normalisation or rectifier, per number, forward and back,
SAVED_FRACTION = 0.5  # of which a program saves this fraction
PRODUCT = 1 / 350e9  # a convolution, per multiply-add, one of three passes,
SAVED_PRODUCTS = 0.2  # of which a faster convolution saves this fraction
PARAMETER = 1.5e-9  # saved by the optimizer's program, per parameter and step
MARGIN = 2  # compiling must save this many times its cost, since the estimate is rough
FORWARD = 1 / 3  # fraction of a step's time in the forward pass


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Seconds to compile, seconds of a step without programs, and seconds per step they save."""

    compilation: float
    step: float
    saved: float

    def pays(self, steps: float) -> bool:
        """Whether the programs save at least `MARGIN` times their cost in `steps` steps."""
        return steps * self.saved > MARGIN * self.compilation


def estimate(model, batch_size: int, trains: bool = True) -> Estimate:
    """Estimate cost and savings for batches of `batch_size`, in training or in prediction."""
    shapes, count, numbers, products, faster = set(), 0, 0, 0, 0
    for layer in _graph_layers(model):
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
    saved = passes * SAVED_FRACTION + convolutions * faster * SAVED_PRODUCTS
    if trains:
        saved += PARAMETER * sum(math.prod(weight.shape) for weight in model.trainable_weights)
        step = max(step, saved)  # for a network with none of these layers, as of word vectors
    else:
        step, saved = step * FORWARD, saved * FORWARD
    return Estimate(GRAPH + LAYER * count + SHAPE * len(shapes), step, saved)


def at_once(model, batch_size: int, steps: int) -> int | None:
    """The step from which a loop outside `Training` uses programs: 0 if they pay, or None."""
    pays = layers.can_compile() and estimate(model, batch_size).pays(steps)
    return 0 if pays else None


@contextlib.contextmanager
def for_predictions(model, count: int) -> Iterator[None]:
    """Use programs inside the block if they pay for `count` predictions of `model`.

    The choice of an enclosing block, as that of a training for its validation, has precedence.
    """
    if layers.is_chosen():
        yield
        return
    pays = layers.can_compile() and estimate(model, 1, trains=False).pays(count)
    if pays:
        program_cache.check()
    with layers.compiled(pays):
        yield


def _graph_layers(model) -> Iterator[keras.layers.Layer]:
    """The layers of `model` and its nested networks that are connected in a graph of layers."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _graph_layers(layer)
        elif hasattr(layer, "output"):  # a layer that was never connected has none
            yield layer


def layer_multiply_adds(layer) -> int:
    """The multiply-adds of a connected layer: 0 without a kernel; an unknown side counts as 1."""
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return 0
    positions = math.prod(side or 1 for side in layer.output.shape[1:-1])  # 1 for a dense layer
    return positions * math.prod(kernel.shape)

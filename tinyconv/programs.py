"""Compiled programs in a training: whether they pay, and how they take over beside it.

The programs of `kernels.py`, `winograd.py` and `optimizers.py` halve a step, and take seconds to
compile, which a short run never earns back. So every run starts on the plain graph of Keras' own
operations. Where the run is long enough, a thread compiles beside it, and the programs take over
at a step that is chosen before the first one. The two round differently; settings.json stores that
step, so that neither the speed of the thread nor a stop changes the numbers.
"""

import concurrent.futures
import contextlib
import dataclasses
import math
from collections.abc import Iterator
from functools import cache

import keras

from tinyconv import kernels, layers, program_cache
from tinyconv.recipe import TrainingSettings
from tinyconv.runs import MORE
from tinyconv.zoo.anatomy import layer_multiply_adds

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
BESIDE = 2  # times as long as by itself that compiling takes beside a training
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


def first_step(costs: Estimate, done: int, steps: float) -> int | None:
    """The step, counted from 0, that programs take over with in a training, or None for never.

    Late enough for a thread to have compiled them: training waits for it at that step.

    Args:
        costs: of a step of the training.
        done: steps that are done.
        steps: steps that are still to come.
    """
    if not costs.pays(steps):
        return None
    return done + 1 + math.ceil(BESIDE * costs.compilation / costs.step)


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


class Programs:
    """The programs of one training: of each of its networks, from one step on.

    Args:
        run: its settings hold `compiled_from`, that step counted from 0, or None for never. A run
            with steps done and without this setting was made when all began compiled.
        networks: the compiled Keras models that train one after the other.
        settings: the run's TrainingSettings.
        total: steps of the whole run, for one of --epochs.
        done: steps that are done.
    """

    def __init__(self, run, networks, settings: TrainingSettings, total: int, done: int):
        self.networks = networks
        self.first = run.settings.get("compiled_from", 0 if done else None)
        is_open = "compiled_from" not in run.settings or any(name in MORE for name in run.changed)
        if self.first is None and is_open and layers.can_compile():
            costs = estimate(networks[-1], settings.batch_size)
            steps = settings.minutes * 60 / costs.step if settings.minutes else total - done
            self.first = first_step(costs, done, steps)
        self.compilations: dict[int, concurrent.futures.Future] = {}  # by id of the network
        self.ready: set[int] = set()  # ids of networks that train by programs

    def are_used(self, step: int) -> bool:
        """Whether the step, counted from 0, is one of the programs."""
        return self.first is not None and step >= self.first and layers.can_compile()

    def before_step(self, step: int, network, inputs, targets) -> bool:
        """Compile beside the steps that come before the programs', and then hand these over.

        Nothing is compiled before the first step, which would be waited for twice as long.
        Returns whether the programs take over with this step.
        """
        if self.first is None or not layers.can_compile() or step < min(1, self.first):
            return False
        if not self.compilations:
            specs = (*keras.tree.map_structure(_spec, (inputs, targets)), None)
            for each in self.networks:
                self.compilations[id(each)] = _worker().submit(_training_step, each, specs)
        takes_over = self.are_used(step) and id(network) not in self.ready
        if takes_over:
            compiled_step = self.compilations[id(network)].result()
            network.train_function = lambda batches: compiled_step(next(batches))
            network.predict_function = None  # made again, by programs, when it is next called
            self.ready.add(id(network))
        return takes_over


def _training_step(network, specs):
    """The network's training step as a graph whose programs are compiled."""
    import tensorflow as tf

    program_cache.check()
    with layers.compiled():
        step = tf.function(network.train_step, reduce_retracing=True, autograph=False)
        step.get_concrete_function(specs)
        kernels.finish()
    return step


def _spec(array):
    import tensorflow as tf

    return tf.TensorSpec(array.shape, array.dtype)


@cache
def _worker() -> concurrent.futures.Executor:
    return concurrent.futures.ThreadPoolExecutor(1, "programs")

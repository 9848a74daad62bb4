"""Compiled programs in a training: whether they pay, and how they take over beside it.

The programs of `layers/` and `optimizers.py` halve a step, and take seconds to
compile, which a short run never earns back. So every run starts on the plain graph of Keras' own
operations. Where the run is long enough, a thread compiles beside it, and the programs take over
at a step that is chosen before the first one. The two round differently; settings.json stores that
step, so that neither the speed of the thread nor a stop changes the numbers.
"""

import concurrent.futures
import math
from functools import cache

import keras

from tinyconv import layers
from tinyconv.layers.program_costs import Estimate, estimate
from tinyconv.recipe import TrainingSettings
from tinyconv.runs import EXTENSIONS
from tinyconv.system import program_cache

BESIDE = 2  # times as long as by itself that compiling takes beside a training


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
        is_open = "compiled_from" not in run.settings or any(
            name in EXTENSIONS for name in run.changed
        )
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

    from tinyconv.layers import fused_norm

    program_cache.check()
    with layers.compiled():
        step = tf.function(network.train_step, reduce_retracing=True, autograph=False)
        step.get_concrete_function(specs)
        fused_norm.finish()
    return step


def _spec(array):
    import tensorflow as tf

    return tf.TensorSpec(array.shape, array.dtype)


@cache
def _worker() -> concurrent.futures.Executor:
    return concurrent.futures.ThreadPoolExecutor(1, "programs")

"""Compiled programs in a training: whether they pay, and how training switches to them.

The programs of `layers/` and `optimizers.py` halve the time of a step but take seconds to compile,
which a short run never recovers. So every run starts on the plain graph of Keras' own operations.
If the run is long enough, a thread compiles the programs in parallel, and training switches to
them at a step that is chosen before the first one. The two round differently; settings.json stores
that step, so that neither the speed of the thread nor a stop changes the numbers.
"""

import concurrent.futures
import math
from functools import cache

from tinyconv import layers
from tinyconv.layers.program_costs import Estimate, estimate
from tinyconv.recipe import TrainingSettings
from tinyconv.runs import EXTENSIONS
from tinyconv.system import program_cache
from tinyconv.training.step_graph import Step, step_of

SLOWDOWN = 2  # factor by which compiling takes longer while training runs


def first_step(costs: Estimate, done: int, steps: float) -> int | None:
    """The step, counted from 0, at which training switches to programs, or None for never.

    It is late enough for a thread to have compiled them; training waits for the thread there.

    Args:
        costs: the estimated costs of a step of the training.
        done: steps that are done.
        steps: steps that are left.
    """
    if not costs.pays(steps):
        return None
    return done + 1 + math.ceil(SLOWDOWN * costs.compilation / costs.step)


class Programs:
    """The programs of one training, used for each of its networks from one step on.

    Args:
        run: its settings hold `compiled_from`, that step counted from 0, or None for never. A run
            with steps done and without this setting is of a version in which all runs started
            compiled.
        networks: the compiled Keras models that train one after the other; empty for a head on a
            frozen body, which is too small for programs to pay.
        settings: the run's TrainingSettings.
        total: steps of the whole run, for --epochs.
        done: steps that are done.
    """

    def __init__(self, run, networks, settings: TrainingSettings, total: int, done: int):
        self.networks = networks
        self.first = run.settings.get("compiled_from", 0 if done else None)
        is_open = "compiled_from" not in run.settings or any(
            name in EXTENSIONS for name in run.changed
        )
        if networks and self.first is None and is_open and layers.can_compile():
            costs = estimate(networks[-1], settings.batch_size)
            steps = settings.minutes * 60 / costs.step if settings.minutes else total - done
            self.first = first_step(costs, done, steps)
        self.compilations: dict[int, concurrent.futures.Future] = {}  # by id of the network
        self.ready: set[int] = set()  # ids of networks that use programs

    def are_used(self, step: int) -> bool:
        """Whether the step, counted from 0, uses programs."""
        return self.first is not None and step >= self.first and layers.can_compile()

    def before_step(self, done: int, network, inputs, targets) -> bool:
        """Start compiling during the steps before the switch, and then install the programs.

        Nothing is compiled before the first step, which would then take twice as long. Returns
        whether training switches to the programs at this step.
        """
        if self.first is None or not layers.can_compile() or done < min(1, self.first):
            return False
        if not self.compilations:
            for each in self.networks:
                step = step_of(each, inputs, targets)
                self.compilations[id(each)] = _worker().submit(compiled, step, inputs, targets)
        switches = self.are_used(done) and id(network) not in self.ready
        if switches:
            network.train_function = network.predict_function = None  # made again, with programs
            self.ready.add(id(network))
        return switches

    def step_of(self, network, inputs, targets):
        """The step of a network, by programs from the switch on: see `step_graph.step_of`."""
        if id(network) in self.ready:
            return self.compilations[id(network)].result()
        return step_of(network, inputs, targets)


def compiled(step, inputs, targets):
    """The step, whose graph for batches like this one has compiled programs."""
    from tinyconv.layers import fused_norm

    program_cache.check()
    if not isinstance(step, Step):  # a network that overrides `train_on_batch` makes its own graph
        return step
    with layers.compiled():
        step.trace(inputs, targets)
        fused_norm.finish()
    return step


@cache
def _worker() -> concurrent.futures.Executor:
    return concurrent.futures.ThreadPoolExecutor(1, "programs")

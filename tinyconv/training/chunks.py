"""Chunks: many training steps in one program, on JAX, whose losses are fetched once a chunk.

Keras' `train_on_batch` returns to Python after every step, which takes a small network, and a GPU,
longer than the step. A chunk is a loop inside of one program. The number of its steps is an
argument of the program: wherever a chunk ends, for an epoch, a look of the coach or Ctrl-C, every
step is computed by the same instructions, so that a resumed run repeats the bits of an unbroken
one.

In a loop on a CPU, XLA takes twenty times as long for the steps of a network with convolutions as
outside (benchmarks/RESULTS.md), so that there such networks take one step at a time. Data sets live
on GPUs alone (`resident.py`): a CPU gains nothing from it.
"""

from collections.abc import Sequence

import keras
import numpy as np

from tinyconv.data.pipeline import AHEAD, Batches, Feeder
from tinyconv.system import hardware, processes
from tinyconv.system.private import built_for_training

MOST_STEPS = 32
MOST_BYTES = 1 << 26  # of the batches of a chunk
MOST_SECONDS = 0.5  # of a chunk: Ctrl-C waits for its end


def chunks(model, inputs, targets):
    """The Chunks of a compiled model whose batches look like this one; None where they are slower.

    Args:
        model: the compiled Keras model.
        inputs, targets: a batch.
    """
    if keras.config.backend() != "jax":
        return None
    program = Chunks(model, inputs, targets)
    if hardware.has_gpu() or not program.has_convolutions():
        return program
    program.size = 1  # without a loop
    return program if processes.is_requested() else None


def begin(loop, inputs, targets) -> None:
    """Prepare a Training for the steps of another network, which takes batches like this one."""
    loop.clock.forget()
    loop.trained, loop.chunks = loop.model, chunks(loop.model, inputs, targets)
    loop.step = loop.programs.step_of(loop.model, inputs, targets)


def feeder(loop) -> Feeder:
    """The Feeder of the batches of a Training's epoch, from its next step on.

    The loop's `resident` becomes the data set on the GPU from which they are drawn, or None for
    whole batches.
    """
    batches = loop.batches(loop.state.epoch, loop.state.step)
    loop.resident, earlier = None, loop.resident
    on_gpu = keras.config.backend() == "jax" and hardware.has_gpu()  # there are Chunks
    if on_gpu and isinstance(batches, Batches):
        from tinyconv.training import resident  # imports JAX

        loop.resident = resident.of(batches, earlier)
    ahead = AHEAD if loop.chunks is None else max(AHEAD, loop.chunks.size)
    return Feeder(batches if loop.resident is None else batches.drawn(), ahead)


def agree(loop) -> None:
    """Make the processes of a Training start it with the same settings, data and weights."""
    if processes.is_requested():
        from tinyconv.training import shares  # imports JAX

        shares.begin(loop)


class Chunks:
    """The program that takes a chunk of a model's training steps.

    Args:
        model: the compiled Keras model.
        inputs, targets: a batch.

    Attributes:
        size: the most steps in a chunk.
    """

    def __init__(self, model, inputs, targets):
        import jax

        built_for_training(model, inputs, targets)
        self.model = model
        count = sum(np.asarray(array).nbytes for array in jax.tree.leaves((inputs, targets)))
        self.size = int(np.clip(MOST_BYTES // max(1, count), 1, MOST_STEPS))
        rate = model.optimizer.learning_rate
        self._rate = next(i for i, each in enumerate(model.optimizer.variables) if each is rate)
        self._step = jax.jit(self._one_step, inline=True)  # traced once, although called twice
        self._program = jax.jit(self._steps, donate_argnums=0)
        self._shares = None
        if processes.is_requested():  # nothing is donated: another process may die in a step
            from tinyconv.training.shares import Shares

            self._shares = Shares()
            self._program = jax.jit(self._steps, out_shardings=self._shares.whole)
        self._first = [(inputs, targets)]

    def has_convolutions(self) -> bool:
        """Whether a step of the model computes convolutions."""
        arguments = self._arguments(self._first, [0.0])
        return "conv_general_dilated" in str(self._program.trace(*arguments).jaxpr)

    def count(self, most: float, seconds: float) -> int:
        """How many steps to take at once.

        Args:
            most: steps, after which there is something else to do.
            seconds: that a step takes.

        Returns:
            An int, at least 1.
        """
        return max(1, int(min(most, self.size, MOST_SECONDS / max(seconds, 1e-9))))

    def take(
        self, batches: Sequence[tuple], rates: Sequence[float], resident=None
    ) -> list[dict[str, float]]:
        """Take a step down the gradient for each batch.

        Args:
            batches: (inputs, targets) of the steps, at most `size`.
            rates: the learning rate of each step.
            resident: the Resident from which the batches are drawn; None for whole batches.

        Returns:
            What `train_on_batch` returns of each batch: the loss and the metrics by name.
        """
        import jax

        if len({_shapes(batch) for batch in batches}) > 1:
            return [self.take([each], [rate], resident)[0] for each, rate in zip(batches, rates)]
        state, logs = self._program(*self._arguments(batches, rates, resident))
        if self._shares is not None:
            state, logs = jax.tree.map(self._shares.own, (state, logs))
        logs = {name: rows.tolist() for name, rows in jax.device_get(logs).items()}  # or an error
        for variable, value in zip(jax.tree.leaves(self._variables), jax.tree.leaves(state)):
            variable.assign(value)
        return [{name: rows[i] for name, rows in logs.items()} for i in range(len(batches))]

    def refill(self) -> None:
        """Set variables to 0 whose memory a program took that then failed; others can compute."""
        import jax

        for variable in jax.tree.leaves(self._variables):
            if variable.value.is_deleted():
                variable.assign(jax.numpy.zeros(variable.shape, variable.dtype))

    @property
    def _variables(self) -> list[list]:
        """What a step changes: weights, other variables of the layers, and the optimizer's."""
        model = self.model
        return [
            list(variables)
            for variables in (
                model.trainable_variables,
                model.non_trainable_variables,
                model.optimizer.variables,
            )
        ]

    def _arguments(self, batches, rates, resident=None) -> tuple:
        """Those of `_steps`."""
        import jax

        self.model.reset_metrics()
        state = [[variable.value for variable in group] for group in self._variables]
        metrics = [variable.value for variable in self.model.metrics_variables]
        rows = jax.tree.map(self._stacked, *batches)
        whole = state, metrics, self._stacked(*np.float32(rates)), np.int32(len(batches))
        if self._shares is None:
            return *whole, rows, resident
        whole = jax.tree.map(self._shares.everywhere, whole)
        return *whole, jax.tree.map(self._shares.divided, rows), None

    def _stacked(self, *arrays) -> np.ndarray:
        """The arrays as the first of `size` rows; no step reads the others."""
        first = np.asarray(arrays[0])
        rows = np.empty((self.size, *first.shape), first.dtype)
        for i, array in enumerate(arrays):
            rows[i] = array
        return rows

    def _steps(self, state, metrics, rates, count, batches, resident):
        """(the variables' values after `count` steps, {name: its value at each step})."""
        import jax

        def step(i, carry):
            state, logs = carry
            batch = jax.tree.map(lambda each: each[i], batches)
            state, new = self._step(state, metrics, rates[i], batch, resident)
            return state, {name: logs[name].at[i].set(new[name]) for name in logs}

        first = jax.tree.map(lambda each: each[0], batches)
        if self.size == 1:
            state, logs = self._step(state, metrics, rates[0], first, resident)
            return state, {name: value[None] for name, value in logs.items()}
        _, logs = jax.eval_shape(self._step, state, metrics, rates[0], first, resident)
        none = {name: jax.numpy.zeros(self.size, each.dtype) for name, each in logs.items()}
        return jax.lax.fori_loop(0, count, step, (state, none))

    def _one_step(self, state, metrics, rate, batch, resident):
        """(the variables' values after a step of Keras' own, its loss and metrics)."""
        weights, others, optimizer = state
        optimizer = [*optimizer[: self._rate], rate, *optimizer[self._rate + 1 :]]
        before = weights, others, optimizer, metrics
        batch = batch if resident is None else resident.whole(*batch)
        logs, (*after, _) = self.model.train_step(before, batch)
        return after, logs


def _shapes(batch) -> tuple:
    return tuple(np.shape(array) for array in keras.tree.flatten(batch))

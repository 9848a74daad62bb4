"""A training step as one call.

Around the step itself Keras' `train_on_batch` resets each metric by a separate operation and checks
every layer, which takes a seventh of the time where the network is small. On TensorFlow the graph
of a step resets the metrics here, and nothing else is done.
"""

from collections.abc import Callable
from functools import partial

import keras

from tinyconv.layers.sequence_graphs import input_specs, target_specs
from tinyconv.system.private import built_for_training


def step_of(model, inputs, targets) -> Callable[..., dict[str, float]]:
    """The function that takes the training steps of a compiled model.

    Args:
        model: the compiled Keras model; if its class overrides `train_on_batch`, that is used.
        inputs, targets: a batch.

    Returns:
        `step(inputs, targets)`, which returns the loss and the metrics by name.
    """
    if is_overridden(model) or keras.config.backend() != "tensorflow" or model.run_eagerly:
        return partial(model.train_on_batch, return_dict=True)
    return Step(model, inputs, targets)


def is_overridden(model) -> bool:
    """Whether the model's class has a `train_on_batch` of its own."""
    return type(model).train_on_batch is not keras.Model.train_on_batch


class Step:
    """A step of a compiled Keras model on TensorFlow, as one graph.

    Args:
        model: the compiled Keras model.
        inputs, targets: a batch.
    """

    def __init__(self, model, inputs, targets):
        import tensorflow as tf

        built_for_training(model, inputs, targets)  # the graph cannot reset what there is not yet
        self.model, self.is_traced = model, False
        self.graph = tf.function(
            self._step, reduce_retracing=True, autograph=False, jit_compile=model.jit_compile
        )

    def trace(self, inputs, targets) -> None:
        """Make the graph for batches like this one, without computing anything."""
        self.graph.get_concrete_function(
            input_specs(self.model, inputs), target_specs(self.model, targets)
        )
        self.is_traced = True

    def __call__(self, inputs, targets) -> dict[str, float]:
        """Take a step; returns the loss and the metrics by name."""
        if not self.is_traced:
            self.trace(inputs, targets)
        logs = self.graph(inputs, targets)
        return {name: float(logs[name]) for name in sorted(logs)}  # the order of Keras

    def _step(self, inputs, targets):
        self.model.reset_metrics()
        return self.model.train_step((inputs, targets, None))

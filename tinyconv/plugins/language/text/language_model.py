"""The network: the symbols so far to scores of the next, by recurrent layers that carry a state.

In training each row of a batch is one reader of the text, whose state is a variable: it outlives
the batch, and it is saved with the weights. To measure and to write a text, `Reader` and `Step`
use the same layers with the state as an input.
"""

import keras
import numpy as np
from keras import ops

from tinyconv import layers
from tinyconv.layers import recurrent
from tinyconv.plugins.language.text.neural_turing_machine import TuringCell

CELLS = {"rnn": recurrent.SimpleRNN, "lstm": recurrent.LSTM, "gru": recurrent.GRU}


@keras.saving.register_keras_serializable("tinyconv")
class CarriedState(layers.WithPrograms, keras.layers.Layer):
    """A recurrent layer that begins each batch with the state in which the last one ended.

    Gradients do not cross the border between batches: truncated backpropagation through time.

    Args:
        layer: the recurrent layer, with return_sequences and return_state.
        readers: rows of a batch, B.

    Args of the call:
        sequences: (B, T, D) float32.

    Returns:
        (B, T, n) float32.
    """

    def __init__(self, layer, readers: int, **kwargs):
        super().__init__(**kwargs)
        self.layer, self.readers = layer, readers

    def build(self, shape):
        self.layer.build(shape)
        self.carried = [
            self.add_weight(
                shape=tuple(state.shape), initializer="zeros", trainable=False, name=f"state{i}"
            )
            for i, state in enumerate(self.layer.get_initial_state(self.readers))
        ]
        self.reset()

    def reset(self) -> None:
        """Set the state to that before the first symbol."""
        for variable, value in zip(self.carried, self.layer.get_initial_state(self.readers)):
            variable.assign(ops.convert_to_numpy(value))  # JAX takes no array for two variables

    def program_numbers(self) -> int:
        """Count the numbers per example that the layer's programs process."""
        if not isinstance(self.layer, recurrent.Recurrent):
            return 0
        kernel = self.layer.cell.recurrent_kernel
        return recurrent.OPERATIONS * self.input.shape[1] * kernel.shape[-1]

    def call(self, sequences, training=False):
        states = [ops.convert_to_tensor(state) for state in self.carried]
        outputs, *states = self.layer(sequences, initial_state=states, training=training)
        for variable, state in zip(self.carried, states, strict=True):
            variable.assign(state)
        return outputs

    def compute_output_shape(self, shape):
        return self.layer.compute_output_shape(shape)[0]

    def get_config(self):
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer, "readers": self.readers}

    @classmethod
    def from_config(cls, config):
        layer = keras.saving.deserialize_keras_object(config.pop("layer"))
        return cls(layer, **config)


def recurrent_layer(model: str, units: int, slots: int, width: int, name: str):
    """A recurrent layer that returns its outputs and its last state."""
    options = {"return_sequences": True, "return_state": True, "name": name, "dtype": "float32"}
    if model == "ntm":
        cell = TuringCell(units, slots, width, dtype="float32", name=f"{name}_cell")
        return keras.layers.RNN(cell, **options)
    return CELLS[model](units, **options)


def network(
    vocabulary: int,
    readers: int,
    window: int,
    model: str = "gru",
    units: int = 160,
    layers: int = 1,
    embedding: int = 48,
    dropout: float = 0.0,
    slots: int = 40,
    width: int = 20,
) -> keras.Model:
    """The untrained network: symbols (B, T) int32 to scores (logits) (B, T, V) of those after them.

    Args:
        vocabulary: the number of ids, V.
        readers: rows of a batch, B.
        window: symbols of a row, T.
        model: "rnn", "lstm", "gru" or "ntm".
        units: of each recurrent layer.
        layers: recurrent layers.
        embedding: size of the embedding.
        dropout: fraction of values dropped between layers (Zaremba et al. 2014).
        slots: rows of an ntm's memory.
        width: numbers of a row.
    """
    symbols = keras.Input(batch_shape=(readers, window), dtype="int32", name="symbols")
    x = keras.layers.Embedding(
        vocabulary, embedding, embeddings_initializer=_uniform(), name="embedding"
    )(symbols)
    for number in range(1, layers + 1):
        layer = recurrent_layer(model, units, slots, width, f"{model}{number}")
        x = CarriedState(layer, readers, name=f"layer{number}")(x)
        x = keras.layers.Dropout(dropout, name=f"dropout{number}")(x)
    scores = keras.layers.Dense(vocabulary, name="scores")(x)
    return keras.Model(symbols, scores, name=f"{model}-{units}")


def _uniform():
    return keras.initializers.RandomUniform(-1.0, 1.0)


def stack(model: keras.Model) -> list:
    """The recurrent layers of a network, from the input on."""
    inner = [each.layer if isinstance(each, CarriedState) else each for each in model.layers]
    return [each for each in inner if isinstance(each, keras.layers.RNN)]


class _WithStates:
    """Layers of a network with the state as an input and an output."""

    def __init__(self, model: keras.Model):
        self.layers, self.scores = stack(model), model.get_layer("scores")
        embeddings = [each for each in model.layers if each.name == "embedding"]
        self.embedding = embeddings[0] if embeddings else None  # vectors are read as they are

    def first_states(self, rows: int) -> list[np.ndarray]:
        """The states before the first symbol, of all layers, one array (rows, n) each."""
        states = [state for each in self.layers for state in each.get_initial_state(rows)]
        return [ops.convert_to_numpy(state) for state in states]

    def _inputs(self) -> list[list]:
        """An input for each state, by layer."""
        inputs = []
        for number, layer in enumerate(self.layers, start=1):
            states = layer.get_initial_state(1)
            inputs.append(
                [
                    keras.Input(state.shape[1:], dtype="float32", name=f"before_{number}_{i}")
                    for i, state in enumerate(states, start=1)
                ]
            )
        return inputs


class Reader(_WithStates):
    """-ln p of known texts: symbols and those after them (B, T), and states, to losses (B, T)."""

    def __init__(self, model: keras.Model):
        super().__init__(model)
        symbols = keras.Input((None,), dtype="int32", name="symbols")
        following = keras.Input((None,), dtype="int32", name="following")
        x, inputs, after = self.embedding(symbols), self._inputs(), []
        for layer, states in zip(self.layers, inputs, strict=True):
            x, *states = layer(x, initial_state=states)
            after += states
        values = NegativeLogLikelihood(name="losses")(self.scores(x), following)
        flat = [symbols, following, *(each for states in inputs for each in states)]
        self.model = keras.Model(flat, [values, *after])

    def __call__(self, symbols, following, states) -> tuple[np.ndarray, list[np.ndarray]]:
        values, *states = self.model.predict_on_batch([symbols, following, *states])
        return values, states


class Step(_WithStates):
    """One symbol of a text: symbols (B,) and states to scores (B, V) of the next, and states."""

    def __init__(self, model: keras.Model):
        super().__init__(model)
        symbols, inputs, after = self._symbols(model), self._inputs(), []
        x = self.embedding(symbols) if self.embedding else symbols
        for layer, states in zip(self.layers, inputs, strict=True):
            layer.cell.name = f"{layer.name}_cell"  # Keras calls them all alike
            x, states = layer.cell(x, states)
            after += states if isinstance(states, list | tuple) else [states]
        flat = [symbols, *(each for states in inputs for each in states)]
        self.model = keras.Model(flat, [self.scores(x), *after], name="step")

    def _symbols(self, model: keras.Model):
        """The input: a symbol's id, or its vector in a network without an embedding."""
        if self.embedding is not None:
            return keras.Input((), dtype="int32", name="symbol")
        return keras.Input(model.input.shape[-1:], name="symbol")

    def __call__(self, symbols, states) -> tuple[np.ndarray, list[np.ndarray]]:
        scores, *states = self.model.predict_on_batch([symbols, *states])
        return scores, states


@keras.saving.register_keras_serializable("tinyconv")
class NegativeLogLikelihood(keras.layers.Layer):
    """-ln of the softmax's share for one symbol: scores (B, T, V), symbols (B, T) to (B, T)."""

    def call(self, scores, symbols):
        return ops.sparse_categorical_crossentropy(symbols, scores, from_logits=True)

    def compute_output_shape(self, scores_shape, symbols_shape):
        return symbols_shape

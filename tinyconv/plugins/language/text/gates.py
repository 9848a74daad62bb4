"""The inside of recurrent layers, step by step in NumPy: states and gates as a text is read.

The equations are those of `layers/recurrence.py`; tests compare the two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops
from scipy.special import expit

from tinyconv.layers import recurrent
from tinyconv.plugins.language.text import language_model

LOW, HIGH = 0.1, 0.9  # a gate beyond them is saturated: Karpathy et al. 2015, section 4.2


@dataclass(frozen=True)
class Trace:
    """One layer's values at each of N steps.

    Attributes:
        name: of the layer.
        state: (N, n), c of an LSTM, else h.
        gates: (N, n) from 0 to 1, by name.
    """

    name: str
    state: np.ndarray
    gates: dict[str, np.ndarray]


def traces(model: keras.Model, ids: np.ndarray) -> list[Trace]:
    """The values of each layer of rnn, lstm or gru while it reads ids (N,) from its first state."""
    x = ops.convert_to_numpy(model.get_layer("embedding").embeddings)[ids]
    result = []
    for layer in language_model.stack(model):
        step = STEPS.get(type(layer))
        if step is None:  # an ntm
            return []
        weights = [np.asarray(each, "float64") for each in layer.get_weights()]
        outputs, states, gates = step(x, *weights)
        names = GATES[type(layer)]
        split = np.split(gates, len(names), axis=1) if names else []
        result.append(Trace(layer.name, states, dict(zip(names, split, strict=True))))
        x = outputs
    return result


def _rnn(x, W, U, b):
    h, outputs = np.zeros(len(U)), []
    for a in x @ W + b:
        h = np.tanh(a + h @ U)
        outputs.append(h)
    outputs = np.array(outputs)
    return outputs, outputs, None


def _lstm(x, W, U, b):
    n = len(U)
    h, c, rows = np.zeros(n), np.zeros(n), []
    for a in x @ W + b:
        a = a + h @ U
        i, f, o = expit(a[:n]), expit(a[n : 2 * n]), expit(a[3 * n :])
        c = f * c + i * np.tanh(a[2 * n : 3 * n])
        h = o * np.tanh(c)
        rows.append((h, c, np.concatenate([i, f, o])))
    return tuple(map(np.array, zip(*rows)))


def _gru(x, W, U, b):
    n = len(U)
    h, rows = np.zeros(n), []
    for a in x @ W + b[0]:
        of_h = h @ U + b[1]
        z, r = np.split(expit(a[: 2 * n] + of_h[: 2 * n]), 2)
        h = z * h + (1 - z) * np.tanh(a[2 * n :] + r * of_h[2 * n :])
        rows.append((h, h, np.concatenate([z, r])))
    return tuple(map(np.array, zip(*rows)))


STEPS = {recurrent.SimpleRNN: _rnn, recurrent.LSTM: _lstm, recurrent.GRU: _gru}
GATES = {
    recurrent.SimpleRNN: (),
    recurrent.LSTM: ("input", "forget", "output"),
    recurrent.GRU: ("update", "reset"),
}


def signals(text: str) -> dict[str, np.ndarray]:
    """What a unit could track, at each character of a text: (N,) float64 by name.

    "column" is the place in the line, from 0; "quotes" and "brackets" say how many are open, where
    the text has any. A quotation ends with its line's paragraph, however it is written.
    """
    column, quotes, brackets = [], [], []
    place = is_open = depth = 0
    for one, following in zip(text, [*text[1:], ""]):
        is_open = 1 - is_open if one == '"' else is_open
        depth = max(0, depth + (one in "([{<") - (one in ")]}>"))
        if one == "\n" and following == "\n":
            is_open = depth = 0
        place = 0 if one == "\n" else place + 1
        column.append(place)
        quotes.append(is_open)
        brackets.append(depth)
    named = {"column": column, "quotes": quotes, "brackets": brackets}
    arrays = {name: np.array(values, "float64") for name, values in named.items()}
    return {name: values for name, values in arrays.items() if values.std() > 0}


def correlations(states: np.ndarray, signal: np.ndarray) -> np.ndarray:
    """The correlation of each unit's state (N, n) with a signal (N,): (n,), 0 for a constant."""
    centred = states - states.mean(axis=0)
    signal = signal - signal.mean()
    sizes = np.linalg.norm(centred, axis=0) * np.linalg.norm(signal)
    return (signal @ centred) / np.where(sizes > 0, sizes, np.inf)


def best_unit(all_traces: Sequence[Trace], text: str) -> dict[str, tuple[int, int, float]]:
    """For each signal of a text the layer, the unit, and its correlation, of the greatest size."""
    best = {}
    for name, signal in signals(text).items():
        tables = [correlations(trace.state, signal) for trace in all_traces]
        units = [int(np.abs(table).argmax()) for table in tables]
        layer = max(range(len(tables)), key=lambda i: abs(tables[i][units[i]]))
        best[name] = layer, units[layer], float(tables[layer][units[layer]])
    return best


def saturation(trace: Trace) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each gate the fraction of steps at which each unit is below 0.1, and above 0.9."""
    return {
        name: ((values < LOW).mean(axis=0), (values > HIGH).mean(axis=0))
        for name, values in trace.gates.items()
    }


def gradient_norms(model: keras.Model, windows: np.ndarray) -> np.ndarray:
    """How much the loss of the last symbol depends on the input of each step before it.

    Args:
        model: of `language_model.network`.
        windows: (B, T + 1) ids.

    Returns:
        (T,): the norm of the gradient by the embedding, the mean over the windows, at distances
        0 to T - 1 back.
    """
    from tinyconv.explain import backends

    embedding, scores = model.get_layer("embedding"), model.get_layer("scores")
    layers, target = language_model.stack(model), windows[:, -1]

    def loss(x):
        for layer in layers:
            x = layer(x)[0]
        return ops.sparse_categorical_crossentropy(target, scores(x[:, -1]), from_logits=True)

    x = ops.convert_to_numpy(embedding.embeddings)[windows[:, :-1]]
    gradient = backends.runner(model, loss, differentiated=True)(x)[1]
    norms = np.linalg.norm(ops.convert_to_numpy(gradient), axis=-1)
    return norms.mean(axis=0)[::-1]

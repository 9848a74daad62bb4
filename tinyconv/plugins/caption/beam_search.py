"""Decoding of captions: beam search; greedy search is a beam of width one."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from tinyconv.data.pipeline import whole_batches
from tinyconv.layers import program_costs
from tinyconv.plugins.caption.vocabulary import END, PADDING, START, UNKNOWN

BATCH = 128  # pictures decoded at a time


@dataclass(frozen=True)
class Caption:
    """A decoded caption: the ids of its words, and ln p of the whole caption."""

    word_ids: tuple[int, ...]
    log_probability: float

    @property
    def rank(self) -> float:
        """ln p per word, so that a short caption is not better for being short."""
        return self.log_probability / (len(self.word_ids) + 1)


class DecoderPart(keras.layers.Layer):
    """A part of the decoder's computation, as a layer that can be saved by itself."""

    def __init__(self, decoder, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.decoder = decoder

    def get_config(self):
        decoder = keras.saving.serialize_keras_object(self.decoder)
        return {**super().get_config(), "decoder": decoder}

    @classmethod
    def from_config(cls, config):
        return cls(
            **{**config, "decoder": keras.saving.deserialize_keras_object(config["decoder"])}
        )


@keras.saving.register_keras_serializable("tinyconv")
class Begin(DecoderPart):
    """The decoder's initial state.

    Args of the call:
        annotations: (B, L, D) float32, the annotation vectors.

    Returns:
        keys (B, L, k), hidden (B, n), cell (B, n), all float32.
    """

    def call(self, annotations):
        return self.decoder.begin(annotations)


@keras.saving.register_keras_serializable("tinyconv")
class Step(DecoderPart):
    """One decoding step.

    Args of the call:
        annotations: (B, L, D) float32, the annotation vectors.
        keys: (B, L, k) float32, from `Begin`.
        word: (B,) int32, the previous word.
        hidden: (B, n) float32, the LSTM's hidden state.
        cell: (B, n) float32, the LSTM's cell state.

    Returns:
        ln p (B, V) of the next word, hidden (B, n), cell (B, n), attention weights (B, L).
    """

    def call(self, annotations, keys, word, hidden, cell):
        decoder = self.decoder
        embedded = ops.take(decoder.E, word, axis=0)
        context, alpha, _ = decoder.look(annotations, keys, hidden)
        hidden, cell = decoder.lstm(embedded @ decoder.W_y, hidden, cell, context)
        scores = decoder.word_scores(embedded, hidden, context)
        return ops.log_softmax(scores, axis=-1), hidden, cell, alpha


def networks(model) -> dict[str, keras.Model]:
    """The two networks that decode a caption.

    "begin": pictures -> annotations, keys, hidden, cell. "step": those and a word -> ln p of the
    next word, hidden, cell, attention weights.
    """
    decoder = model.get_layer("decoder")
    annotations = model.get_layer("annotations").output
    pictures = model.input["pictures"]
    begin = keras.Model(pictures, [annotations, *Begin(decoder)(annotations)], name="begin")
    names = ("annotations", "keys", "hidden", "cell")
    inputs = {
        name: keras.Input(tensor.shape[1:], name=name) for name, tensor in zip(names, begin.outputs)
    }
    inputs["word"] = keras.Input((), dtype="int32", name="word")
    step = keras.Model(inputs, Step(decoder)(**inputs), name="step")
    return {"begin": begin, "step": step}


class BeamSearch(keras.layers.Layer):
    """The `beam` best captions of each of P pictures, in one graph.

    Args:
        step: the network "step" of `networks`.
        beam: the beam width, K.
        max_length: the maximum caption length in words, T.

    Args of the call:
        annotations: (P, L, D) float32; with keys, hidden and cell, the outputs of "begin".

    Returns:
        word ids (P, K, T) int32, with PADDING after the end, and ln p (P, K) float32, the best
        caption first; -inf where a picture has fewer captions.
    """

    def __init__(self, step: keras.Model, beam: int, max_length: int):
        super().__init__(dtype="float32")
        self.step, self.beam, self.max_length = step, beam, max_length
        self.excluded = np.zeros(step.output_shape[0][-1], "float32")
        self.excluded[[PADDING, START, UNKNOWN]] = -np.inf

    def call(self, annotations, keys, hidden, cell):
        P, K, T, V = ops.shape(annotations)[0], self.beam, self.max_length, len(self.excluded)
        per_beam = {
            "annotations": ops.repeat(annotations, K, axis=0),
            "keys": ops.repeat(keys, K, axis=0),
        }
        rows = ops.arange(P)[:, None] * K  # (P, 1): the first of a picture's rows among P x K
        no_words, no_sums = ops.full((P, K, T), PADDING, "int32"), ops.full((P, K), -np.inf)

        def is_unfinished(length, *state):
            return ops.logical_and(length < T, ops.any(state[-1] == -np.inf))

        # beams (P, K, T) and sums (P, K) hold the captions without an end; finished and totals
        # hold those with one.
        def extend(length, words, hidden, cell, beams, sums, finished, totals):
            state = {"word": words, "hidden": hidden, "cell": cell}
            log_p, hidden, cell, _ = self.step({**per_beam, **state})
            sums = sums[..., None] + ops.reshape(log_p + self.excluded, (P, K, V))
            # Twice the beam, so that K captions go on although some end.
            sums, best = ops.top_k(ops.reshape(sums, (P, K * V)), 2 * K)
            parents, words = best // V, best % V
            ends = words == END
            ended = take(beams, parents[:, :K]), ops.where(ends[:, :K], sums[:, :K], -np.inf)
            finished, totals = add_captions(finished, totals, *ended)
            open_beams = first_true(ops.logical_not(ends), K)
            parents, words, sums = (take(each, open_beams) for each in (parents, words, sums))
            sums = ops.where(words == END, -np.inf, sums)
            here = ops.arange(T) == length
            beams = ops.where(here, words[..., None], take(beams, parents))
            flat = ops.reshape(rows + parents, (-1,))
            hidden, cell = ops.take(hidden, flat, axis=0), ops.take(cell, flat, axis=0)
            words = ops.reshape(words, (-1,))
            return length + 1, words, hidden, cell, beams, sums, finished, totals

        start = ops.full((P * K,), START, "int32")
        # All beams of a picture start equal: only one of them counts.
        sums = ops.where(ops.arange(K) == 0, ops.zeros_like(no_sums), no_sums)
        hidden, cell = ops.repeat(hidden, K, axis=0), ops.repeat(cell, K, axis=0)
        initial = (0, start, hidden, cell, no_words, sums, no_words, no_sums)
        *_, beams, sums, finished, totals = ops.while_loop(is_unfinished, extend, initial)
        # Captions cut at the maximum length count as they are.
        finished, totals = add_captions(finished, totals, beams, sums)
        lengths = ops.sum(ops.cast(finished != PADDING, "float32"), axis=-1)
        order = ops.top_k(totals / (lengths + 1), K)[1]  # by `Caption.rank`
        return take(finished, order), take(totals, order)

    def compute_output_spec(self, annotations, keys, hidden, cell):
        shape = (annotations.shape[0], self.beam)
        words = keras.KerasTensor((*shape, self.max_length), "int32")
        return words, keras.KerasTensor(shape, "float32")


def take(rows, indices):
    """The entries of `rows` (P, N, ...) at `indices` (P, K), for each of the P rows."""
    return ops.take_along_axis(rows, ops.expand_dims(indices, -1) if rows.ndim == 3 else indices, 1)


def first_true(mask, count: int):
    """Indices (P, count) of the first true entries of `mask` (P, N); then of false ones."""
    order = -ops.arange(mask.shape[1])
    return ops.top_k(ops.where(mask, order, order - mask.shape[1]), count)[1]


def add_captions(finished, totals, words, sums):
    """The finished captions and, as far as there is room, more; a sum of -inf is not a caption."""
    finished = ops.concatenate([finished, words], axis=1)
    totals = ops.concatenate([totals, sums], axis=1)
    first = first_true(totals > -np.inf, words.shape[1])
    return take(finished, first), take(totals, first)


def search_model(parts: dict, beam: int, max_length: int) -> keras.Model:
    """Pictures (or feature maps) -> the outputs of `BeamSearch`; `parts` are of `networks`."""
    begin = parts["begin"]
    return keras.Model(begin.input, BeamSearch(parts["step"], beam, max_length)(*begin.output))


def search(model: keras.Model, pictures) -> list[list[Caption]]:
    """The best captions of each picture (or feature map) of an array (N, ...), the best first.

    `model` is the result of `search_model()`.
    """
    results = []
    with program_costs.for_predictions(model, len(pictures)):
        for batch, count in whole_batches(pictures, BATCH):
            ids, totals = (np.asarray(each)[:count] for each in model.predict_on_batch(batch))
            for captions, sums in zip(ids, totals):
                results.append(
                    [
                        Caption(tuple(words[words != PADDING].tolist()), float(log_p))
                        for words, log_p in zip(captions, sums)
                        if np.isfinite(log_p)
                    ]
                )
    return results

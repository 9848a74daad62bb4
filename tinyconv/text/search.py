"""The search for the best sentence: beam search; greedy search is a beam of width one."""

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from tinyconv.data.pipeline import whole_batches
from tinyconv.layers import program_costs
from tinyconv.layers.sequence_graphs import predict
from tinyconv.text.vocabulary import END, PADDING, START

BATCH = 128  # sentences decoded at a time


@dataclass(frozen=True)
class Hypothesis:
    """A decoded sentence: the ids of its words, and ln p of the whole sentence."""

    word_ids: tuple[int, ...]
    log_probability: float

    @property
    def rank(self) -> float:
        """ln p per word, so that a short sentence is not better for being short."""
        return self.log_probability / (len(self.word_ids) + 1)


class DecoderPart(keras.layers.Layer):
    """A part of a decoder's computation, as a layer that can be saved by itself.

    Args:
        decoder: the decoder's layer.
    """

    def __init__(self, decoder, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.decoder = decoder

    def get_config(self):
        decoder = keras.saving.serialize_keras_object(self.decoder)
        return {**super().get_config(), "decoder": decoder}

    @classmethod
    def from_config(cls, config):
        decoder = keras.saving.deserialize_keras_object(config["decoder"])
        return cls(**{**config, "decoder": decoder})


def step_network(begin: keras.Model, names: Sequence[str], layer) -> keras.Model:
    """The network of one word.

    Args:
        begin: the network of what is computed once a sentence.
        names: of its outputs, which the step takes.
        layer: the step, a layer that takes those by name and the previous "word" (B,) int32.

    Returns:
        A Keras model from a dict of these inputs to the layer's outputs.
    """
    inputs = {
        name: keras.Input(tensor.shape[1:], name=name)
        for name, tensor in zip(names, begin.outputs, strict=True)
    }
    inputs["word"] = keras.Input((), dtype="int32", name="word")
    return keras.Model(inputs, layer(**inputs), name="step")


class BeamSearch(keras.layers.Layer):
    """The `beam` best sentences for each of P inputs, in one graph.

    Args:
        step: a network that takes a dict: the previous "word" (P,) int32, and the tensors of the
            call. It returns ln p (P, V) of the next word, then the new states, then anything.
        states: the names of the tensors that change from word to word.
        beam: the beam width, K.
        max_length: the maximum length of a sentence in words, T.
        excluded: ids of words that no sentence has, beside PADDING and START.

    Args of the call:
        context: {name: (P, ...)}, the tensors that the step needs before the first word.

    Returns:
        word ids (P, K, T) int32, with PADDING after the end, and ln p (P, K) float32, the best
        sentence first; -inf where an input has fewer sentences.
    """

    def __init__(
        self, step: keras.Model, states: Sequence[str], beam: int, max_length: int, excluded=()
    ):
        super().__init__(dtype="float32")
        self.step, self.states, self.beam, self.max_length = step, states, beam, max_length
        self.excluded = np.zeros(step.output_shape[0][-1], "float32")
        self.excluded[[PADDING, START, *excluded]] = -np.inf

    def call(self, context):
        K, T, V = self.beam, self.max_length, len(self.excluded)
        P = ops.shape(context[self.states[0]])[0]
        per_beam = {name: ops.repeat(each, K, axis=0) for name, each in context.items()}
        rows = ops.arange(P)[:, None] * K  # (P, 1): the first of an input's rows among P x K
        no_words, no_sums = ops.full((P, K, T), PADDING, "int32"), ops.full((P, K), -np.inf)

        def is_unfinished(length, *state):
            return ops.logical_and(length < T, ops.any(state[-1] == -np.inf))

        # beams (P, K, T) and sums (P, K) hold the sentences without an end; finished and totals
        # hold those with one.
        def extend(length, words, states, beams, sums, finished, totals):
            states = dict(zip(self.states, states))
            log_p, *states = self.step({**per_beam, **states, "word": words})
            sums = sums[..., None] + ops.reshape(log_p + self.excluded, (P, K, V))
            # Twice the beam, so that K sentences go on although some end.
            sums, best = ops.top_k(ops.reshape(sums, (P, K * V)), 2 * K)
            parents, words = best // V, best % V
            ends = words == END
            ended = take(beams, parents[:, :K]), ops.where(ends[:, :K], sums[:, :K], -np.inf)
            finished, totals = add_sentences(finished, totals, *ended)
            open_beams = first_true(ops.logical_not(ends), K)
            parents, words, sums = (take(each, open_beams) for each in (parents, words, sums))
            sums = ops.where(words == END, -np.inf, sums)
            here = ops.arange(T) == length
            beams = ops.where(here, words[..., None], take(beams, parents))
            flat = ops.reshape(rows + parents, (-1,))
            states = tuple(ops.take(each, flat, axis=0) for each in states[: len(self.states)])
            words = ops.reshape(words, (-1,))
            return length + 1, words, states, beams, sums, finished, totals

        start = ops.full((P * K,), START, "int32")
        # All beams of an input start equal: only one of them counts.
        sums = ops.where(ops.arange(K) == 0, ops.zeros_like(no_sums), no_sums)
        states = tuple(per_beam.pop(name) for name in self.states)
        initial = (0, start, states, no_words, sums, no_words, no_sums)
        *_, beams, sums, finished, totals = ops.while_loop(is_unfinished, extend, initial)
        # Sentences cut at the maximum length count as they are.
        finished, totals = add_sentences(finished, totals, beams, sums)
        lengths = ops.sum(ops.cast(finished != PADDING, "float32"), axis=-1)
        order = ops.top_k(totals / (lengths + 1), K)[1]  # by `Hypothesis.rank`
        return take(finished, order), take(totals, order)

    def compute_output_spec(self, context):
        shape = (context[self.states[0]].shape[0], self.beam)
        words = keras.KerasTensor((*shape, self.max_length), "int32")
        return words, keras.KerasTensor(shape, "float32")


def take(rows, indices):
    """The entries of `rows` (P, N, ...) at `indices` (P, K), for each of the P rows."""
    return ops.take_along_axis(rows, ops.expand_dims(indices, -1) if rows.ndim == 3 else indices, 1)


def first_true(mask, count: int):
    """Indices (P, count) of the first true entries of `mask` (P, N); then of false ones."""
    order = -ops.arange(mask.shape[1])
    return ops.top_k(ops.where(mask, order, order - mask.shape[1]), count)[1]


def add_sentences(finished, totals, words, sums):
    """The finished sentences and, as far as there is room, more; a sum of -inf is not one."""
    finished = ops.concatenate([finished, words], axis=1)
    totals = ops.concatenate([totals, sums], axis=1)
    first = first_true(totals > -np.inf, words.shape[1])
    return take(finished, first), take(totals, first)


def search_model(
    parts: dict,
    names: Sequence[str],
    states: Sequence[str],
    beam: int,
    max_length: int,
    excluded: Sequence[int] = (),
) -> keras.Model:
    """A network from the inputs of `parts["begin"]` to the outputs of `BeamSearch`.

    `names` are those of the outputs of "begin", by which "step" takes them; those in `states`
    change from word to word. No sentence has the ids `excluded`.
    """
    begin = parts["begin"]
    context = dict(zip(names, begin.outputs, strict=True))
    best = BeamSearch(parts["step"], states, beam, max_length, excluded)(context)
    return keras.Model(begin.input, best)


def search(model: keras.Model, inputs) -> list[list[Hypothesis]]:
    """The best sentences for each row of an array (N, ...), the best first.

    `model` is the result of `search_model()`.
    """
    results = []
    with program_costs.for_predictions(model, len(inputs)):
        for batch, count in whole_batches(inputs, BATCH):
            ids, totals = (np.asarray(each)[:count] for each in predict(model, batch))
            for sentences, sums in zip(ids, totals):
                results.append(
                    [
                        Hypothesis(tuple(words[words != PADDING].tolist()), float(log_p))
                        for words, log_p in zip(sentences, sums)
                        if np.isfinite(log_p)
                    ]
                )
    return results

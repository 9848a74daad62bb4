"""How a caption is looked for: beam search, of which greedy search is the beam of one."""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from tinyconv.data.pipeline import whole_batches
from tinyconv.layers import program_costs
from tinyconv.plugins.caption.vocabulary import END, PADDING, START, UNKNOWN

BATCH = 128  # pictures that captions are looked for at a time


@dataclass(frozen=True)
class Caption:
    """A caption that was found: the numbers of its words, and ln p of all of it."""

    numbers: tuple[int, ...]
    log_probability: float

    @property
    def rank(self) -> float:
        """ln p a word, so that a short caption is not better for being short."""
        return self.log_probability / (len(self.numbers) + 1)


class OfDecoder(keras.layers.Layer):
    """A part of the decoder's work, as a layer that can be saved by itself."""

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
class Begin(OfDecoder):
    """Annotations (B, L, D) -> keys (B, L, k), hidden (B, n), cell (B, n)."""

    def call(self, annotations):
        return self.decoder.begin(annotations)


@keras.saving.register_keras_serializable("tinyconv")
class Step(OfDecoder):
    """A word (B,) and the state -> ln p (B, V) of the next word, hidden, cell, attention (B, L)."""

    def call(self, annotations, keys, word, hidden, cell):
        decoder = self.decoder
        embedded = ops.take(decoder.E, word, axis=0)
        context, alpha, _ = decoder.look(annotations, keys, hidden)
        hidden, cell = decoder.remember(embedded @ decoder.W_y, hidden, cell, context)
        scores = decoder.say(embedded, hidden, context)
        return ops.log_softmax(scores, axis=-1), hidden, cell, alpha


def networks(model) -> dict[str, keras.Model]:
    """The two networks that a caption is decoded with.

    "begin": pictures -> annotations, keys, hidden, cell. "step": those and a word -> ln p of the
    next word, hidden, cell, attention.
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


class Search(keras.layers.Layer):
    """Where captions of P pictures begin -> the `beam` best captions of each, in one graph.

    Annotations (P, L, D), keys, hidden and cell -> the numbers of the words (P, beam, longest)
    int32, PADDING after the end, and ln p (P, beam), the best first; -inf where there are fewer.
    """

    def __init__(self, step: keras.Model, beam: int, longest: int):
        super().__init__(dtype="float32")
        self.step, self.beam, self.longest = step, beam, longest
        self.never = np.zeros(step.output_shape[0][-1], "float32")
        self.never[[PADDING, START, UNKNOWN]] = -np.inf

    def call(self, annotations, keys, hidden, cell):
        P, K, T, V = ops.shape(annotations)[0], self.beam, self.longest, len(self.never)
        same = {"annotations": ops.repeat(annotations, K, axis=0), "keys": ops.repeat(keys, K, 0)}
        rows = ops.arange(P)[:, None] * K  # (P, 1): where a picture's captions stand of P x K
        none, nothing = ops.full((P, K, T), PADDING, "int32"), ops.full((P, K), -np.inf)

        def searching(length, *state):
            return ops.logical_and(length < T, ops.any(state[-1] == -np.inf))  # not all are done

        # said (P, K, T) and sums (P, K) are of captions that go on, done and totals of the others.
        def say(length, words, hidden, cell, said, sums, done, totals):
            state = {"word": words, "hidden": hidden, "cell": cell}
            log_p, hidden, cell, _ = self.step({**same, **state})
            sums = sums[..., None] + ops.reshape(log_p + self.never, (P, K, V))
            # Twice the beam, so that as many captions go on as before although some end.
            sums, best = ops.top_k(ops.reshape(sums, (P, K * V)), 2 * K)
            parents, words = best // V, best % V
            ends = words == END
            ended = taken(said, parents[:, :K]), ops.where(ends[:, :K], sums[:, :K], -np.inf)
            done, totals = filled(done, totals, *ended)
            on = first(ops.logical_not(ends), K)
            parents, words, sums = (taken(each, on) for each in (parents, words, sums))
            sums = ops.where(words == END, -np.inf, sums)
            here = ops.arange(T) == length
            said = ops.where(here, words[..., None], taken(said, parents))
            flat = ops.reshape(rows + parents, (-1,))
            hidden, cell = ops.take(hidden, flat, axis=0), ops.take(cell, flat, axis=0)
            return length + 1, ops.reshape(words, (-1,)), hidden, cell, said, sums, done, totals

        start = ops.full((P * K,), START, "int32")
        # All captions of a picture are the same at first: one of them counts.
        sums = ops.where(ops.arange(K) == 0, ops.zeros_like(nothing), nothing)
        hidden, cell = ops.repeat(hidden, K, axis=0), ops.repeat(cell, K, axis=0)
        begun = (0, start, hidden, cell, none, sums, none, nothing)
        *_, said, sums, done, totals = ops.while_loop(searching, say, begun)
        done, totals = filled(done, totals, said, sums)  # these are cut, and count as they are
        lengths = ops.sum(ops.cast(done != PADDING, "float32"), axis=-1)
        order = ops.top_k(totals / (lengths + 1), K)[1]  # by `Caption.rank`
        return taken(done, order), taken(totals, order)

    def compute_output_spec(self, annotations, keys, hidden, cell):
        found = (annotations.shape[0], self.beam)
        words = keras.KerasTensor((*found, self.longest), "int32")
        return words, keras.KerasTensor(found, "float32")


def taken(rows, places):
    """Of each of `rows` (P, N, ...) what stands at its `places` (P, K)."""
    return ops.take_along_axis(rows, ops.expand_dims(places, -1) if rows.ndim == 3 else places, 1)


def first(true, count: int):
    """Places (P, count) of the first that are `true` (P, N); behind them, of others."""
    order = -ops.arange(true.shape[1])
    return ops.top_k(ops.where(true, order, order - true.shape[1]), count)[1]


def filled(done, totals, said, sums):
    """The captions that are done and, as far as there is room, others; -inf is no caption."""
    done, totals = ops.concatenate([done, said], axis=1), ops.concatenate([totals, sums], axis=1)
    kept = first(totals > -np.inf, said.shape[1])
    return taken(done, kept), taken(totals, kept)


def searcher(found: dict, beam: int, longest: int) -> keras.Model:
    """Pictures (or maps) -> what `Search` gives, by the two networks of `networks`."""
    begin = found["begin"]
    return keras.Model(begin.input, Search(found["step"], beam, longest)(*begin.output))


def search(searcher: keras.Model, pictures) -> list[list[Caption]]:
    """The best captions of each picture (or map) of an array (N, ...), the best first."""
    answers = []
    with program_costs.for_predictions(searcher, len(pictures)):
        for batch, count in whole_batches(pictures, BATCH):
            said, totals = (np.asarray(each)[:count] for each in searcher.predict_on_batch(batch))
            for captions, sums in zip(said, totals):
                answers.append(
                    [
                        Caption(tuple(words[words != PADDING].tolist()), float(log_p))
                        for words, log_p in zip(captions, sums)
                        if np.isfinite(log_p)
                    ]
                )
    return answers

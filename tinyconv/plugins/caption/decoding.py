"""How a caption is looked for: beam search, of which greedy search is the beam of one."""

from dataclasses import dataclass

import keras
import numpy as np

from tinyconv.plugins.caption.kernels import energies
from tinyconv.plugins.caption.words import END, PADDING, START, UNKNOWN

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

    def __init__(self, decoder, energies=energies, **kwargs):
        super().__init__(decoder, **kwargs)
        self.energies = energies

    def call(self, annotations, keys, word, hidden, cell):
        decoder = self.decoder
        embedded = keras.ops.take(decoder.E, word, axis=0)
        context, alpha, _ = decoder.look(annotations, keys, hidden, energies=self.energies)
        hidden, cell = decoder.remember(embedded @ decoder.W_y, hidden, cell, context)
        scores = decoder.say(embedded, hidden, context)
        return keras.ops.log_softmax(scores, axis=-1), hidden, cell, alpha


def networks(model, energies=energies) -> dict[str, keras.Model]:
    """The two networks that a caption is decoded with, equation 4 by one of kernels.py.

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
    step = keras.Model(inputs, Step(decoder, energies)(**inputs), name="step")
    return {"begin": begin, "step": step}


def search(found: dict, pictures, beam: int, longest: int) -> list[list[Caption]]:
    """The `beam` best captions of each picture (or map) of an array (N, ...), the best first."""
    answers = []
    for start in range(0, len(pictures), BATCH):
        batch = np.asarray(pictures[start : start + BATCH])
        answers += _search(found["begin"], found["step"], batch, beam, longest)
    return answers


def _search(begin, step, pictures, beam: int, longest: int) -> list[list[Caption]]:
    """For P pictures: `beam` captions each go on side by side, a row each of P x beam."""
    count = len(pictures)
    state = begin.predict_on_batch(pictures)
    annotations, keys, hidden, cell = (keras.ops.repeat(part, beam, axis=0) for part in state)
    rows = np.arange(count)[:, None] * beam  # (P, 1): where a picture's rows begin
    never = np.zeros(step.output_shape[0][-1], "float32")
    never[[PADDING, START, UNKNOWN]] = -np.inf
    words = np.full((count, beam), START, "int32")
    said = np.zeros((count, beam, 0), "int32")
    sums = np.full((count, beam), -np.inf)
    sums[:, 0] = 0.0  # all rows are the same at first: one of them counts
    done: list[list[Caption]] = [[] for _ in range(count)]
    for length in range(longest):
        log_p, hidden, cell, _ = step.predict_on_batch(
            {
                "annotations": annotations,
                "keys": keys,
                "hidden": hidden,
                "cell": cell,
                "word": words.reshape(-1),
            }
        )
        # Twice the beam, so that as many captions go on as before although some end.
        likely, numbers = keras.ops.top_k(log_p + never, min(2 * beam, log_p.shape[-1]))
        totals = sums[..., None] + np.asarray(likely, "float64").reshape(count, beam, -1)
        totals, numbers = (np.reshape(each, (count, -1)) for each in (totals, numbers))
        best = np.argsort(-totals, axis=1, kind="stable")[:, : 2 * beam]  # (P, 2K)
        values, chosen = (np.take_along_axis(each, best, axis=1) for each in (totals, numbers))
        parents = best // likely.shape[-1]
        ends = (chosen == END) & np.isfinite(values)
        for p, place in np.argwhere(ends[:, :beam]):
            if len(done[p]) < beam:
                numbers = tuple(said[p, parents[p, place]].tolist())
                done[p].append(Caption(numbers, float(values[p, place])))
        order = np.argsort(chosen == END, axis=1, kind="stable")[:, :beam]  # those that go on first
        parents, words = (np.take_along_axis(each, order, axis=1) for each in (parents, chosen))
        sums = np.take_along_axis(values, order, axis=1)
        sums[words == END] = -np.inf
        said = np.concatenate(
            [np.take_along_axis(said, parents[..., None], axis=1), words[..., None]], axis=2
        )
        flat = (rows + parents).reshape(-1)
        hidden, cell = np.asarray(hidden)[flat], np.asarray(cell)[flat]
        words = words.astype("int32")
        if all(len(captions) >= beam for captions in done):
            break
        if length == longest - 1:  # these are cut, and count as they are
            for p, place in np.argwhere(np.isfinite(sums)):
                if len(done[p]) < beam:
                    done[p].append(Caption(tuple(said[p, place].tolist()), float(sums[p, place])))
    return [sorted(each, key=lambda caption: -caption.rank)[:beam] for each in done]

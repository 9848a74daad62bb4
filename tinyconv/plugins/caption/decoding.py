"""How a caption is looked for: beam search, of which greedy search is the beam of one."""

from dataclasses import dataclass

import keras
import numpy as np

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

    def call(self, annotations, keys, word, hidden, cell):
        decoder = self.decoder
        embedded = keras.ops.take(decoder.E, word, axis=0)
        context, alpha, _ = decoder.look(annotations, keys, hidden)
        hidden, cell = decoder.remember(embedded @ decoder.W_y, hidden, cell, context)
        scores = decoder.say(embedded, hidden, context)
        return keras.ops.log_softmax(scores, axis=-1), hidden, cell, alpha


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
    state = [np.repeat(np.asarray(part), beam, axis=0) for part in begin.predict_on_batch(pictures)]
    annotations, keys = map(keras.ops.convert_to_tensor, state[:2])  # once, not for each word
    hidden, cell = state[2:]
    rows = np.arange(count)[:, None] * beam  # (P, 1): where a picture's rows begin
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
        log_p = np.array(log_p, "float64").reshape(count, beam, -1)  # (P, K, V)
        log_p[..., [PADDING, START, UNKNOWN]] = -np.inf
        V = log_p.shape[-1]
        totals = sums[..., None] + log_p
        # Twice the beam, so that as many captions go on as before although some end.
        best = _largest(totals.reshape(count, -1), min(2 * beam, beam * V))  # (P, 2K)
        values = np.take_along_axis(totals.reshape(count, -1), best, axis=1)
        parents, chosen = best // V, best % V
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


def _largest(values: np.ndarray, count: int) -> np.ndarray:
    """The places of the `count` largest of each row, in falling order."""
    some = np.argpartition(-values, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(values, some, axis=1), axis=1, kind="stable")
    return np.take_along_axis(some, order, axis=1)

"""The translator in two networks: what is computed once a sentence, and once a word."""

import keras
from keras import ops

from tinyconv.text import search

STATES = ("hidden",)
NAMES = ("annotations", "keys", "padding", *STATES)  # of the outputs of "begin"


class OfDecoder(keras.layers.Layer):
    """A part of an `AligningDecoder`'s computation, as a layer that can be saved by itself."""

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


@keras.saving.register_keras_serializable("tinyconv")
class SentenceBegin(OfDecoder):
    """What the decoder computes once a sentence.

    Args of the call:
        annotations, first, last: as `SourceEncoder` returns them.
        source: (B, J) int32, the source words.

    Returns:
        annotations (B, J, D), keys (B, J, k), padding (B, J), s_0 (B, n), all float32.
    """

    def call(self, annotations, first, last, source):
        return self.decoder.begin(annotations, first, last, source)


@keras.saving.register_keras_serializable("tinyconv")
class WordStep(OfDecoder):
    """One word of a translation.

    Args of the call:
        annotations, keys, padding, hidden: from `SentenceBegin`, hidden (B, n) from the last step.
        word: (B,) int32, the previous word.

    Returns:
        ln p (B, V) of the next word, hidden (B, n), alignment weights (B, J).
    """

    def call(self, annotations, keys, padding, hidden, word):
        decoder = self.decoder
        embedded = ops.take(decoder.E, word, axis=0)
        context, alpha = decoder.look(annotations, keys, padding, hidden, embedded)
        scores = decoder.word_scores(embedded, hidden, context)
        hidden = decoder.gru(embedded @ decoder.W + decoder.b, hidden, context)
        return ops.log_softmax(scores, axis=-1), hidden, alpha


def networks(model) -> dict[str, keras.Model]:
    """The two networks that write a translation.

    "begin": source words -> annotations, keys, padding, hidden. "step": those and a word -> ln p of
    the next word, hidden, alignment weights.
    """
    decoder, source = model.get_layer("decoder"), model.input["source"]
    encoded = model.get_layer("encoder").output
    begin = keras.Model(source, SentenceBegin(decoder)(*encoded, source), name="begin")
    inputs = {
        name: keras.Input(tensor.shape[1:], name=name) for name, tensor in zip(NAMES, begin.outputs)
    }
    inputs["word"] = keras.Input((), dtype="int32", name="word")
    step = keras.Model(inputs, WordStep(decoder)(**inputs), name="step")
    return {"begin": begin, "step": step}


def search_model(parts: dict, beam: int, max_length: int) -> keras.Model:
    """Source words (P, J) -> the best translations; `parts` are of `networks`."""
    return search.search_model(parts, NAMES, STATES, beam, max_length)

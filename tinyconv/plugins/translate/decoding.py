"""The translator in two networks: what is computed once a sentence, and once a word."""

import keras
from keras import ops

from tinyconv.text import search

STATES = ("hidden",)
NAMES = ("annotations", "keys", "padding", *STATES)  # of the outputs of "begin"


@keras.saving.register_keras_serializable("tinyconv")
class SentenceBegin(search.DecoderPart):
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
class WordStep(search.DecoderPart):
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
    step = search.step_network(begin, NAMES, WordStep(decoder))
    return {"begin": begin, "step": step}


def search_model(parts: dict, beam: int, max_length: int) -> keras.Model:
    """Source words (P, J) -> the best translations; `parts` are of `networks`."""
    return search.search_model(parts, NAMES, STATES, beam, max_length)

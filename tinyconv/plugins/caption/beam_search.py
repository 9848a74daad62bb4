"""The decoder in two networks, which a search for the best caption calls."""

import keras
from keras import ops

from tinyconv.text import search
from tinyconv.text.vocabulary import UNKNOWN

STATES = ("hidden", "cell")
NAMES = ("annotations", "keys", *STATES)  # of the outputs of "begin"


@keras.saving.register_keras_serializable("tinyconv")
class Begin(search.DecoderPart):
    """The decoder's initial state.

    Args of the call:
        annotations: (B, L, D) float32, the annotation vectors.

    Returns:
        keys (B, L, k), hidden (B, n), cell (B, n), all float32.
    """

    def call(self, annotations):
        return self.decoder.begin(annotations)


@keras.saving.register_keras_serializable("tinyconv")
class Step(search.DecoderPart):
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
    step = search.step_network(begin, NAMES, Step(decoder))
    return {"begin": begin, "step": step}


def search_model(parts: dict, beam: int, max_length: int) -> keras.Model:
    """Pictures (or feature maps) -> the best captions; `parts` are of `networks`."""
    return search.search_model(parts, NAMES, STATES, beam, max_length, excluded=[UNKNOWN])

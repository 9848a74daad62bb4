"""Networks that read a sentence without its tree: a bag of words, filters, and chains.

Axes: B sentences, T words, d units, C labels.
"""

import keras
from keras import ops

from tinyconv.layers import recurrent

WIDTHS = (3, 4, 5)  # words of a filter
SPREAD = 0.05  # of word vectors at first: rare words, which are hardly trained, say little
MOST = 3.0  # norm of the weights of a label, in cnn
CHAINS = {"lstm": recurrent.LSTM, "gru": recurrent.GRU}


@keras.saving.register_keras_serializable("tinyconv")
class Filters(keras.layers.Layer):
    """The greatest response of each filter to the n-grams of a sentence.

    c_i = relu(x_{i:i+h-1} W + b) for each place i, and the maximum of c over time. Before and after
    the sentence there are h - 1 zero vectors; n-grams without a word do not count.

    Args:
        maps: filters, m.
        width: words of an n-gram, h.

    Args of the call:
        vectors: (B, T, d) float32.
        words: (B, T) int32, 0 where there is none.

    Returns:
        (B, m) float32.

    Source:
        Kim 2014 (arXiv 1408.5882), equations 2 to 4.
    """

    def __init__(self, maps: int, width: int, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.maps, self.width = maps, width

    def build(self, vectors_shape, words_shape):
        shape = self.width, vectors_shape[-1], self.maps
        self.W = self.add_weight(shape=shape, name="W")
        self.b = self.add_weight(shape=(self.maps,), initializer="zeros", name="b")

    def responses(self, vectors, words):
        """c of each place (B, T + h - 1, m); the first n-gram ends with the first word."""
        h = self.width
        present = ops.cast(words > 0, "float32")[..., None]  # (B, T, 1)
        around = [[0, 0], [h - 1, h - 1], [0, 0]]
        x, present = ops.pad(vectors * present, around), ops.pad(present, around)
        some = ops.max_pool(present, h, 1, "valid")
        return ops.relu(ops.conv(x, self.W, 1, "valid") + self.b) * some

    def call(self, vectors, words):
        return ops.max(self.responses(vectors, words), axis=1)

    def compute_output_shape(self, vectors_shape, words_shape):
        return (vectors_shape[0], self.maps)

    def get_config(self):
        return {**super().get_config(), "maps": self.maps, "width": self.width}


def word_vectors(vocabulary: int, units: int, spread: float = SPREAD, has_mask: bool = False):
    """The layer that looks words up; at first its vectors are from N(0, spread^2)."""
    normal = keras.initializers.RandomNormal(stddev=spread)
    return keras.layers.Embedding(vocabulary, units, normal, mask_zero=has_mask, name="vectors")


def network(
    model: str, vocabulary: int, units: int, classes: int, dropout: float = 0.0
) -> keras.Model:
    """The untrained network: words (B, T) int32, 0 after the end, to scores (B, C).

    bag: y = W_s tanh(W m + b) + b_s with m the mean of the words' vectors. cnn: y = W_s z + b_s
    with z what `Filters` of three widths return, its columns bounded to norm 3. lstm and gru:
    y = W_s h_T + b_s with the state after the last word.

    Args:
        model: "bag", "cnn", "lstm" or "gru".
        vocabulary: the number of word ids.
        units: d, and the filters of each width.
        classes: labels, C.
        dropout: fraction of numbers dropped before the scores.
    """
    words, bound = keras.Input((None,), dtype="int32", name="words"), None
    has_mask = model != "cnn"  # whose filters look at the words themselves
    table = word_vectors(vocabulary, units, has_mask=has_mask)
    if model == "cnn":
        vectors, bound = table(words), keras.constraints.MaxNorm(MOST, axis=0)
        parts = [Filters(units, h, name=f"filters{h}")(vectors, words) for h in WIDTHS]
        x = keras.layers.Concatenate(name="filters")(parts)
    elif model == "bag":
        mean = keras.layers.GlobalAveragePooling1D(name="mean")(table(words))
        x = keras.layers.Dense(units, activation="tanh", name="hidden")(mean)
    else:
        x = CHAINS[model](units, name="chain")(table(words))
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    scores = keras.layers.Dense(classes, kernel_constraint=bound, name="scores")(x)
    return keras.Model(words, scores, name=f"{model}-{units}")

"""The networks: skip-gram and CBOW with negative sampling, GloVe, and a table of vectors alone.

Each keeps what the papers write: input vectors v and output vectors v' of skip-gram and CBOW, w
and w~ with their biases of GloVe.
"""

import keras
import numpy as np
from keras import ops

from tinyconv.plugins.language.words.corpus import noise_distribution

SHARED_NOISE = 64  # noise words of a batch, which all of its pairs share


def uniform(size: int) -> keras.initializers.Initializer:
    """U(-0.5, 0.5) / size, as in word2vec.c and glove.c."""
    return keras.initializers.RandomUniform(-0.5 / size, 0.5 / size)


@keras.saving.register_keras_serializable("tinyconv")
class WordVectors(keras.layers.Layer):
    """The vector of a word, or the mean vector of the words of a window.

    Args:
        vocabulary: the number of words, V.
        size: numbers of a vector, d.

    Args of the call:
        ids: (B,) int32, or windows (B, C), with -1 where a window has no word.

    Returns:
        (B, d) float32.
    """

    def __init__(self, vocabulary: int, size: int, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.vocabulary, self.size = vocabulary, size

    def build(self, _):
        shape = self.vocabulary, self.size
        self.vectors = self.add_weight(shape=shape, initializer=uniform(self.size), name="vectors")

    def call(self, ids):
        if len(ids.shape) == 1:
            return ops.take(self.vectors, ids, axis=0)
        mask = ops.cast(ids >= 0, "float32")[..., None]  # (B, C, 1)
        vectors = ops.take(self.vectors, ops.maximum(ids, 0), axis=0) * mask  # (B, C, d)
        return ops.sum(vectors, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1)  # neu1 / cw

    def get_config(self):
        return {**super().get_config(), "vocabulary": self.vocabulary, "size": self.size}


@keras.saving.register_keras_serializable("tinyconv")
class NegativeSampling(keras.layers.Layer):
    """The score of each word as the context of a vector, and the loss by a few noise words.

    Mikolov et al. 2013 (arXiv 1310.4546), equation 4. Noise words come from a table of the
    cumulated probabilities count^(3/4); as in word2vec.c, the target itself is no noise. The
    paper draws k for each pair; here a batch shares 64, each with the weight k / 64, which has the
    same mean and is one matrix product.

    Args:
        vocabulary: the number of words, V.
        negative: noise words of a pair, k.

    Args of the call:
        vectors: (B, d) float32.

    Returns:
        Scores (logits) (B, V) of equation 2.
    """

    def __init__(self, vocabulary: int, negative: int, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.vocabulary, self.negative = vocabulary, negative
        self.generator = keras.random.SeedGenerator()

    def build(self, shape):
        self.contexts = self.add_weight(  # v', which begins at zero, as in word2vec.c
            shape=(self.vocabulary, shape[-1]), initializer="zeros", name="contexts"
        )
        self.noise_table = self.add_weight(
            shape=(self.vocabulary,), initializer="ones", trainable=False, name="noise_table"
        )

    def call(self, vectors):
        return vectors @ ops.transpose(self.contexts)

    def compute_output_spec(self, vectors):
        return keras.KerasTensor((vectors.shape[0], self.vocabulary), "float32")

    def draw(self):
        """Noise words (64,) int32."""
        uniform = keras.random.uniform((SHARED_NOISE,), seed=self.generator)
        words = ops.searchsorted(self.noise_table, uniform, side="right")
        return ops.minimum(ops.cast(words, "int32"), self.vocabulary - 1)

    def loss(self, vectors, targets, noise):
        """-ln sigmoid(v'_target . v) - k mean over the noise of ln sigmoid(-v'_noise . v).

        Args:
            vectors: v, (B, d).
            targets: (B, 1) int32.
            noise: (S,) int32.

        Returns:
            The mean over the batch.
        """
        right = ops.sum(vectors * ops.take(self.contexts, targets[:, 0], axis=0), axis=1)  # (B,)
        wrong = vectors @ ops.transpose(ops.take(self.contexts, noise, axis=0))  # (B, S)
        of_noise = ops.where(noise[None] == targets, 0.0, ops.softplus(wrong))
        return ops.mean(ops.softplus(-right)) + self.negative * ops.mean(of_noise)

    def get_config(self):
        config = {"vocabulary": self.vocabulary, "negative": self.negative}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable("tinyconv")
class ContextPredictor(keras.Model):
    """Skip-gram: word ids (B,) to scores of its contexts; CBOW: windows (B, C) to scores of words.

    The scores of all words are computed for predictions alone: the loss needs a few of them.
    """

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of negative sampling; `y` (B, 1) int32 are the words to predict."""
        sampling = self.get_layer("sampling")
        return sampling.loss(self.get_layer("words")(x), y, sampling.draw())


def predictor(counts: np.ndarray, size: int, negative: int, window: int | None) -> ContextPredictor:
    """Skip-gram, or CBOW with windows of 2 `window` words.

    Args:
        counts: (V,) occurrences of each word, for the noise.
        size: numbers of a vector, d.
        negative: noise words of a pair, k.
        window: the greatest reach of a window, None for skip-gram.

    Returns:
        The untrained network.
    """
    shape = () if window is None else (2 * window,)
    ids = keras.Input(shape, dtype="int32", name="ids")
    sampling = NegativeSampling(len(counts), negative, name="sampling")
    scores = sampling(WordVectors(len(counts), size, name="words")(ids))
    sampling.noise_table.assign(np.cumsum(noise_distribution(counts)).astype("float32"))
    name = "skip-gram" if window is None else "cbow"
    return ContextPredictor(ids, scores, name=name)


@keras.saving.register_keras_serializable("tinyconv")
class CountScore(keras.layers.Layer):
    """w_i . w~_j + b_i + b~_j, an estimate of ln X_ij, and the loss of it.

    Pennington, Socher and Manning 2014, equations 8 and 9.

    Args:
        vocabulary: the number of words, V.
        size: numbers of a vector, d.
        x_max: the count from which the weight of a pair is 1.
        alpha: the exponent of the weight below it.

    Args of the call:
        places: i and j, (B, 2) int32.

    Returns:
        (B,) float32.
    """

    def __init__(self, vocabulary: int, size: int, x_max: float, alpha: float, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.vocabulary, self.size, self.x_max, self.alpha = vocabulary, size, x_max, alpha

    def build(self, _):
        def weight(name, *shape):
            return self.add_weight(
                shape=(self.vocabulary, *shape), initializer=uniform(self.size), name=name
            )

        self.vectors, self.contexts = weight("vectors", self.size), weight("contexts", self.size)
        self.vector_biases, self.context_biases = weight("biases"), weight("context_biases")

    def call(self, places):
        i, j = places[:, 0], places[:, 1]
        products = ops.take(self.vectors, i, axis=0) * ops.take(self.contexts, j, axis=0)
        biases = ops.take(self.vector_biases, i, axis=0) + ops.take(self.context_biases, j, axis=0)
        return ops.sum(products, axis=1) + biases

    def loss(self, estimates, counts):
        """The mean of f(X) (estimate - ln X)^2, with f(X) = (X / x_max)^alpha, at most 1.

        Both arguments are (B,) float32; counts X are above 0.
        """
        weights = ops.minimum(counts / self.x_max, 1.0) ** self.alpha  # (9)
        return ops.mean(weights * (estimates - ops.log(counts)) ** 2)  # (8)

    def get_config(self):
        names = ("vocabulary", "size", "x_max", "alpha")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("tinyconv")
class GloVe(keras.Model):
    """Vectors whose products are logarithms of counts: places (B, 2) to estimates of ln X (B,)."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of `CountScore`; `y` (B,) are the counts X."""
        return self.get_layer("words").loss(y_pred, y)


def glove(vocabulary: int, size: int, x_max: float, alpha: float) -> GloVe:
    """The untrained network of GloVe for so many words; see `CountScore`."""
    places = keras.Input((2,), dtype="int32", name="places")
    scores = CountScore(vocabulary, size, x_max, alpha, name="words")(places)
    return GloVe(places, scores, name="glove")


def table(vectors: np.ndarray, name: str) -> keras.Model:
    """A network that only looks vectors (V, d) up: for those that no network has trained."""
    ids = keras.Input((), dtype="int32", name="ids")
    layer = WordVectors(*vectors.shape, name="words")
    model = keras.Model(ids, layer(ids), name=name)
    layer.vectors.assign(vectors)
    return model


def vectors_of(model: keras.Model) -> np.ndarray:
    """The word vectors (V, d): v of skip-gram and CBOW, w + w~ of GloVe (section 4.2)."""
    layer = model.get_layer("words")
    vectors = ops.convert_to_numpy(layer.vectors)
    if isinstance(layer, CountScore):
        vectors = vectors + ops.convert_to_numpy(layer.contexts)
    return vectors

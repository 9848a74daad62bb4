"""Show, Attend and Tell (Xu et al. 2015, arXiv 1502.03044): the decoder, equation by equation.

A picture is L annotation vectors a_i of D values, the spatial positions of a convolutional
layer's feature map (section 3.1.1). A caption is generated word by word: attention (equations 4
to 6), LSTM state (1 to 3), word scores (7). Axes: B pictures, L locations, D features, T words,
V vocabulary.

Deviations from the paper: the coordinates of a location, two values from -1 to 1, are appended to
its annotation vector, since the encoders that are small enough to train here do not encode them;
the bias of the LSTM's forget gate is initialised to 1; at inference `hard` attention takes the
most likely location, where the paper samples; its reward is ln p per word, not of the whole
caption, so that a short caption is not better for being short.
"""

import keras
import numpy as np
from keras import ops

from tinyconv.layers import WithPrograms
from tinyconv.plugins.caption.fused_attention import fastest_energies
from tinyconv.text.vocabulary import PADDING

KINDS = ("soft", "hard", "none")  # none: the mean over all locations for every word
BASELINE = 0.9  # momentum of the moving average in equation 12
ENTROPY = 0.002  # lambda_e, of the released code
REWARD = 1.0  # lambda_r, of the released code
EXPECTED_FRACTION = 0.5  # fraction of pictures whose sample is replaced by its expected value


def matmul(vectors, matrix):
    """vectors (..., D) @ matrix (D, n) as one product.

    With one product per picture, TensorFlow would hold a gradient (D, n) for each before it adds
    them up: 1.3 GB a step for 64 captions and 10,000 words.
    """
    flat = ops.reshape(vectors, (-1, matrix.shape[0])) @ matrix
    return ops.reshape(flat, (*ops.shape(vectors)[:-1], matrix.shape[1]))


@keras.saving.register_keras_serializable("tinyconv")
class Annotations(keras.layers.Layer):
    """The positions of a feature map as annotation vectors: features and coordinates.

    Args of the call:
        maps: (B, H, W, C) float32, the encoder's feature map.

    Returns:
        (B, H * W, C + 2) float32; the last two are x and y, from -1 to 1.
    """

    def call(self, maps):
        count, height, width, channels = ops.shape(maps)
        rows, columns = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
        coordinates = np.stack(np.meshgrid(columns, rows), axis=-1)  # (H, W, 2): x, y
        coordinates = ops.cast(coordinates.reshape(1, height * width, 2), maps.dtype)
        coordinates = ops.broadcast_to(coordinates, (count, height * width, 2))
        vectors = ops.reshape(maps, (count, height * width, channels))
        return ops.concatenate([vectors, coordinates], axis=-1)

    def compute_output_shape(self, input_shape):
        count, height, width, channels = input_shape
        return (count, height * width, channels + 2)


@keras.saving.register_keras_serializable("tinyconv")
class Decoder(WithPrograms, keras.layers.Layer):
    """An LSTM that attends to the annotation vectors before each word.

    Args:
        vocabulary: the number of word ids, V.
        attention: "soft", "hard" or "none".
        embedding: the size of the word embedding, m.
        units: the units of the LSTM, n.
        attention_units: the units of the attention, k.
        dropout: the fraction of units dropped, 0 to 1.
        penalty: lambda of equation 14, at least 0.

    Args of the call:
        annotations: (B, L, D) float32, the annotation vectors.
        words: (B, T) int32, the words so far.

    Returns:
        A dict of float32 tensors: "scores" (B, T, V), the scores (logits) of the next word;
        "maps" (B, T, L), the attention weights alpha; and "looks" (B, T, L), the weights of the
        sampled locations: alpha itself, or one location where the attention is hard.
    """

    def __init__(
        self,
        vocabulary,
        attention="soft",
        embedding=512,
        units=512,
        attention_units=512,
        dropout=0.5,
        penalty=1.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary, self.attention = vocabulary, attention
        self.embedding, self.units, self.attention_units = embedding, units, attention_units
        self.penalty = penalty  # lambda of equation 14
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        self.seeds = keras.random.SeedGenerator()

    def build(self, annotations_shape, words_shape):
        m, n, k, V = self.embedding, self.units, self.attention_units, self.vocabulary
        D = annotations_shape[-1]
        self.E = self._matrix("embedding", (V, m), "uniform")
        self.init_c, self.b_init_c = self._matrix("initial_cell", (D, n)), self._bias("ic", n)
        self.init_h, self.b_init_h = self._matrix("initial_hidden", (D, n)), self._bias("ih", n)
        if self.attention != "none":
            self.W_a = self._matrix("attend_annotation", (D, k))
            self.b_att = self._bias("attend", k)
            self.U_h = self._matrix("attend_hidden", (n, k))
            self.v = self._matrix("attend_score", (k, 1))
        if self.attention == "soft":
            self.f_beta, self.b_beta = self._matrix("gate", (n, 1)), self._bias("gate", 1)
        self.W_y = self._matrix("lstm_word", (m, 4 * n))
        self.W_h = self._matrix("lstm_hidden", (n, 4 * n), "orthogonal")
        self.W_z = self._matrix("lstm_context", (D, 4 * n))
        forget = np.concatenate([np.zeros(n), np.ones(n), np.zeros(2 * n)])
        self.b = self.add_weight(name="lstm_bias", shape=(4 * n,), initializer="zeros")
        self.b.assign(forget)
        self.L_h = self._matrix("out_hidden", (n, m))
        self.L_z = self._matrix("out_context", (D, m))
        self.L_o, self.b_o = self._matrix("out_word", (m, V)), self._bias("out", V)
        self.baseline = self.add_weight(name="baseline", shape=(), trainable=False)  # b of (12)
        self.baseline.assign(0.0)

    @property
    def is_penalised(self) -> bool:
        """Whether the training has the penalty of equation 14, which is that of soft attention."""
        return self.attention == "soft" and self.penalty > 0

    def program_numbers(self) -> int:
        """The values of equation 4: (L, k) before each word, for a dozen words."""
        annotations, _ = self.input
        return 12 * annotations.shape[1] * self.attention_units

    def multiply_adds(self) -> tuple[int, int]:
        """The multiply-adds of the matrix products for a picture, and for each word."""
        _, L, D = self.input[0].shape
        m, n, k, V = self.embedding, self.units, self.attention_units, self.vocabulary
        picture = 2 * D * n  # h_0 and c_0
        word = 4 * n * (m + n + D) + m * (n + D + V)  # (1), (7)
        if self.attention != "none":
            picture += L * D * k  # the keys of (4)
            word += n * k + L * k + L * D + n * (self.attention == "soft")  # (4), (9) or (13)
        return picture, word

    def _matrix(self, name, shape, initializer="glorot_uniform"):
        return self.add_weight(name=f"{name}_kernel", shape=shape, initializer=initializer)

    def _bias(self, name, units):
        return self.add_weight(name=f"{name}_bias", shape=(units,), initializer="zeros")

    def begin(self, annotations):
        """(keys (B, L, k), h_0 (B, n), c_0 (B, n)): computed once per picture.

        Without attention the keys are the mean annotation vector, (B, 1, D).
        """
        mean = ops.mean(annotations, axis=1)
        hidden = ops.tanh(mean @ self.init_h + self.b_init_h)  # section 3.1.2
        cell = ops.tanh(mean @ self.init_c + self.b_init_c)
        if self.attention == "none":
            return ops.expand_dims(mean, 1), hidden, cell
        return matmul(annotations, self.W_a) + self.b_att, hidden, cell

    def look(self, annotations, keys, hidden, noise=None, expected=None):
        """(z_t (B, D), alpha (B, L), weights of the sampled locations (B, L)).

        `noise` (B, L) is Gumbel noise for sampling the location in hard attention; `expected`
        (B, 1) bool selects the pictures that use alpha instead of a sample.

        Built by hand in tutorials/16.
        """
        if self.attention == "none":
            alpha = ops.ones_like(annotations[..., 0]) / annotations.shape[1]
            return keys[:, 0], alpha, alpha
        energies = fastest_energies()(keys, hidden @ self.U_h, self.v)  # (4)
        alpha = ops.softmax(energies, axis=-1)  # (5)
        weights = alpha
        if self.attention == "hard":
            logs = ops.log(alpha + 1e-9)
            location = ops.argmax(logs if noise is None else logs + noise, axis=-1)
            one_hot = ops.one_hot(location, keys.shape[1], dtype=alpha.dtype)
            weights = ops.stop_gradient(one_hot)  # (8)
            if expected is not None:
                weights = ops.where(expected, alpha, weights)
        context = (ops.expand_dims(weights, 1) @ annotations)[:, 0]  # (6), (9) or (13)
        if self.attention == "soft":
            context = ops.sigmoid(hidden @ self.f_beta + self.b_beta) * context  # section 4.2.1
        return context, alpha, weights

    def lstm(self, word, hidden, cell, context):
        """(h_t, c_t), each (B, n), from E y_{t-1} W (B, 4n), the state and z_t."""
        gates = word + hidden @ self.W_h + context @ self.W_z + self.b  # (1)
        i, f, o, g = ops.split(gates, 4, axis=-1)
        cell = ops.sigmoid(f) * cell + ops.sigmoid(i) * ops.tanh(g)  # (2)
        return ops.sigmoid(o) * ops.tanh(cell), cell  # (3)

    def word_scores(self, embedded, hidden, context, training=False):
        """Scores (logits) (..., V) of the next word from E y_{t-1}, h_t and z_t: deep output."""
        hidden = self.dropout(hidden, training=training)
        deep = embedded + matmul(hidden, self.L_h) + matmul(context, self.L_z)
        deep = self.dropout(deep, training=training)
        return ops.cast(matmul(deep, self.L_o) + self.b_o, "float32")  # (7)

    def call(self, annotations, words, training=False):
        keys, hidden, cell = self.begin(annotations)
        embedded = ops.take(self.E, words, axis=0)  # (B, T, m)
        inputs = ops.swapaxes(matmul(embedded, self.W_y), 0, 1)  # (T, B, 4n)
        expected = None
        if training and self.attention == "hard":
            T, B, L = ops.shape(words)[1], ops.shape(words)[0], keys.shape[1]
            uniform = keras.random.uniform((T, B, L), 1e-6, 1 - 1e-6, seed=self.seeds)
            # Gumbel noise: the largest of log alpha + noise is a sample from alpha.
            noise = -ops.log(-ops.log(uniform))
            inputs = ops.concatenate([inputs, ops.cast(noise, inputs.dtype)], axis=-1)
            expected = keras.random.uniform((B, 1), seed=self.seeds) < EXPECTED_FRACTION

        def step(state, inputs):
            hidden, cell, *_ = state
            word = inputs[:, : 4 * self.units]
            noise = None if expected is None else inputs[:, 4 * self.units :]
            context, alpha, weights = self.look(annotations, keys, hidden, noise, expected)
            hidden, cell = self.lstm(word, hidden, cell, context)
            state = (hidden, cell, context, alpha, weights)
            return state, state

        first = (
            hidden,
            cell,
            ops.zeros_like(annotations[:, 0]),
            ops.zeros_like(annotations[..., 0]),
            ops.zeros_like(annotations[..., 0]),
        )
        _, states = ops.scan(step, first, inputs)
        hidden, _, context, alpha, weights = (ops.swapaxes(each, 0, 1) for each in states)
        result = {"scores": self.word_scores(embedded, hidden, context, training)}
        result["maps"], result["looks"] = ops.cast(alpha, "float32"), ops.cast(weights, "float32")
        return result

    def compute_output_spec(self, annotations, words, training=False):
        B, T, L, V = words.shape[0], words.shape[1], annotations.shape[1], self.vocabulary
        return {
            "scores": keras.KerasTensor((B, T, V), "float32"),
            "maps": keras.KerasTensor((B, T, L), "float32"),
            "looks": keras.KerasTensor((B, T, L), "float32"),
        }

    def get_config(self):
        names = ("vocabulary", "attention", "embedding", "units", "attention_units", "penalty")
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            "dropout": self.dropout.rate,
        }


@keras.saving.register_keras_serializable("tinyconv")
class Captioner(keras.Model):
    """Encoder and decoder: pictures (or feature maps) and the words so far -> `Decoder`'s dict.

    Its loss is -ln p of a caption, summed over the words and averaged over the batch. What soft
    attention adds to it in training, equation 14, is reported apart, as `penalty`: the loss of
    training and that of validation can be compared.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.log_loss = keras.metrics.Mean("loss")
        self.penalty = keras.metrics.Mean("penalty")

    def get_metrics_result(self):
        """The means over the batches so far: `loss`, and `penalty` where there is one."""
        values = {"loss": self.log_loss.result()}
        if self.get_layer("decoder").is_penalised:
            values["penalty"] = self.penalty.result()
        return values

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The mean loss; `y` (B, T) int32 are the next words, with PADDING after the end."""
        mask = ops.cast(y != PADDING, "float32")
        log_p = -mask * ops.sparse_categorical_crossentropy(y, y_pred["scores"], from_logits=True)
        log_p = ops.sum(log_p, axis=1)  # (B,)
        self.log_loss.update_state(-log_p)
        attention, samples = y_pred["maps"], y_pred["looks"]  # (B, T, L)
        decoder = self.get_layer("decoder")
        loss = -log_p
        if decoder.is_penalised:
            coverage = ops.sum(mask[..., None] * attention, axis=1)  # (B, L)
            penalty = decoder.penalty * ops.sum(ops.square(1 - coverage), axis=1)  # (14)
            self.penalty.update_state(penalty)
            loss += penalty
        if decoder.attention == "hard" and training:
            logs = ops.log(attention + 1e-9)
            is_sample = ops.cast(ops.max(samples[:, 0], axis=-1) == 1, "float32")  # (B,)
            log_p_samples = ops.sum(mask * ops.sum(samples * logs, axis=-1), axis=1)  # ln p(s | a)
            entropy = -ops.sum(mask * ops.sum(attention * logs, axis=-1), axis=1)
            reward = log_p / ops.sum(mask, axis=1)
            advantage = ops.stop_gradient(reward - decoder.baseline)
            loss -= is_sample * REWARD * advantage * log_p_samples + ENTROPY * entropy  # (12)
            mean = (1 - BASELINE) * ops.mean(reward)
            decoder.baseline.assign(BASELINE * decoder.baseline + mean)
        return ops.mean(loss)


def captioner(encoder, vocabulary: int, **sizes) -> Captioner:
    """The network on top of `encoder`, whose output is a feature map (B, H, W, C).

    `vocabulary` is the number of word ids; `sizes` are further arguments of `Decoder`.
    """
    annotations = Annotations(name="annotations", dtype="float32")(encoder.output)
    words = keras.Input((None,), dtype="int32", name="words")
    decoder = Decoder(vocabulary, name="decoder", dtype="float32", **sizes)
    inputs = {"pictures": encoder.input, "words": words}
    return Captioner(inputs, decoder(annotations, words), name="captioner")

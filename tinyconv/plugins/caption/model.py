"""Show, Attend and Tell (Xu et al. 2015, arXiv 1502.03044): the decoder, equation by equation.

A picture is L annotation vectors a_i of D numbers, the cells of a convolutional layer's map
(section 3.1.1). A caption is written a word at a time: where to look (equations 4 to 6), what to
remember (1 to 3), what to say (7). Axes: B pictures, L places, D features, T words, V vocabulary.

Deviations: the place of a cell, two numbers from -1 to 1, is added to its annotation vector,
since the layers that are small enough to learn here do not know it; an LSTM's forget gate
starts at 1; a `hard` network looks at the likeliest place when it is not trained, where the
paper samples; the reward that it is trained by is ln p a word, not of the whole caption, so that a
short caption is not better for being short.
"""

import keras
import numpy as np
from keras import ops

from tinyconv.layers import WithPrograms
from tinyconv.plugins.caption.fused_attention import quickest
from tinyconv.plugins.caption.vocabulary import PADDING

KINDS = ("soft", "hard", "none")  # none looks at the mean of all places, whatever it says
BASELINE = 0.9  # share that the moving average of equation 12 keeps
ENTROPY = 0.002  # lambda_e, of the released code
REWARD = 1.0  # lambda_r, of the released code
EXPECTED = 0.5  # share of pictures whose sample is replaced by its expected value


def times(vectors, matrix):
    """vectors (..., D) @ matrix (D, n) as one product.

    Of as many products as pictures TensorFlow would keep a gradient (D, n) each before it adds
    them up: 1.3 GB a step for 64 captions and 10,000 words.
    """
    flat = ops.reshape(vectors, (-1, matrix.shape[0])) @ matrix
    return ops.reshape(flat, (*ops.shape(vectors)[:-1], matrix.shape[1]))


@keras.saving.register_keras_serializable("tinyconv")
class Annotations(keras.layers.Layer):
    """The cells of a map (B, H, W, C) as annotation vectors (B, L, C + 2): features and place."""

    def call(self, maps):
        count, height, width, channels = ops.shape(maps)
        rows, columns = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
        places = np.stack(np.meshgrid(columns, rows), axis=-1)  # (H, W, 2): x, y
        places = ops.cast(places.reshape(1, height * width, 2), maps.dtype)
        places = ops.broadcast_to(places, (count, height * width, 2))
        vectors = ops.reshape(maps, (count, height * width, channels))
        return ops.concatenate([vectors, places], axis=-1)

    def compute_output_shape(self, input_shape):
        count, height, width, channels = input_shape
        return (count, height * width, channels + 2)


@keras.saving.register_keras_serializable("tinyconv")
class Decoder(WithPrograms, keras.layers.Layer):
    """Words from annotation vectors: an LSTM that looks at the picture before each word.

    `call` gives, for annotations (B, L, D) and the words so far (B, T), a dict: "scores"
    (B, T, V) of the next word, "maps" (B, T, L), the attention alpha, and "looks" (B, T, L), the
    weights of the places that were looked at: alpha itself, or a sampled place where hard.
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
        self.dropout = keras.layers.Dropout(dropout)
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

    def program_numbers(self) -> int:
        """Those of equation 4, (L, k) before each word, of which there are a dozen."""
        annotations, _ = self.input
        return 12 * annotations.shape[1] * self.attention_units

    def _matrix(self, name, shape, initializer="glorot_uniform"):
        return self.add_weight(name=f"{name}_kernel", shape=shape, initializer=initializer)

    def _bias(self, name, units):
        return self.add_weight(name=f"{name}_bias", shape=(units,), initializer="zeros")

    def begin(self, annotations):
        """(keys (B, L, k), h_0 (B, n), c_0 (B, n)): what is computed once a picture.

        Where nothing is looked for, the keys are the mean annotation vector (B, 1, D).
        """
        mean = ops.mean(annotations, axis=1)
        hidden = ops.tanh(mean @ self.init_h + self.b_init_h)  # section 3.1.2
        cell = ops.tanh(mean @ self.init_c + self.b_init_c)
        if self.attention == "none":
            return ops.expand_dims(mean, 1), hidden, cell  # one place, which is all of them
        return times(annotations, self.W_a) + self.b_att, hidden, cell

    def look(self, annotations, keys, hidden, noise=None, expected=None):
        """(z_t (B, D), alpha (B, L), the weights of the places looked at (B, L)).

        Built by hand in tutorials/16.
        """
        if self.attention == "none":
            alpha = ops.ones_like(annotations[..., 0]) / annotations.shape[1]
            return keys[:, 0], alpha, alpha
        energies = quickest()(keys, hidden @ self.U_h, self.v)  # (4)
        alpha = ops.softmax(energies, axis=-1)  # (5)
        weights = alpha
        if self.attention == "hard":
            logs = ops.log(alpha + 1e-9)
            place = ops.argmax(logs if noise is None else logs + noise, axis=-1)
            weights = ops.stop_gradient(ops.one_hot(place, keys.shape[1], dtype=alpha.dtype))  # (8)
            if expected is not None:
                weights = ops.where(expected, alpha, weights)
        context = (ops.expand_dims(weights, 1) @ annotations)[:, 0]  # (6), (9) or (13)
        if self.attention == "soft":
            context = ops.sigmoid(hidden @ self.f_beta + self.b_beta) * context  # section 4.2.1
        return context, alpha, weights

    def remember(self, word, hidden, cell, context):
        """(h_t, c_t), each (B, n), from E y_{t-1} W (B, 4n), the state and z_t."""
        gates = word + hidden @ self.W_h + context @ self.W_z + self.b  # (1)
        i, f, o, g = ops.split(gates, 4, axis=-1)
        cell = ops.sigmoid(f) * cell + ops.sigmoid(i) * ops.tanh(g)  # (2)
        return ops.sigmoid(o) * ops.tanh(cell), cell  # (3)

    def say(self, embedded, hidden, context, training=False):
        """Scores (..., V) of the next word from E y_{t-1}, h_t and z_t: the deep output."""
        hidden = self.dropout(hidden, training=training)
        deep = embedded + times(hidden, self.L_h) + times(context, self.L_z)
        deep = self.dropout(deep, training=training)
        return ops.cast(times(deep, self.L_o) + self.b_o, "float32")  # (7)

    def call(self, annotations, words, training=False):
        keys, hidden, cell = self.begin(annotations)
        embedded = ops.take(self.E, words, axis=0)  # (B, T, m)
        given = ops.swapaxes(times(embedded, self.W_y), 0, 1)  # (T, B, 4n)
        expected = None
        if training and self.attention == "hard":
            T, B, L = ops.shape(words)[1], ops.shape(words)[0], keys.shape[1]
            uniform = keras.random.uniform((T, B, L), 1e-6, 1 - 1e-6, seed=self.seeds)
            noise = -ops.log(-ops.log(uniform))  # Gumbel's: the largest sum is a draw by softmax
            given = ops.concatenate([given, ops.cast(noise, given.dtype)], axis=-1)
            expected = keras.random.uniform((B, 1), seed=self.seeds) < EXPECTED

        def step(state, given):
            hidden, cell, *_ = state
            word = given[:, : 4 * self.units]
            noise = None if expected is None else given[:, 4 * self.units :]
            context, alpha, weights = self.look(annotations, keys, hidden, noise, expected)
            hidden, cell = self.remember(word, hidden, cell, context)
            state = (hidden, cell, context, alpha, weights)
            return state, state

        first = (
            hidden,
            cell,
            ops.zeros_like(annotations[:, 0]),
            ops.zeros_like(annotations[..., 0]),
            ops.zeros_like(annotations[..., 0]),
        )
        _, seen = ops.scan(step, first, given)
        hidden, _, context, alpha, weights = (ops.swapaxes(each, 0, 1) for each in seen)
        result = {"scores": self.say(embedded, hidden, context, training)}
        result["maps"], result["looks"] = ops.cast(alpha, "float32"), ops.cast(weights, "float32")
        return result

    def compute_output_spec(self, annotations, words, training=False):
        B, T, L, V = words.shape[0], words.shape[1], annotations.shape[1], self.vocabulary
        places = keras.KerasTensor((B, T, L), "float32")
        return {
            "scores": keras.KerasTensor((B, T, V), "float32"),
            "maps": places,
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
    """Pictures (or annotation vectors) and the words so far -> what `Decoder` gives.

    Its loss is that of a caption: the sum over its words, the mean over the batch.
    """

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """y: (B, T) int32, the next words, PADDING after the end."""
        told = ops.cast(y != PADDING, "float32")
        log_p = -told * ops.sparse_categorical_crossentropy(y, y_pred["scores"], from_logits=True)
        log_p = ops.sum(log_p, axis=1)  # (B,)
        maps, looks = y_pred["maps"], y_pred["looks"]
        decoder = self.get_layer("decoder")
        loss = -log_p
        if decoder.attention == "soft":
            seen = ops.sum(told[..., None] * maps, axis=1)  # (B, L)
            loss += decoder.penalty * ops.sum(ops.square(1 - seen), axis=1)  # (14)
        if decoder.attention == "hard" and training:
            logs = ops.log(maps + 1e-9)
            sampled = ops.cast(ops.max(looks[:, 0], axis=-1) == 1, "float32")  # (B,): not expected
            chosen = ops.sum(told * ops.sum(looks * logs, axis=-1), axis=1)  # ln p(s | a)
            entropy = -ops.sum(told * ops.sum(maps * logs, axis=-1), axis=1)
            reward = log_p / ops.sum(told, axis=1)
            advantage = ops.stop_gradient(reward - decoder.baseline)
            loss -= sampled * REWARD * advantage * chosen + ENTROPY * entropy  # (12)
            mean = (1 - BASELINE) * ops.mean(reward)
            decoder.baseline.assign(BASELINE * decoder.baseline + mean)
        return ops.mean(loss)


def given(shape) -> keras.Model:
    """In the place of an encoder that is kept as it is: its maps (h, w, D) come as they are."""
    maps = keras.Input(shape, name="pictures")
    return keras.Model(maps, keras.layers.Identity()(maps), name="given")


def captioner(encoder, vocabulary: int, **sizes) -> Captioner:
    """The network on top of `encoder`, whose output is a map (B, H, W, C); `Decoder`'s sizes."""
    annotations = Annotations(name="annotations", dtype="float32")(encoder.output)
    words = keras.Input((None,), dtype="int32", name="words")
    decoder = Decoder(vocabulary, name="decoder", dtype="float32", **sizes)
    inputs = {"pictures": encoder.input, "words": words}
    return Captioner(inputs, decoder(annotations, words), name="captioner")

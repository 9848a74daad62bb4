"""RNNsearch (Bahdanau, Cho and Bengio 2014, arXiv 1409.0473), equation by equation.

A source sentence of J words becomes J annotations h_j, each the states of a forward and a backward
recurrent network there (section 3.2, A.2.1). The translation is written word by word: the alignment
model weighs the annotations (equations 5 and 6), the context c_i is their mean with these weights,
the output (A.2.2) and the next state s_i are computed from it. Axes: B sentences, J source words,
T target words, m embedding, n hidden, k alignment, l maxout, D = 2n annotation, V vocabulary.

The paper's form is `start="backward"`, `annotation="states"`, `query="state"`. With it a short
training translates before it aligns: s_0 and the states carry the sentence past the attention. The
defaults close that way (benchmarks/RESULTS.md measures each): s_0 is 0, an annotation also shows
its own word, and the alignment model is also shown the last word of the translation.

Deviations in any form: Glorot's initialisation, where the paper's needs days; biases in the output;
a learned y_0; without attention the context holds the last states of both directions.
"""

import keras
from keras import ops

from tinyconv import layers
from tinyconv.text.vocabulary import PADDING

KINDS = ("alignment", "none")
FAR = -1e9  # an energy that softmax turns into 0


def matmul(vectors, matrix):
    """vectors (..., d) @ matrix (d, e) as one product."""
    flat = ops.reshape(vectors, (-1, matrix.shape[0])) @ matrix
    return ops.reshape(flat, (*ops.shape(vectors)[:-1], matrix.shape[1]))


@keras.saving.register_keras_serializable("tinyconv")
class SourceEncoder(keras.layers.Layer):
    """A bidirectional recurrent network over the words of a sentence.

    Args:
        vocabulary: the number of source word ids.
        embedding: the size of the word embedding, m.
        units: the units of each direction, n.
        shows_words: whether an annotation also shows its own word's embedding.
        dropout: the fraction of embedded values dropped, 0 to 1.

    Args of the call:
        words: (B, J) int32, with PADDING after the end.

    Returns:
        annotations (B, J, 2n), 0 for padding; first (B, n), the backward state at the first word;
        last (B, n), the forward state at the last word; all float32.
    """

    def __init__(
        self, vocabulary, embedding=64, units=128, shows_words=True, dropout=0.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.vocabulary, self.embedding, self.units = vocabulary, embedding, units
        self.shows_words = shows_words
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)
        # The paper's unit: the reset gate stands inside the product (A.1.1).
        how = {"reset_after": False, "return_sequences": True, "dtype": self.dtype_policy}
        self.forward = layers.GRU(units, name="forward", **how)
        self.backward = layers.GRU(units, name="backward", go_backwards=True, **how)

    def build(self, words_shape):
        m, n = self.embedding, self.units
        self.E = self.add_weight(
            name="embedding_kernel", shape=(self.vocabulary, m), initializer="uniform"
        )
        self.forward.build((None, None, m))
        self.backward.build((None, None, m))
        if self.shows_words:
            self.P = self.add_weight(
                name="word_kernel", shape=(m, 2 * n), initializer="glorot_uniform"
            )

    def call(self, words, training=False):
        present = ops.not_equal(words, PADDING)
        embedded = self.dropout(ops.take(self.E, words, axis=0), training=training)  # (B, J, m)
        forward = self.forward(embedded, mask=present)
        backward = ops.flip(self.backward(embedded, mask=present), axis=1)
        annotations = ops.concatenate([forward, backward], axis=-1)  # (7)
        if self.shows_words:
            annotations += matmul(embedded, self.P)
        annotations *= ops.cast(present, annotations.dtype)[..., None]
        return annotations, backward[:, 0], forward[:, -1]

    def compute_output_spec(self, words, training=False):
        B, J = words.shape
        shapes = (B, J, 2 * self.units), (B, self.units), (B, self.units)
        return tuple(map(keras.KerasTensor, shapes))  # a tensor each: Keras knows them by identity

    def get_config(self):
        names = ("vocabulary", "embedding", "units", "shows_words")
        config = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **config, "dropout": self.dropout.rate}


@keras.saving.register_keras_serializable("tinyconv")
class AligningDecoder(layers.WithPrograms, keras.layers.Layer):
    """A recurrent network that weighs the annotations before each word of the translation.

    Args:
        vocabulary: the number of target word ids, V.
        attention: "alignment", or "none" for one context for all words (Cho et al. 2014).
        start: s_0 is "zero", or from the "backward" state at the first word, as in the paper.
        query: the alignment model is shown the "state" s_{i-1}, as in the paper, or "state+word",
            also the last word.
        embedding: the size of the word embedding, m.
        alignment_units: the hidden units of the alignment model, k.
        maxout: the pairs of the maxout layer, l.
        dropout: the fraction of values dropped before the output, 0 to 1.

    Args of the call:
        annotations, first, last: as `SourceEncoder` returns them.
        source: (B, J) int32, the source words.
        words: (B, T) int32, the words of the translation so far, from START on.

    Returns:
        {"scores": (B, T, V), the scores (logits) of the next word; "weights": (B, T, J), the
        alignment weights}, float32.
    """

    def __init__(
        self,
        vocabulary,
        attention="alignment",
        start="zero",
        query="state+word",
        embedding=64,
        alignment_units=128,
        maxout=64,
        dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.vocabulary, self.attention = vocabulary, attention
        self.start, self.query = start, query
        self.embedding, self.alignment_units, self.maxout = embedding, alignment_units, maxout
        self.dropout = keras.layers.Dropout(dropout, dtype=self.dtype_policy)

    def build(self, annotations_shape, first_shape, last_shape, source_shape, words_shape):
        m, k, V, n = self.embedding, self.alignment_units, self.vocabulary, first_shape[-1]
        D, wide = annotations_shape[-1], 2 * self.maxout
        self.E = self._matrix("embedding", (V, m), "uniform")
        self.W, self.b = self._matrix("gates_word", (m, 3 * n)), self._bias("gates", 3 * n)
        self.U = self._matrix("gates_hidden", (n, 3 * n))
        gates = [keras.initializers.Orthogonal()((n, n)) for _ in range(3)]  # each of its own
        self.U.assign(ops.concatenate(gates, axis=1))
        self.C = self._matrix("gates_context", (D, 3 * n))
        if self.start == "backward":
            self.W_s, self.b_s = self._matrix("start", (n, n)), self._bias("start", n)
        if self.attention == "alignment":
            self.W_a = self._matrix("align_hidden", (n, k))
            self.U_a, self.b_a = self._matrix("align_source", (D, k)), self._bias("align", k)
            self.v_a = self._matrix("align_score", (k, 1))
            if self.query == "state+word":
                self.Y_a = self._matrix("align_word", (m, k))
        self.U_o = self._matrix("out_hidden", (n, wide))
        self.V_o = self._matrix("out_word", (m, wide))
        self.C_o, self.b_o = self._matrix("out_context", (D, wide)), self._bias("out", wide)
        self.W_o, self.b_v = self._matrix("out_maxout", (self.maxout, V)), self._bias("words", V)

    def program_numbers(self) -> int:
        """The values of equation 6: (J, k) before each of 16 words, in several passes each."""
        return 8 * 16 * 16 * self.alignment_units

    def _matrix(self, name, shape, initializer="glorot_uniform"):
        return self.add_weight(name=f"{name}_kernel", shape=shape, initializer=initializer)

    def _bias(self, name, units):
        return self.add_weight(name=f"{name}_bias", shape=(units,), initializer="zeros")

    def begin(self, annotations, first, last, source):
        """What is computed once a sentence.

        Returns annotations (B, J, D), keys (B, J, k), mask (B, J), which is FAR for padding, and
        s_0 (B, n). Without attention the only annotation and key is the sentence's, (B, 1, D).
        """
        state = ops.zeros_like(first)
        if self.start == "backward":
            state = ops.tanh(first @ self.W_s + self.b_s)  # A.2.2: s_0 = tanh(W_s h_1)
        if self.attention == "none":
            whole = ops.concatenate([last, first], axis=-1)[:, None]
            return whole, whole, ops.zeros_like(whole[..., 0]), state
        mask = FAR * ops.cast(ops.equal(source, PADDING), annotations.dtype)
        return annotations, matmul(annotations, self.U_a) + self.b_a, mask, state  # A.1.2

    def look(self, annotations, keys, mask, state, embedded):
        """(c_i (B, D), alpha_i (B, J)) from s_{i-1} (B, n) and E y_{i-1} (B, m)."""
        if self.attention == "none":
            return annotations[:, 0], ops.ones_like(mask)
        query = state @ self.W_a
        if self.query == "state+word":
            query += embedded @ self.Y_a
        energies = (ops.tanh(keys + query[:, None]) @ self.v_a)[..., 0] + mask  # (6), a()
        # By hand: Keras' own softmax warns of a sentence of one word.
        powers = ops.exp(energies - ops.max(energies, axis=-1, keepdims=True))
        alpha = powers / ops.sum(powers, axis=-1, keepdims=True)  # (6)
        return (alpha[:, None] @ annotations)[:, 0], alpha  # (5)

    def gru(self, of_word, state, context):
        """s_i (B, n) from W E y_{i-1} + b (B, 3n), s_{i-1} and c_i: A.1.1.

        z is the share of the new state, and r stands inside the product.
        """
        n = state.shape[-1]
        a = of_word + context @ self.C
        z, r = ops.split(ops.sigmoid(a[:, : 2 * n] + state @ self.U[:, : 2 * n]), 2, axis=-1)
        new = ops.tanh(a[:, 2 * n :] + (r * state) @ self.U[:, 2 * n :])
        return (1 - z) * state + z * new

    def word_scores(self, embedded, state, context, training=False):
        """Scores (logits) (..., V) of y_i from E y_{i-1}, s_{i-1} and c_i: A.2.2, maxout."""
        state = self.dropout(state, training=training)
        context = self.dropout(context, training=training)
        t = matmul(state, self.U_o) + matmul(embedded, self.V_o) + matmul(context, self.C_o)
        t = ops.maximum(*ops.split(t + self.b_o, 2, axis=-1))  # (..., l)
        t = self.dropout(t, training=training)
        return ops.cast(matmul(t, self.W_o) + self.b_v, "float32")

    def call(self, annotations, first, last, source, words, training=False):
        beginning = self.begin(annotations, first, last, source)
        embedded = ops.take(self.E, words, axis=0)  # (B, T, m)
        embedded = self.dropout(embedded, training=training)
        by_step = ops.swapaxes(embedded, 0, 1)  # (T, B, m)
        of_words = matmul(by_step, self.W) + self.b
        if self.attention == "alignment" and layers.is_compiled():
            from tinyconv.plugins.translate import fused_decoder

            states, contexts, alphas = fused_decoder.states_of(self, beginning, by_step, of_words)
        else:
            states, contexts, alphas = self._states(beginning, by_step, of_words)
        states, contexts, alphas = (ops.swapaxes(x, 0, 1) for x in (states, contexts, alphas))
        scores = self.word_scores(embedded, states, contexts, training)
        return {"scores": scores, "weights": ops.cast(alphas, "float32")}

    def _states(self, beginning, embedded, of_words):
        """s_{i-1}, c_i and alpha_i of each step, time first."""
        annotations, keys, mask, start = beginning

        def step(carry, inputs):
            state, word, of_word = (
                carry[0],
                inputs[:, : self.embedding],
                inputs[:, self.embedding :],
            )
            context, alpha = self.look(annotations, keys, mask, state, word)
            carry = (self.gru(of_word, state, context), state, context, alpha)
            return carry, carry

        first = (start, start, ops.zeros_like(annotations[:, 0]), ops.zeros_like(mask))
        inputs = ops.concatenate([embedded, of_words], axis=-1)
        _, (_, *sequences) = ops.scan(step, first, inputs)
        return sequences

    def compute_output_spec(self, annotations, first, last, source, words, training=False):
        B, T, J = words.shape[0], words.shape[1], source.shape[1]
        J = 1 if self.attention == "none" else J
        return {
            "scores": keras.KerasTensor((B, T, self.vocabulary), "float32"),
            "weights": keras.KerasTensor((B, T, J), "float32"),
        }

    def get_config(self):
        names = ("vocabulary", "attention", "start", "query", "embedding")
        names += ("alignment_units", "maxout")
        config = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **config, "dropout": self.dropout.rate}


@keras.saving.register_keras_serializable("tinyconv")
class Translator(keras.Model):
    """Encoder and decoder: {"source": (B, J), "words": (B, T)} -> `AligningDecoder`'s dict.

    Its loss is -ln p of a word: the mean over the words of the batch, padding left out.
    """

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The mean loss; `y` (B, T) int32 are the next words, with PADDING after the end."""
        mask = ops.cast(y != PADDING, "float32")
        loss = ops.sparse_categorical_crossentropy(y, y_pred["scores"], from_logits=True)
        return ops.sum(mask * loss) / ops.sum(mask)


def translator(source_words: int, target_words: int, units: int = 128, **settings) -> Translator:
    """The network for two vocabularies of this many word ids.

    `settings` are further arguments of `AligningDecoder`, and `annotation`: "states" as in the
    paper, or "states+word".
    """
    has_attention = settings.get("attention", "alignment") == "alignment"
    shows_words = settings.pop("annotation", "states+word") == "states+word" and has_attention
    source = keras.Input((None,), dtype="int32", name="source")
    words = keras.Input((None,), dtype="int32", name="words")
    same = {"embedding": settings.get("embedding", 64), "dropout": settings.get("dropout", 0.0)}
    encoder = SourceEncoder(
        source_words, units=units, shows_words=shows_words, name="encoder", dtype="float32", **same
    )
    decoder = AligningDecoder(target_words, name="decoder", dtype="float32", **settings)
    outputs = decoder(*encoder(source), source, words)
    return Translator({"source": source, "words": words}, outputs, name="rnnsearch")

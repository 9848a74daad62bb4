"""An end-to-end memory network, MemN2N: a question looks over a story several times.

Sukhbaatar, Szlam, Weston and Fergus 2015 (arXiv 1503.08895); the numbers are of its equations, and
the sections are of its version 5. A memory is a sentence of the story. In each of K hops the
question's vector u gives each memory a weight, and takes the weighted mean of what they say.
"""

import keras
from keras import ops

FAR = -1e9  # the score of an empty memory: its weight is 0


@keras.saving.register_keras_serializable("tinyconv")
class MemoryNetwork(keras.layers.Layer):
    """A story and a question to scores (logits) of answers, and the weights of each hop.

    Adjacent tying (section 2.2): the output matrix of a hop is the input matrix of the next one,
    A^{k+1} = C^k, the question's is B = A^1, and the answer's W^T = C^K. So K + 1 matrices of
    words, and as many of times (section 4.1), are all that the network has.

    Args:
        vocabulary: the number of word ids, V; 0 is no word, and its vector is zero.
        memories: the greatest time, S: sentences counted back from the question, from 1 on.
        units: numbers of a vector, d.
        hops: K.

    Args of the call:
        sentences: word ids (B, N, J) int32, 0 after the end of a sentence.
        times: (B, N) int32, 0 where there is no sentence.
        question: word ids (B, J) int32.
        linear: (B, 1) float32, 1 to leave the softmax out (linear start, section 4.2). The paper's
            weights are then the scores; here they are divided by the number of sentences, without
            which the first loss is twice that of equal scores.

    Returns:
        Scores (B, V), and weights (B, K, N).
    """

    def __init__(self, vocabulary: int, memories: int, units: int, hops: int, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.vocabulary, self.memories = vocabulary, memories
        self.units, self.hops = units, hops

    def build(self, *_):
        def matrices(name, rows):
            return [
                self.add_weight(
                    shape=(rows, self.units),
                    initializer=keras.initializers.RandomNormal(stddev=0.1),
                    name=f"{name}{k}",
                )
                for k in range(1, self.hops + 2)
            ]

        self.words = matrices("words", self.vocabulary)  # A^1, C^1, ..., C^K
        self.times = matrices("times", self.memories + 1)  # T_A^1, T_C^1, ..., T_C^K

    def call(self, sentences, times, question, linear):
        def sum_of_words(k, ids):
            return ops.sum(position_weights(ids, self.units) * rows_of(self.words[k], ids), axis=-2)

        def memory(k):  # m_i = sum_j l_j * A x_ij + T_A(i)
            return sum_of_words(k, sentences) + rows_of(self.times[k], times)  # (B, N, d)

        exists = ops.cast(times > 0, "float32")
        count = ops.sum(exists, axis=1, keepdims=True)
        u = sum_of_words(0, question)  # (B, d), by B = A^1
        all_weights = []
        m = memory(0)
        for k in range(self.hops):
            c = memory(k + 1)
            scores = ops.einsum("bd,bnd->bn", u, m)
            p = ops.softmax(ops.where(times > 0, scores, FAR))  # (1)
            p = ops.where(linear > 0, scores * exists / count, p)
            o = ops.einsum("bn,bnd->bd", p, c)  # (2)
            u = u + o  # (4)
            all_weights.append(p)
            m = c  # A^{k+1} = C^k
        answer = u @ ops.transpose(without_nil(self.words[-1]))  # (3) before its softmax
        return answer, ops.stack(all_weights, axis=1)

    def compute_output_spec(self, sentences, times, question, linear):
        scores = keras.KerasTensor((times.shape[0], self.vocabulary), "float32")
        return scores, keras.KerasTensor((times.shape[0], self.hops, times.shape[1]), "float32")

    def get_config(self):
        names = ("vocabulary", "memories", "units", "hops")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def without_nil(matrix):
    """A matrix of vectors (V, d) whose first row, which stands for nothing, is zero."""
    return matrix * ops.cast(ops.arange(matrix.shape[0]) > 0, "float32")[:, None]


def rows_of(matrix, ids):
    """The vectors of ids, zero where an id is 0: (..., d)."""
    return ops.take(without_nil(matrix), ids, axis=0)


def position_weights(ids, units: int):
    """Position encoding (section 4.1): l_kj = (1 - j/J) - (k/d) (1 - 2 j/J), j and k from 1 on.

    Without it a sentence is a bag of words. The authors' code has another formula, which they call
    unintended and "mostly a constant factor" different.

    Args:
        ids: word ids (..., W), 0 after the end of a sentence of J words.
        units: numbers of a vector, d.

    Returns:
        (..., W, d) float32.
    """
    length = ops.maximum(ops.sum(ops.cast(ids > 0, "float32"), axis=-1), 1)[..., None, None]
    j = ops.arange(1, ids.shape[-1] + 1, dtype="float32")[:, None] / length  # (..., W, 1)
    k = ops.arange(1, units + 1, dtype="float32") / units
    return (1 - j) - k * (1 - 2 * j)


def network(
    vocabulary: int, memories: int, longest: int, units: int = 20, hops: int = 3
) -> keras.Model:
    """The untrained network: a story and a question to scores of the words, as answers.

    Args:
        vocabulary: the number of word ids, V.
        memories: sentences of a story, S.
        longest: words of a sentence, J.
        units: numbers of a vector, d.
        hops: K.
    """
    inputs = {
        "sentences": keras.Input((None, longest), dtype="int32", name="sentences"),
        "times": keras.Input((None,), dtype="int32", name="times"),
        "question": keras.Input((longest,), dtype="int32", name="question"),
        "linear": keras.Input((1,), dtype="float32", name="linear"),
    }
    layer = MemoryNetwork(vocabulary, memories, units, hops, name="memory")
    scores, _ = layer(**inputs)
    return keras.Model(inputs, scores, name=f"memory-{hops}")


def with_weights(model: keras.Model) -> keras.Model:
    """The same network with a second output: the weights (B, K, N) of each hop."""
    return keras.Model(model.input, model.get_layer("memory").output, name="with_weights")

"""What a node of a tree is, given its two children: three compositions, and the loop over a batch.

The nodes of all trees of a batch are composed by height: first those above two words, then those
above them. One step of the loop composes as many nodes as the batch has trees, and a height with
more nodes takes several steps. States are rows of one table, and a step reads and writes rows by
their numbers, so that the same loop serves every tree.
"""

import keras
from keras import ops

from tinyconv.plugins.language.sentences.sentence_networks import SPREAD, word_vectors

# Axes: B trees, L words, M inner nodes of the largest tree; d units, w numbers of a state.


class Composition(keras.layers.Layer):
    """The states of all nodes of a batch of trees, from the vectors of their words.

    A subclass has `width` (numbers of a state, w), `word` and `pair`; the first d numbers of a
    state are the node's vector.

    Args:
        units: numbers of a vector, d.

    Args of the call:
        vectors: of the words, (B, L, d) float32.
        children: (B, M, 2) int32, the children of each inner node, those below it before it: a
            word's number below L, or L + the number of an inner node.
        heights: (B, M) int32, of the inner nodes, 1 above two words; 0 where there is none.

    Returns:
        (B, L + M, d) float32: the vectors of words and of inner nodes.
    """

    spread = SPREAD  # of word vectors at first

    def __init__(self, units: int, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.units = units
        # In TensorFlow the length of the loop depends on the trees: XLA has no gradient of that.
        self.supports_jit = keras.config.backend() == "jax"

    def call(self, vectors, children, heights):
        B, L, _ = ops.shape(vectors)
        M = ops.shape(heights)[1]
        N = B * M
        words = self.word(ops.reshape(vectors, (-1, self.units)))  # (B L, w)
        heights = ops.reshape(heights, (-1,))
        # Sorted by height, then by tree; those that do not exist stand at the end.
        heights = ops.where(heights > 0, heights, M + 1)
        order = ops.argsort(heights * N + ops.arange(N))
        rank = ops.cast(ops.argsort(order), "int32")
        starts = _counts(heights < ops.arange(1, M + 2)[:, None])  # of heights
        places, steps = self._places(starts, B, M, N)
        tree = ops.repeat(ops.arange(B), M)[:, None]
        pairs = ops.reshape(children, (-1, 2))
        inner = ops.take(rank, ops.clip(tree * M + pairs - L, 0, N - 1))
        rows = ops.where(pairs < L, tree * L + pairs, B * L + inner)
        rows = ops.take(rows, order, axis=0)
        rows = ops.concatenate([rows, ops.zeros((B, 2), rows.dtype)])
        table = ops.concatenate([words, ops.zeros((N + B, self.width))])

        # The last step of a height also writes rows of the next; these are written again later.
        def step(i, table):
            nodes = places[i] + ops.arange(B)
            left, right = ops.split(ops.take(rows, nodes, axis=0), 2, axis=1)
            both = ops.take(table, ops.concatenate([left, right])[:, 0], axis=0)  # (2 B, w)
            states = self.pair(both[:B], both[B:])
            return ops.scatter_update(table, B * L + nodes[:, None], states)

        table = ops.fori_loop(0, steps, step, table)[:, : self.units]
        inner = ops.reshape(ops.take(table[B * L :], rank, axis=0), (-1, M, self.units))
        return ops.concatenate([ops.reshape(table[: B * L], (-1, L, self.units)), inner], axis=1)

    def _places(self, starts, B, M, N):
        """The first node of each step, in the order of heights, and the number of steps."""
        counts = (starts[1:] - starts[:-1] + B - 1) // B  # steps of each height, (M,)
        ends = ops.cumsum(counts)
        most = 2 * M if keras.config.backend() == "jax" else ends[-1]  # fixed shapes for JAX
        number = ops.arange(most)
        height = ops.clip(_counts(ends <= number[:, None]), 0, M - 1)
        of_height = number - ops.take(ends - counts, height)
        places = ops.take(starts, height) + of_height * B
        return ops.where(number < ends[-1], places, N), most

    def compute_output_shape(self, vectors_shape, children_shape, heights_shape):
        return (vectors_shape[0], None, self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("tinyconv")
class Recursive(Composition):
    """p = tanh([b; c] W + bias) for the children b and c; a word is the tanh of its vector.

    Source:
        Socher et al. 2013, section 4.1: p1 = f(W [b; c]).
    """

    spread = 0.3  # without gates, small vectors vanish on the way up

    def build(self, *_):
        d = self.width = self.units
        self.W = self.add_weight(shape=(2 * d, d), name="W")
        self.b = self.add_weight(shape=(d,), initializer="zeros", name="b")

    def word(self, vectors):
        """The state of words, (R, d) from (R, d)."""
        return ops.tanh(vectors)

    def pair(self, left, right):
        """The state above two nodes, (R, d) from twice (R, d)."""
        return ops.tanh(ops.concatenate([left, right], axis=1) @ self.W + self.b)


@keras.saving.register_keras_serializable("tinyconv")
class NeuralTensor(Composition):
    """p = tanh([b; c]' V [b; c] + [b; c] W + bias), with a matrix V_k for each number of p.

    Source:
        Socher et al. 2013, section 4.3: p1 = f([b; c]' V^[1:d] [b; c] + W [b; c]).
    """

    spread = 0.3  # products of small vectors vanish

    def build(self, *_):
        d = self.width = self.units
        self.W = self.add_weight(shape=(2 * d, d), name="W")
        self.b = self.add_weight(shape=(d,), initializer="zeros", name="b")
        small = keras.initializers.RandomNormal(stddev=0.5 / d)
        self.V = self.add_weight(shape=(2 * d, d * 2 * d), initializer=small, name="V")

    def word(self, vectors):
        """The state of words, (R, d) from (R, d)."""
        return ops.tanh(vectors)

    def pair(self, left, right):
        """The state above two nodes, (R, d) from twice (R, d)."""
        x = ops.concatenate([left, right], axis=1)  # (R, 2 d)
        products = ops.reshape(x @ self.V, (-1, self.units, 2 * self.units))  # (R, d, 2 d)
        squares = ops.sum(products * x[:, None], axis=2)
        return ops.tanh(squares + x @ self.W + self.b)


@keras.saving.register_keras_serializable("tinyconv")
class TreeLSTM(Composition):
    """A long short-term memory with a forget gate for each of the two children.

    A state is the vector h beside the memory c. Inner nodes read no word, and words have a module
    of their own without gates for children, as in the authors' code.

    Source:
        Tai, Socher and Manning 2015 (arXiv 1503.00075), equations 9 to 14 with N = 2.
    """

    def build(self, *_):
        d = self.units
        self.width = 2 * d
        self.W_word = self.add_weight(shape=(d, 2 * d), name="W_word")
        self.b_word = self.add_weight(shape=(2 * d,), initializer="zeros", name="b_word")
        self.U = self.add_weight(shape=(2 * d, 5 * d), name="U")
        self.b = self.add_weight(shape=(5 * d,), initializer=_forget_bias, name="b")

    def word(self, vectors):
        """The state of words, (R, 2 d) from (R, d)."""
        o, c = ops.split(vectors @ self.W_word + self.b_word, 2, axis=1)
        return ops.concatenate([ops.sigmoid(o) * ops.tanh(c), c], axis=1)

    def pair(self, left, right):
        """The state above two nodes, (R, 2 d) from twice (R, 2 d)."""
        (h_l, c_l), (h_r, c_r) = ops.split(left, 2, axis=1), ops.split(right, 2, axis=1)
        gates = ops.concatenate([h_l, h_r], axis=1) @ self.U + self.b
        i, f_l, f_r, o, u = ops.split(gates, 5, axis=1)
        c = ops.sigmoid(i) * ops.tanh(u)  # (9), (12)
        c = c + ops.sigmoid(f_l) * c_l + ops.sigmoid(f_r) * c_r  # (10), (13)
        h = ops.sigmoid(o) * ops.tanh(c)  # (11), (14)
        return ops.concatenate([h, c], axis=1)


def _counts(rows):
    """How many of each row are true, int32; ONNX has no search in sorted numbers."""
    return ops.sum(ops.cast(rows, "int32"), axis=1)


def _forget_bias(shape, dtype=None):
    """1 for both forget gates, 0 for the others: at first a node remembers its children."""
    d = shape[0] // 5
    return ops.concatenate([ops.zeros(d, dtype), ops.ones(2 * d, dtype), ops.zeros(2 * d, dtype)])


COMPOSITIONS = {"recursive": Recursive, "rntn": NeuralTensor, "tree-lstm": TreeLSTM}


def network(
    model: str, vocabulary: int, units: int, classes: int, dropout: float = 0.0
) -> keras.Model:
    """The untrained network: trees to scores (B, L + M, classes) of all their nodes.

    Args:
        model: "recursive", "rntn" or "tree-lstm".
        vocabulary: the number of word ids; 0 is for padding.
        units: numbers of a word's vector and of a node's.
        classes: labels.
        dropout: fraction of a vector's numbers dropped before the scores.
    """
    words = keras.Input((None,), dtype="int32", name="words")
    children = keras.Input((None, 2), dtype="int32", name="children")
    heights = keras.Input((None,), dtype="int32", name="heights")
    nodes = COMPOSITIONS[model](units, name="nodes")
    x = nodes(word_vectors(vocabulary, units, nodes.spread)(words), children, heights)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    scores = keras.layers.Dense(classes, name="scores")(x)
    return keras.Model([words, children, heights], scores, name=f"{model}-{units}")

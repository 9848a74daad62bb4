"""Word vectors without a network: positive pointwise mutual information, and its best rank d.

Levy and Goldberg 2014 ("Neural word embedding as implicit matrix factorization") show that
skip-gram with k negatives factorises PMI - ln k; Levy, Goldberg and Dagan 2015 which details
matter: the context distribution to the power 3/4, and the square root of the singular values.
"""

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import svds

from tinyconv.errors import UserError


def ppmi(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """max(0, ln(P(w, c) / (P(w) P(c)))), with P(c) from the counts to the power 3/4.

    `counts` (V, V) are co-occurrences; the result is (V, V).
    """
    table = counts.tocoo()
    of_words = np.asarray(table.sum(axis=1)).ravel() / table.sum()
    of_contexts = np.asarray(table.sum(axis=0)).ravel() ** 0.75
    of_contexts /= of_contexts.sum()
    joint = table.data / table.sum()
    information = np.log(joint / (of_words[table.row] * of_contexts[table.col]))
    places = table.row, table.col
    result = sparse.coo_matrix((np.maximum(information, 0), places), table.shape).tocsr()
    result.eliminate_zeros()
    return result


def require_rank(size: int, words: int) -> None:
    """Raise UserError where the matrix of so many words has no approximation of rank `size`."""
    if size >= words:
        raise UserError(
            f"--size {size} needs more than {size} words, and there are {words}; choose a smaller "
            "one."
        )


def factorised(matrix: sparse.csr_matrix, size: int) -> np.ndarray:
    """U sqrt(S) of the best approximation of rank `size` < V, (V, size) float32."""
    start = np.random.default_rng(0).uniform(-1, 1, matrix.shape[0])  # the same every time
    left, values, _ = svds(matrix, k=size, v0=start)
    order = np.argsort(-values)
    vectors = left[:, order] * np.sqrt(values[order])
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(size)])
    return (vectors * np.where(signs == 0, 1, signs)).astype(np.float32)

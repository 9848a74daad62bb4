"""Words as points: the vectors of a run, their neighbours, and what answers an analogy."""

from collections.abc import Sequence

import numpy as np

from tinyconv.plugins.language.words.lexicon import Lexicon

AT_ONCE = 20_000_000  # cosines in memory


class WordSpace:
    """V words and their vectors; `vectors` are as trained, `unit` of length 1, both (V, d)."""

    def __init__(self, lexicon: Lexicon, vectors: np.ndarray):
        self.lexicon, self.vectors = lexicon, vectors
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        self.unit = vectors / np.maximum(lengths, 1e-12)

    def nearest(
        self, points: np.ndarray, left_out: np.ndarray, count: int = 1, among: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """The words with the greatest cosines to each of Q points.

        Args:
            points: (Q, d).
            left_out: (Q, n) words that are no answer; n may be 0.
            count: answers for each point.
            among: search the most frequent words only, this many; all for None.

        Returns:
            words (Q, count) int64, the nearest first, and their cosines (Q, count).
        """
        points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
        rows = self.unit[:among]
        words, cosines = [], []
        step = max(1, AT_ONCE // len(rows))
        for start in range(0, len(points), step):
            part = points[start : start + step] @ rows.T  # (q, V)
            others = left_out[start : start + step]
            which, columns = np.nonzero(others < len(rows))
            part[which, others[which, columns]] = -np.inf
            best = np.argpartition(-part, min(count, part.shape[1] - 1), axis=1)[:, :count]
            values = np.take_along_axis(part, best, axis=1)
            order = np.argsort(-values, axis=1, kind="stable")
            words.append(np.take_along_axis(best, order, axis=1))
            cosines.append(np.take_along_axis(values, order, axis=1))
        return np.concatenate(words), np.concatenate(cosines)

    def answers(self, words: Sequence[int], count: int) -> list[dict]:
        """The answers to an analogy of three words, or the neighbours of one.

        Args:
            words: a, b and c, of a is to b as c is to ...; or one word.
            count: the number of answers.

        Returns:
            {"word", "cosine"} of each, the best first; words that were asked about are left out.
        """
        point = self.unit[words[-1]]
        if len(words) == 3:
            point = self.unit[words[1]] - self.unit[words[0]] + point
        count = max(1, min(count, len(self.lexicon) - len(set(words))))
        (ids,), (cosines,) = self.nearest(point[None], np.array([words]), count)
        return [
            {"word": self.lexicon.words[i], "cosine": float(cosine)}
            for i, cosine in zip(ids, cosines)
        ]

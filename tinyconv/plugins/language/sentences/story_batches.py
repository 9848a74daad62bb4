"""Stories as arrays, and the batches of them that a memory network is trained on."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np

from tinyconv.plugins.language.text_files import words
from tinyconv.text.vocabulary import PADDING, UNKNOWN, Vocabulary, padded


def sentences_of(text: str) -> list[str]:
    """The sentences of an example, of which the last one is the question."""
    return text.split("\n")


def vocabulary_of(
    texts: Sequence[str], targets: Sequence[Mapping], least: int, most: int
) -> Vocabulary:
    """The `most` most frequent words with at least `least` occurrences, and every answer."""
    known = Vocabulary.from_sentences(map(words, texts), least, most).words
    answers = {target["answer"] for target in targets}
    return Vocabulary((*known, *sorted(answers - {*known})))


class Stories:
    """Stories with questions as arrays, made ready once.

    Args:
        texts: B examples of `stories`: statements, and a question as the last sentence.
        vocabulary: the known words; others are left out.
        memories: the most statements of a story, S; of a longer one the last S are taken.
        longest: the most words of a sentence, J; of a longer one the first J are taken.
        targets: B targets of `stories`; None where nothing is known.
    """

    def __init__(
        self,
        texts: Sequence[str],
        vocabulary: Vocabulary,
        memories: int,
        longest: int,
        targets: Sequence[Mapping] | None = None,
    ):
        self.vocabulary, self.memories, self.longest = vocabulary, memories, longest
        stories = [sentences_of(text) for text in texts]
        lengths = [len(story) - 1 for story in stories]
        self.cut = sum(length > memories for length in lengths)  # stories that lost statements
        self.lengths = np.minimum(lengths, memories)
        size = max(2, self.lengths.max())  # Keras warns of a softmax over a single memory
        self.sentences = np.full((len(texts), size, longest), PADDING, np.int32)
        self.question = self._ids([story[-1] for story in stories])
        self.is_fact = np.zeros((len(texts), size), bool)
        ids: dict[str, np.ndarray] = {}  # most sentences occur often
        for b, (story, length) in enumerate(zip(stories, lengths)):
            for i, sentence in enumerate(story[:-1][-memories:]):
                if sentence not in ids:
                    ids[sentence] = self._ids([sentence])[0]
                self.sentences[b, i] = ids[sentence]
            for fact in targets[b]["facts"] if targets else ():
                if (place := fact - max(0, length - memories)) >= 0:
                    self.is_fact[b, place] = True
        if targets:
            self.answers = np.array([self._answer(each["answer"]) for each in targets], np.int32)
            self.tasks = np.array([each["task"] for each in targets])

    def __len__(self) -> int:
        return len(self.sentences)

    def _ids(self, sentences: Sequence[str]) -> np.ndarray:
        """(R, J) int32: the ids of the known words of sentences."""
        known = [
            [i for i in self.vocabulary.encode(words(sentence))[1:-1] if i != UNKNOWN]
            for sentence in sentences
        ]
        table = padded([row[: self.longest] for row in known])
        return np.pad(table, ((0, 0), (0, self.longest - table.shape[1])))

    def _answer(self, answer: str) -> int:
        """The id of an answer, -1 for one that is not known."""
        id_ = self.vocabulary.encode([answer])[1]
        return -1 if id_ == UNKNOWN else id_

    @cached_property
    def times(self) -> np.ndarray:
        """(B, N) int32: 1 for the last statement, 2 for the one before it; 0 after the end."""
        places = np.arange(self.sentences.shape[1])
        return np.maximum(0, self.lengths[:, None] - places).astype(np.int32)

    def inputs(self, rows=slice(None), times: np.ndarray | None = None, linear: bool = False):
        """What the network takes for some of them, by name.

        Args:
            rows: the numbers of R stories.
            times: (R, N) int32 in place of the true ones.
            linear: whether attention is without its softmax.
        """
        times = self.times[rows] if times is None else times
        return {
            "sentences": self.sentences[rows],
            "times": times,
            "question": self.question[rows],
            "linear": np.full((len(times), 1), linear, np.float32),
        }


def with_empty_memories(
    times: np.ndarray, noise: float, memories: int, random: np.random.Generator
) -> np.ndarray:
    """Times as if empty memories stood between the sentences: random noise (section 4.1).

    An empty memory changes nothing but the times of the sentences before it.

    Args:
        times: (B, N) int32, counted back from the question; 0 where there is no sentence.
        noise: the most empty memories of a story, as a fraction of its length.
        memories: the greatest time; a story that fills the memory gets none.
        random: where they stand, and how many each story gets.

    Returns:
        (B, N) int32.
    """
    lengths = times.max(axis=1)
    most = np.minimum((noise * lengths).astype(int), np.maximum(0, memories - lengths))
    counts = random.integers(0, most + 1)
    places = random.integers(1, lengths[:, None] + 2, (len(times), most.max(initial=0)))
    places[np.arange(places.shape[1]) >= counts[:, None]] = memories + 2  # no empty memory
    later = (places[:, None] <= times[..., None]).sum(axis=-1)  # nearer to the question
    return np.where(times > 0, times + later, 0).astype(np.int32)


def batches(
    stories: Stories,
    batch_size: int,
    noise: float,
    linear_epochs: int,
    seed: int,
    epoch: int,
    first: int,
) -> Iterator[tuple[dict[str, np.ndarray], np.ndarray]]:
    """An epoch's batches from step `first` on, in an order drawn for it.

    Args:
        stories: the training stories.
        batch_size: B.
        noise: of `with_empty_memories`.
        linear_epochs: first epochs without softmax (linear start).
        seed: of every random number here.
        epoch: counted from 0.
        first: counted from 0.

    Yields:
        the network's inputs, and the answers (B,) int32.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(stories))
    for step in range(first, max(1, len(stories) // batch_size)):
        rows = order[step * batch_size : (step + 1) * batch_size]
        random = np.random.default_rng([seed, epoch, step])
        times = with_empty_memories(stories.times[rows], noise, stories.memories, random)
        yield stories.inputs(rows, times, epoch < linear_epochs), stories.answers[rows]

"""What networks read of a data set: its trees, its phrases, and the words they know."""

from collections.abc import Iterator, Sequence

from tinyconv.data import Dataset, Split, selection
from tinyconv.data.text import sentences
from tinyconv.errors import UserError
from tinyconv.plugins.language.sentences.treebank import (
    UNKNOWN,
    Tree,
    parsed,
    right_branching,
    words,
)
from tinyconv.results import plural
from tinyconv.system import console
from tinyconv.text.vocabulary import Vocabulary, report_unknown


def trees_of(split: Split) -> list[Tree]:
    """The trees of a split."""
    return [parsed(target["tree"]) for target in split.targets]


def has_trees(split: Split) -> bool:
    """Whether the examples of a split have trees."""
    return "tree" in split.target_fields


def held_out_trees(dataset: Dataset) -> list[Tree]:
    """The trees of the split for testing, or else of that for validation, then of further ones."""
    first = selection.held_out_split(dataset, None)
    further = [name for name in dataset.splits if name not in ("train", "validation", first)]
    splits = [dataset.splits[name] for name in (first, *further)]
    return [tree for split in splits if has_trees(split) for tree in trees_of(split)]


def vocabulary_of(run, split: Split) -> Vocabulary:
    """The words of a run, chosen from its training sentences where it is new."""
    if "words" not in run.settings:
        options = run.options
        sentences = [words(text.lower()) for text in split.rows]
        chosen = Vocabulary.from_sentences(sentences, options.least, options.vocabulary)
        if not chosen.words:
            raise UserError(
                f"No word occurs {options.least} times; --min-count 1 includes all of them."
            )
        run.add(words=chosen.words)
    return words_of(run)


def words_of(run) -> Vocabulary:
    """The words that a run has recorded."""
    return Vocabulary(tuple(run.settings["words"]))


def phrases(trees: Sequence[Tree]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Each different phrase of the trees that has a label, with its label, once."""
    labels = {}
    for tree in trees:
        for node, label in enumerate(tree.labels):
            if label != UNKNOWN:
                labels.setdefault(tree.phrase(node), int(label))
    yield from labels.items()


def read(inputs: Sequence[str], vocabulary: Vocabulary, needs_trees: bool) -> list[tuple]:
    """The sentences and trees of `predict` and `explain`.

    A sentence gets a right-branching tree, which is reported where the model composes by it, as is
    the number of words that the network does not know.

    Args:
        inputs: texts, and paths of files with one on each line.
        vocabulary: the words of the network.
        needs_trees: whether the model composes along trees.

    Returns:
        (source, Tree) of each; a tree in brackets has its labels.

    Raises:
        UserError: for brackets that are no tree.
    """
    pairs, sentence_count, unknown = [], 0, []
    for source, text in sentences(inputs):
        if text.lstrip().startswith("("):
            tree = parsed(text, source if source != text else "")
        else:
            tree = right_branching(words(text))
            sentence_count += 1
        unknown += [word for word in tree.words if word.lower() not in vocabulary]
        pairs.append((source, tree))
    if needs_trees and sentence_count:
        console.print_line(
            f"trees      {plural(sentence_count, 'sentence')} without brackets: each word is "
            "joined with all that follows (right-branching), not as a parser would"
        )
    report_unknown(unknown)
    return pairs

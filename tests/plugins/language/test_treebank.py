"""Trees in brackets, the generated opinions, and the measures of nodes, by hand."""

import numpy as np
import pytest

from tinyconv.errors import UserError
from tinyconv.plugins.language.sentences import node_measures, opinions
from tinyconv.plugins.language.sentences.treebank import UNKNOWN, parsed, right_branching

GOOD = "(1 (2 (2 the) (2 film)) (1 (2 is) (1 (2 not) (3 good))))"
LABELS = [2, 2, 2, 2, 3, 2, 1, 1, 1]  # the five words, then by height: the film, not good, ...


def test_nodes_are_numbered_by_height():
    tree = parsed(GOOD)
    assert tree.words == ("the", "film", "is", "not", "good")
    assert tree.children.tolist() == [[0, 1], [3, 4], [2, 6], [5, 7]]
    assert tree.heights.tolist() == [1, 1, 2, 3] and tree.height == 3
    assert tree.labels.tolist() == LABELS
    assert tree.phrase(7) == ("is", "not", "good") and tree.phrase(8) == tree.words
    assert tree.text() == GOOD
    assert tree.text([0] * 8 + [4]).startswith("(4 (0 (0 the)")
    alone = parsed("(4 wow)")
    assert alone.height == 0 and alone.children.shape == (0, 2) and alone.text() == "(4 wow)"


def test_a_tree_may_be_deeper_than_pythons_stack():
    count = 5000
    text = "(2 (2 a) " * count + "(2 b)" + ")" * count
    tree = parsed(text)
    assert tree.height == count and tree.text() == text
    chain = right_branching(tree.words)
    assert np.array_equal(chain.children, tree.children)
    assert (chain.labels == UNKNOWN).all()


@pytest.mark.parametrize(
    "text, message",
    [
        ("(3 (2 a) (2 b)", "line 3, column 1: this '\\(' is never closed"),
        ("(3 (2 a))", "column 1: a node has one child; trees must be binary, as CoreNLP's"),
        ("(3 (2 (2 a) (2 b) (2 c)) (2 d))", "column 4: a node has 3 children"),
        ("(3 (2 a) b)", "column 1: a node has the word 'b' beside nodes"),
        ("(3 a b)", "column 1: a node has 2 words; each needs brackets and a label of its own"),
        ("(3 (5 a) (2 b))", "column 5: '5' is no label; labels are 0 to 4"),
        ("(the film)", "column 2: 'the' is no label"),
        ("(3 (2 a) ())", "column 10: a node without a label"),
        ("(3 a) (2 b)", "column 7: '\\(' follows the end of the tree"),
        ("3 a", "column 1: a tree begins with '\\('"),
        ("", "column 1: there is no tree"),
    ],
)
def test_a_fault_is_reported_with_its_place(text, message):
    with pytest.raises(UserError, match=message):
        parsed(text, "train.txt, line 3")


def test_opinions_mean_what_their_parts_mean():
    dataset = opinions.opinions()
    split = dataset.splits["test"]
    assert [len(each) for each in dataset.splits.values()] == [8000, 500, 1000, 1000]
    sentences = [text for each in dataset.splits.values() for text in each.inputs]
    assert len(set(sentences)) == len(sentences)  # no sentence twice, in no two splits
    again = opinions.all_splits.__wrapped__()  # the same every time, not those of the first time
    assert sentences == [text for each in again.values() for text in each.inputs]
    value = {word: v for v, words in opinions.ADJECTIVES.items() for word in words}
    rules = 0
    for target, label in zip(split.targets, split.labels):
        tree = parsed(target["tree"])
        assert label == tree.labels[-1]
        values = tree.labels - 2
        for word, v in zip(tree.words, values):
            assert v == value.get(word, 0)
        for node, (left, right) in enumerate(tree.children, start=len(tree.words)):
            first, v, below = tree.phrase(left), values[node], values[right]
            if first in (("not",), ("nobody", "says", "that")):
                assert v == -np.sign(below)
            elif first == ("very",):
                assert v == np.clip(below + np.sign(below), -2, 2)
            elif tree.phrase(right)[0] == "but":
                assert v == values[right]
            elif tree.phrase(right)[0] == "and":
                assert v == np.clip(values[left] + values[right], -2, 2)
            else:
                continue
            rules += 1
    assert rules > 3000
    with pytest.raises(UserError, match="opinions is generated; leave out --root"):
        opinions.opinions(".")


def one_hot(labels, certainty=5.0):
    return certainty * np.eye(5)[labels]


def test_measures_by_hand():
    tree = parsed(GOOD)
    right = node_measures.of_nodes([tree], [one_hot(LABELS)])
    assert right["accuracy"] == right["node_accuracy"] == right["binary_accuracy"] == 1
    assert right["accuracy_depth_3"] == 1 and right["negated_positive"] == 1
    assert right["loss"] == pytest.approx(np.log(1 + 4 * np.exp(-5)))
    assert "negated_negative" not in right
    wrong = [2, 2, 2, 2, 3, 2, 3, 1, 0]  # `not good` is read as good, and the root as very bad
    metrics = node_measures.of_nodes([tree], [one_hot(wrong)])
    assert metrics["node_accuracy"] == pytest.approx(7 / 9)
    assert metrics["accuracy"] == metrics["negated_positive"] == 0
    assert metrics["binary_accuracy"] == 1
    bad = parsed("(3 (2 (2 nobody) (2 (2 says) (2 that))) (1 bad))")
    lifted = node_measures.of_nodes([bad], [one_hot(bad.labels)])
    assert lifted["negated_negative"] == 1 and "negated_positive" not in lifted
    lower = bad.labels.copy()
    lower[-1] = 0
    scores = one_hot(lower)
    scores[-1, 0] *= 2  # surer still than of the phrase itself
    assert node_measures.of_nodes([bad], [scores])["negated_negative"] == 0


def test_labels_that_are_unknown_do_not_count():
    tree, chain = parsed(GOOD), right_branching(("a", "b"))
    both = node_measures.of_nodes([tree, chain], [one_hot(LABELS), one_hot([0, 0, 0])])
    assert both == node_measures.of_nodes([tree], [one_hot(LABELS)])

"""Generated stories, files in the form of bAbI, stories that are typed, and their batches."""

import re
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from tinyconv.data.text import Text
from tinyconv.errors import UserError
from tinyconv.plugins.language.sentences import babi_files, stories, story_batches, story_texts
from tinyconv.text.vocabulary import Vocabulary

STEP = re.compile(r"(\w+) (\w+|picked up|put down|\w+ to) the (\w+)\.")


def replayed(text):
    """The answer to the question of a story, by walking through its statements."""
    *statements, question = text.split("\n")
    place, holder, lies, trail = {}, {}, {}, {}
    for statement in statements:
        person, verb, what = STEP.fullmatch(statement).groups()
        if verb.endswith(" to"):
            place[person] = what
            for thing in (thing for thing, who in holder.items() if who == person):
                trail.setdefault(thing, []).append(what)
        elif verb in stories.GET:
            holder[what] = person
            trail.setdefault(what, []).append(place.get(person))
        else:
            assert verb in stories.DROP
            holder.pop(what, None)
            lies[what] = place[person]
    last = question.rstrip("?").split()
    if last[:2] == ["Where", "was"]:
        thing, before = last[3], last[-1]
        path = [
            each for i, each in enumerate(trail[thing]) if i == 0 or trail[thing][i - 1] != each
        ]
        return path[len(path) - 1 - path[::-1].index(before) - 1]
    if (name := last[-1]) in stories.PEOPLE:
        return place[name]
    return place[holder[name]] if name in holder else lies[name]


@pytest.fixture(scope="module")
def dataset():
    return stories.stories()


def test_answers_are_those_of_the_story_and_of_its_facts_alone(dataset):
    for split in dataset.splits.values():
        for text, target in zip(split.rows, split.targets, strict=True):
            assert replayed(text) == target["answer"], text
            lines = text.split("\n")
            facts = [lines[i] for i in target["facts"]]
            assert len(facts) == target["task"]
            assert replayed("\n".join([*facts, lines[-1]])) == target["answer"], text


def test_stories_are_the_same_every_time(dataset):
    again = stories.all_splits.__wrapped__()  # not those of the first time
    for name, split in dataset.splits.items():
        assert (again[name].rows, again[name].targets) == (split.rows, split.targets)


def test_splits_share_no_story_and_deeper_is_longer(dataset):
    texts = [text for split in dataset.splits.values() for text in split.rows]
    assert len({*texts}) == len(texts) == 3 * sum(stories.COUNTS.values())
    for task, (fewest, most) in stories.LENGTHS.items():
        ends = {"deeper": (most + 1, 2 * most)}
        for name, split in dataset.splits.items():
            lengths = [
                text.count("\n")
                for text, target in zip(split.rows, split.targets)
                if target["task"] == task
            ]
            assert len(lengths) == stories.COUNTS[name]
            low, high = ends.get(name, (fewest, most))
            assert low <= min(lengths) and max(lengths) == high
    with pytest.raises(UserError, match="stories is generated; leave out --root"):
        stories.stories("here")


STORY = """1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary?\tbathroom\t1
4 Daniel went back to the hallway.
5 Where is Daniel? \thallway\t4
1 Sandra is in the Garden.
2 Where is Sandra?\tGarden\t1
"""


def folder(tmp_path, train, test=STORY, valid=None):
    files = {"train": train, "test": test, "valid": valid}
    for name, content in files.items():
        if content is not None:
            path = tmp_path / f"qa1_single-supporting-fact_{name}.txt"
            path.write_text(content, encoding="utf-8")
    return tmp_path


def test_files_in_the_form_of_babi(tmp_path):
    root = folder(tmp_path, STORY * 5)
    (root / "qa2_two-supporting-facts_train.txt").write_text(STORY, encoding="utf-8")
    dataset = babi_files.babi(root)
    test = dataset.splits["test"]
    assert test.rows[1] == (
        "Mary moved to the bathroom.\nJohn went to the hallway.\n"
        "Daniel went back to the hallway.\nWhere is Daniel?"
    )
    assert test.targets[1] == {"answer": "hallway", "facts": [2], "task": 1}  # of statements
    assert test.targets[2]["answer"] == "garden"
    assert test.names[1] == "qa1_single-supporting-fact_test.txt:5"
    # The tenth story of the first task is held out, whole.
    assert len(dataset.splits["validation"]) == 1 and len(dataset.splits["train"]) == 14 + 3
    assert {target["task"] for target in dataset.splits["train"].targets} == {1, 2}
    own = babi_files.babi(folder(tmp_path, STORY * 5, valid=STORY))
    assert len(own.splits["validation"]) == 3 and len(own.splits["train"]) == 15 + 3


@pytest.mark.parametrize(
    "content, message",
    [
        ("1 Mary left.\nWhere is Mary?\tgarden\t1\n", r"train.txt:2 has no number before"),
        ("1 Mary left.\n3 John left.\n", r"train.txt:2 has the number 3, where the story has 2"),
        ("2 Mary left.\n", "train.txt:1 has the number 2, where the story has 1"),
        ("1 Where is Mary?\tgarden\t1\n", "train.txt:1 has a question without a story"),
        ("1 Mary left.\n2 Where is Mary?\t \t1\n", "train.txt:2 has a question without an answer"),
        ("1 Mary left.\n2 Where is Mary?\there\t7\n", "the supporting fact '7', which is no line"),
        ("1 Mary left.\n2 Where is Mary?\there\tx\n", "the supporting fact 'x', which is no line"),
        (STORY, "too few stories for validation"),
        ("", "too few stories for train"),
        ("1 A b.\0\n", "is a binary file"),
        (STORY.replace("hallway\t4", "attic\t4") * 10, "1 answer of test never occurs in training"),
    ],
)
def test_files_that_are_refused(content, message, tmp_path):
    with pytest.raises(UserError, match=message):
        babi_files.babi(folder(tmp_path, content))


def test_folders_that_are_refused(tmp_path):
    with pytest.raises(UserError, match="babi needs --root: a folder with files such as"):
        babi_files.babi()
    inside = tmp_path / "tasks" / "en"
    inside.mkdir(parents=True)
    with pytest.raises(UserError, match="has no file of training stories; it should be a folder"):
        babi_files.babi(tmp_path)
    folder(inside, STORY)
    with pytest.raises(UserError, match=rf"did you mean {re.escape(str(inside))}\?"):
        babi_files.babi(tmp_path)


def test_a_rare_new_answer_is_counted(tmp_path):
    test = STORY * 40 + "1 Mary is up.\n2 Where is Mary?\tattic\t1\n"
    dataset = babi_files.babi(folder(tmp_path, STORY * 5, test))
    assert dataset.notes == ("1 answer of test never in training",)


def asked(*inputs):
    return list(story_texts.questions(inputs))


def test_what_someone_types():
    whole = "Mary went home. John left!  Where is Mary?"
    story = "Mary went home.\nJohn left!"
    assert asked(Text(whole)) == [(whole, f"{story}\nWhere is Mary?")]
    lines = [
        Text(each) for each in ("Mary went home.", "John left!", "Where is Mary?", "Who left?")
    ]
    assert asked(*lines) == [
        ("Where is Mary?", f"{story}\nWhere is Mary?"),
        ("Who left?", f"{story}\nWho left?"),
    ]
    # A story with its own question does not go on with the one before it.
    both = asked(Text(whole), Text("Sandra slept. Where is Sandra?"))
    assert both[1][1] == "Sandra slept.\nWhere is Sandra?"


def test_what_stands_in_a_file(tmp_path):
    path = tmp_path / "stories.txt"
    path.write_text("Mary left.\nWho left?\n\nJohn slept.\nWho slept?\n" + STORY, encoding="utf-8")
    texts = asked(str(path))
    assert texts == asked(str(tmp_path))
    assert texts[0] == (f"{path}:2", "Mary left.\nWho left?")
    assert texts[1] == (f"{path}:5", "John slept.\nWho slept?")
    assert texts[2][1].startswith("Mary moved to") and texts[2][1].endswith("Where is Mary?")
    assert texts[4][1] == "Sandra is in the Garden.\nWhere is Sandra?"


@pytest.mark.parametrize(
    "words, message",
    [
        (["Where is Mary?"], "'Where is Mary\\?' is a question without a story; put sentences"),
        (["Mary left. Who left?", "Mary left."], None),
        (["Mary left."], "'Mary left.' has no question, which ends in a question mark"),
    ],
)
def test_typed_stories_that_are_refused(words, message):
    if message is None:
        assert len(asked(*map(Text, words))) == 1
        return
    with pytest.raises(UserError, match=message):
        asked(*map(Text, words))
    empty = Path("empty.txt")
    empty.write_text("")
    with pytest.raises(UserError, match="has no question"):
        asked(str(empty))


def arrays(memories=50, longest=4):
    texts = ["a b.\nc d e f g.\nb?", "c.\na x b?"]
    targets = [{"answer": "c", "facts": [0], "task": 1}, {"answer": "z", "facts": [0], "task": 2}]
    vocabulary = Vocabulary(tuple("abcdefg"))
    return story_batches.Stories(texts, vocabulary, memories, longest, targets)


def test_stories_become_arrays():
    four = arrays()
    a, b, c, d, e, f, g = range(4, 11)
    assert four.sentences.tolist() == [
        [[a, b, 0, 0], [c, d, e, f]],
        [[c, 0, 0, 0], [0, 0, 0, 0]],
    ]
    assert four.question.tolist() == [[b, 0, 0, 0], [a, b, 0, 0]]  # x is not known
    assert four.times.tolist() == [[2, 1], [1, 0]]  # counted back from the question
    assert four.answers.tolist() == [c, -1] and four.tasks.tolist() == [1, 2]
    assert four.is_fact.tolist() == [[True, False], [True, False]] and four.cut == 0
    short = arrays(memories=1)
    assert short.sentences[0].tolist() == [[c, d, e, f], [0, 0, 0, 0]]  # never fewer than two
    assert short.cut == 1
    assert not short.is_fact[0].any()  # the fact is forgotten


def test_the_vocabulary_has_every_answer():
    vocabulary = story_batches.vocabulary_of(
        ["a b b.\nb a c?"], [{"answer": "milk,apple"}, {"answer": "b"}], least=2, most=2
    )
    assert vocabulary.words == ("b", "a", "milk,apple")


def test_empty_memories_only_move_times():
    random = np.random.default_rng(0)
    lengths = random.integers(1, 21, 500)
    times = np.maximum(0, lengths[:, None] - np.arange(20))
    noisy = story_batches.with_empty_memories(times, 0.5, 25, random)
    assert ((noisy > 0) == (times > 0)).all() and (noisy >= times).all()
    added = noisy.max(axis=1) - lengths
    most = np.minimum(lengths // 2, 25 - lengths)
    assert (added <= most).all() and set((most - added)[lengths == 10]) == set(range(6))
    steps = noisy[:, :-1] - noisy[:, 1:]
    assert (steps[times[:, 1:] > 0] >= 1).all()  # the order stays
    # An empty memory stands anywhere, also next to the question.
    assert {1, 2} <= {*noisy[np.arange(500), lengths - 1]}
    full = story_batches.with_empty_memories(times, 0.5, 20, random)
    assert (full[lengths == 20] == times[lengths == 20]).all()
    assert (story_batches.with_empty_memories(times, 0.0, 25, random) == times).all()


def test_a_resumed_epoch_goes_on_with_the_same_batches(dataset):
    split = dataset.splits["validation"]
    vocabulary = story_batches.vocabulary_of(split.rows, split.targets, 1, 1000)
    all_of = story_batches.Stories(split.rows, vocabulary, 50, 8, split.targets)

    def epoch(number, first):
        return story_batches.batches(all_of, 32, 1.0, 2, 7, number, first)

    whole, rest = list(epoch(1, 0)), list(epoch(1, 5))
    assert len(whole) == 600 // 32 and len(rest) == len(whole) - 5
    for (inputs, answers), (again, same) in zip(whole[5:], rest, strict=True):
        assert (answers == same).all()
        assert all((inputs[name] == again[name]).all() for name in inputs)
    rows = {tuple(row) for inputs, _ in whole for row in inputs["sentences"].reshape(32, -1)}
    assert len(rows) > 0.9 * 32 * len(whole)
    linear = [next(epoch(number, 0))[0]["linear"] for number in range(3)]
    assert [each.mean() for each in linear] == [1, 1, 0]
    (other,) = islice(epoch(2, 0), 1)
    assert (other[0]["sentences"] != whole[0][0]["sentences"]).any()

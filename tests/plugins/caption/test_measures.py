"""Words, metrics and drawn scenes, against cases worked by hand."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from tinyconv.plugins.caption import metrics, scenes
from tinyconv.plugins.caption.batches import Pairs, batches, steps_per_epoch
from tinyconv.plugins.caption.words import split
from tinyconv.report import attention
from tinyconv.text.vocabulary import UNKNOWN, Vocabulary, padded


def test_bleu_of_a_case_worked_by_hand():
    """Clipped 1-grams 5 of 6 and 4 of 4, 2-grams 2 of 5 and 3 of 3; lengths 10 against 11."""
    references = [
        ["the cat is on the mat", "there is a cat on the mat"],
        ["a red square here it is"],
    ]
    captions = ["the the cat on the mat", "a red square here"]
    # 1-grams of the first: the 2 of 3, cat, on, mat; 2-grams: the cat, cat on, on the, the mat.
    p1, p2 = (5 + 4) / (6 + 4), (4 + 3) / (5 + 3)
    penalty = np.exp(1 - (6 + 6) / 10)  # the closest references have 6 words each
    scores = metrics.bleu(references, captions)
    assert scores["bleu1"] == pytest.approx(penalty * p1)
    assert scores["bleu2"] == pytest.approx(penalty * np.sqrt(p1 * p2))
    assert 0 < scores["bleu4"] < scores["bleu3"] < scores["bleu2"]
    scores = metrics.bleu(references, captions, penalised=False)
    assert scores["bleu1_unpenalised"] == pytest.approx(p1)
    assert scores["bleu2_unpenalised"] == pytest.approx(np.sqrt(p1 * p2))
    longer = metrics.bleu([["a cat"]], ["a cat sat"])["bleu1"]
    assert longer == metrics.bleu([["a cat"]], ["a cat sat"], False)["bleu1_unpenalised"] == 2 / 3


def test_bleu_at_its_ends():
    perfect = metrics.bleu([["a small red circle and a cross"]], ["a small red circle and a cross"])
    assert set(perfect.values()) == {1.0}
    assert set(metrics.bleu([["a b c d e"]], ["v w x y z"]).values()) == {0.0}
    assert set(metrics.bleu([["a b c d e"]], [""]).values()) == {0.0}


def test_a_short_caption_has_no_long_ngrams():
    """One 4-gram of one is right; the second caption has 2-grams and none longer: sacreBLEU's."""
    references = [["a b c d"], ["x y", "x y z"]]
    scores = metrics.bleu(references, ["a b c d", "x z"], penalised=False)
    assert scores["bleu2_unpenalised"] == pytest.approx(np.sqrt(6 / 6 * 3 / 4))
    fourth = (6 / 6 * 3 / 4 * 2 / 2 * 1 / 1) ** (1 / 4)
    assert scores["bleu4_unpenalised"] == pytest.approx(fourth)


WORDS = ["a", "red", "blue", "circle", "square", "and"]


@pytest.mark.parametrize("seed", range(20))
def test_bleu_is_nltks(seed):
    """Captions of 4 to 9 words, of six different ones: n-grams repeat, and lengths are equal.

    (NLTK counts a 4-gram for a caption of three words or none.)
    """
    bleu_score = pytest.importorskip("nltk.translate.bleu_score", reason="nltk is not installed")
    random = np.random.default_rng(seed)

    def sentence(least):
        return " ".join(random.choice(WORDS, random.integers(least, 10)))

    captions = [sentence(4) for _ in range(8)]
    references = [[sentence(0) for _ in range(random.integers(1, 4))] for _ in captions]
    own = metrics.bleu(references, captions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about a count of 0
        for n in range(1, 5):
            twin = bleu_score.corpus_bleu(
                [[split(each) for each in several] for several in references],
                [split(each) for each in captions],
                [1 / n] * n,
            )
            assert own[f"bleu{n}"] == pytest.approx(twin, rel=1e-12, abs=1e-12)


OBJECTS = [
    {"phrase": "small red circle", "box": [0.0, 0.0, 0.5, 0.5]},
    {"phrase": "large blue cross", "box": [0.5, 0.5, 1.0, 1.0]},
]
TARGET = {"captions": ["a small red circle and a large blue cross"], "objects": OBJECTS}


@pytest.mark.parametrize(
    "caption, right",
    [
        ("a small red circle and a large blue cross", 6 / 6),
        ("a small red square and a large blue cross", 5 / 6),
        ("a large blue cross and a small red circle", 0 / 6),
        ("a small red circle", 3 / 6),
        ("a small red circle , a large blue cross and a small red circle", 6 / 9),
        ("", 0 / 6),
        ("and and", 0 / 6),
    ],
)
def test_attribute_accuracy(caption, right):
    assert metrics.attribute_accuracy([TARGET], [caption]) == pytest.approx(right)


def test_exact_match_is_with_any_reference():
    references = [["a b", "c d"], ["a b"], ["A b."]]
    assert metrics.exact_match(references, ["c d", "a", "a b ."]) == pytest.approx(2 / 3)


def test_pointing():
    """A map of 4x4: three words on the first object, three on the second."""
    caption = TARGET["captions"][0]
    maps = np.full((10, 16), 1 / 16)
    for word, cell in ((1, 0), (2, 5), (3, 15), (6, 10), (7, 15), (8, 3)):
        maps[word] = np.eye(16)[cell]
    accuracy, chance = metrics.pointing([TARGET], [caption], [maps], 4, 4)
    assert accuracy == pytest.approx(4 / 6) and chance == pytest.approx(1 / 4)
    even = np.full((10, 16), 1 / 16)
    accuracy, _ = metrics.pointing([TARGET], [caption], [even], 4, 4)
    assert accuracy == pytest.approx(1 / 4)  # uniform attention points nowhere
    assert [word for word, _ in metrics.object_words(TARGET, caption)] == [1, 2, 3, 6, 7, 8]


def test_words():
    assert split("A dog's ball, red.") == ["a", "dog's", "ball", ",", "red", "."]
    vocabulary = Vocabulary.from_sentences(["aba", "bac", "cd"], min_count=2, max_size=10)
    assert vocabulary.words == ("a", "b", "c") and len(vocabulary) == 7
    word_ids = vocabulary.encode(split("B d a"))
    assert word_ids == [1, 5, UNKNOWN, 4, 2] and vocabulary.decode(word_ids) == "b a"
    assert Vocabulary.from_sentences(["aba", "bc"], min_count=1, max_size=2).words == ("a", "b")


@pytest.mark.parametrize("by_length", [True, False])
def test_batches_train_on_every_caption_once(by_length):
    random = np.random.default_rng(0)
    targets = [
        {"captions": [" ".join(["w"] * random.integers(1, 5)) for _ in range(3)]} for _ in range(20)
    ]
    texts = [text for target in targets for text in target["captions"]]
    vocabulary = Vocabulary.from_sentences([text.split() for text in texts], 1, 9)
    pairs = Pairs.from_targets(targets, vocabulary)
    inputs = np.arange(20)[:, None]
    examples = []
    orders = []
    for epoch in range(2):
        epoch_batches = list(batches(pairs, inputs, 8, by_length, 0, epoch, 0))
        assert len(epoch_batches) == steps_per_epoch(pairs, 8, by_length)
        for x, y in epoch_batches:
            assert (x["words"][:, 1:] == y[:, :-1]).all()
            assert (y > 0).all() or not by_length  # captions of one length need no padding
            examples += [(int(p[0]), (w > 0).sum()) for p, w in zip(x["pictures"], y)]
        orders.append([x["pictures"].tolist() for x, _ in epoch_batches])
    expected = [(i, len(t.split()) + 1) for i, each in enumerate(targets) for t in each["captions"]]
    assert sorted(examples) == sorted(2 * expected) and orders[0] != orders[1]
    rest = [x["pictures"].tolist() for x, _ in batches(pairs, inputs, 8, by_length, 0, 1, 3)]
    assert rest == orders[1][3:]  # a resumed run has the batches of an uninterrupted one
    assert padded([[1, 2], [3]]).tolist() == [[1, 2], [3, 0]]


def test_shapes_are_where_their_boxes_say():
    """Each object's colour fills the middle of its box; outside all boxes is background."""
    random = np.random.default_rng(5)
    for held_out in (False, True):
        for _ in range(20):
            scene = scenes.scene(random, held_out)
            picture = scenes.draw(scene, random).astype(int)
            outside = np.ones(picture.shape[:2], bool)
            for shape in scene:
                left, top, right, bottom = (round(64 * each) for each in shape.box)
                outside[max(0, top - 1) : bottom + 2, max(0, left - 1) : right + 2] = False
                middle = picture[round(shape.y) - 1 : round(shape.y) + 1, round(shape.x)]
                assert np.abs(middle - scenes.COLOURS[shape.colour]).max() < scenes.SHADES + 30
            assert np.ptp(picture[outside].mean(axis=0)) < 5  # grey


def test_held_out_combinations_are_in_the_test_pictures_alone(few_scenes):
    dataset = scenes.shapes()
    phrases = {
        split: {each["phrase"] for target in part.targets for each in target["objects"]}
        for split, part in dataset.splits.items()
    }
    assert len(phrases["train"]) == 56 and phrases["test"] == {" ".join(h) for h in scenes.HELD_OUT}
    assert not phrases["train"] & phrases["test"] and phrases["validation"] <= phrases["train"]
    words = {word for phrase in phrases["train"] for word in phrase.split()}
    assert words == {*scenes.RADII, *scenes.COLOURS, *scenes.SHAPES}
    for target in dataset.splits["train"].targets[:200]:
        boxes = [each["box"] for each in target["objects"]]
        assert boxes == sorted(boxes, key=lambda box: box[0] + box[2])
        assert len(metrics.object_words(target, target["captions"][0])) == 3 * len(boxes)


def test_an_animation_has_the_colours_of_the_picture():
    """In every frame, wherever the attention lies: a white margin, the red object lit."""
    red = np.full((64, 64, 3), (200, 30, 30), "uint8")
    maps = np.eye(256)[[100, 136, 200]]
    gif = attention.animation(red, ["a", "red", "square"], maps, (16, 16))
    with Image.open(io.BytesIO(gif)) as animation:
        assert animation.n_frames == 3
        for frame in range(3):
            animation.seek(frame)
            pixels = np.asarray(animation.convert("RGB")).astype(int)
            assert pixels[1, 1].min() > 240
            brightest = pixels[40:-20, 20:-20].reshape(-1, 3)
            red, green, blue = brightest[brightest.sum(axis=1).argmax()]
            assert red > 150 and red > green + 50 and abs(green - blue) < 20

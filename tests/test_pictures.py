"""The content of figures, for scores with known results."""

import io

import numpy as np
from PIL import Image

from tinyconv import zoo
from tinyconv.data import Split
from tinyconv.report import attention, curves, figures

CLASSES = ("cat", "dog", "horse")
LABELS = np.array([0, 0, 0, 0, 1, 1, 2], "int32")
SAID = np.array([0, 1, 1, 2, 1, 1, 0])
SURE = np.array([1.0, 2.0, 5.0, 3.0, 1.0, 4.0, 9.0])  # score of the predicted label
SCORES = np.zeros((7, 3), "float32")
SCORES[np.arange(7), SAID] = SURE
SPLIT = Split(np.zeros((7, 8, 8, 3), "uint8"), LABELS, [str(i) for i in range(7)])


def opened(picture):
    return Image.open(io.BytesIO(picture.png))


def test_confused_pairs_are_counted_and_ordered():
    _, table = figures.confusion(SCORES, LABELS, CLASSES, "test")
    assert table.rows == [
        ("cat", "dog", "2", "50%"),
        ("cat", "horse", "1", "25%"),
        ("horse", "cat", "1", "100%"),
    ]


def test_no_mistake_leaves_no_pairs():
    perfect = np.eye(3, dtype="float32")[LABELS]
    _, table = figures.confusion(perfect, LABELS, CLASSES, "test")
    assert table.rows == [] and "no pair" in table.caption
    names = [p.name for p in figures.mistakes(perfect, SPLIT, CLASSES, "test")]
    assert names == ["right"]


def test_the_most_confident_mistakes_come_first(grids):
    worst, right = figures.mistakes(SCORES, SPLIT, CLASSES, "test")
    (_, wrong_titles), (_, right_titles) = grids
    assert [title.split()[0] for title in wrong_titles] == ["cat", "dog", "horse", "dog"]
    assert wrong_titles[0].endswith("is horse") and len(right_titles) == 3
    assert "4 wrong" in worst.caption and "3 right" in right.caption


def test_curves_draw_every_epoch():
    rows = [
        {"epoch": i, "loss": 1 / i, "top1": 0.5, "val_loss": 1 / i, "val_top1": 0.4}
        for i in range(1, 5)
    ]
    assert opened(curves.curves(rows)).size[0] > 600
    assert opened(curves.curves(rows)).tobytes() != opened(curves.curves(rows[:2])).tobytes()


def test_filters_and_slopes_of_networks_that_have_them():
    convnet = zoo.convnet((32, 32, 3), 10, widths=(4, 4), hidden=8)
    assert [p.name for p in figures.filters(convnet)] == ["filters"]
    assert [p.name for p in figures.slopes(convnet)] == ["slopes"]
    linear = zoo.linear((8, 8, 1), 10)
    assert [p.name for p in figures.filters(linear)] == ["filters"]
    assert not list(figures.slopes(linear))


def test_many_classes_still_fit_a_page():
    scores = np.random.default_rng(0).normal(size=(400, 200)).astype("float32")
    picture, table = figures.confusion(
        scores, np.arange(400) % 200, [str(i) for i in range(200)], "x"
    )
    assert max(opened(picture).size) < 1500
    assert len(table.rows) == figures.PAIRS


def test_hard_attention_has_a_box_round_the_cell_that_it_sampled():
    picture, soft = np.zeros((32, 32, 3), "uint8"), np.full((2, 4), 0.25, "float32")
    hard = np.eye(4, dtype="float32")[[3, 0]]  # of 2x2 cells the last, then the first

    def box(looks):
        """The rows and columns of its pixels, as fractions of the last two of three panels."""
        strip = attention.strip("strip", picture, "a cat", ["a", "cat"], soft, looks, (2, 2))
        pixels = np.asarray(opened(strip).convert("RGB"), "int32")
        side = pixels.shape[1] / 3  # of a panel; above it is its title
        ours = np.abs(pixels - (0xCC, 0x66, 0x77)).max(axis=-1) < 40
        panels = ours[-round(side) :].T.reshape(3, round(side), -1)
        assert not panels[0].any()
        return [np.argwhere(panel) / side for panel in panels[1:]]

    last, first = box(hard)
    assert np.allclose([last.min(0), last.max(0)], [(0.5, 0.5), (1, 1)], atol=0.05)
    assert np.allclose([first.min(0), first.max(0)], [(0, 0), (0.5, 0.5)], atol=0.05)
    assert not any(map(len, box(soft)))

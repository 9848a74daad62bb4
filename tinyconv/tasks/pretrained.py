"""Models that come with weights: what they declare, and how their weights are checked."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tinyconv.errors import UserError

if TYPE_CHECKING:
    import keras

SHOWN = 12  # hexadecimal digits of a SHA-256 in a message


@dataclass(frozen=True)
class Pretrained:
    """The weights that a model comes with: the attribute `pretrained` of the model's function.

    `tinyconv models` reads `accuracy`, `licence` and `size` from the source text, without an
    import, so they must be literals there, or cells of a table beside the module, MODULE.csv,
    with the columns function, summary, accuracy, licence and size:

        my_model.pretrained = Pretrained(
            accuracy="75.1% top-1 on ImageNet", licence="Apache-2.0", size=17_482_123,
            sha256="…", weights=weights_file, body=body,
        )

    Attributes:
        accuracy: the published accuracy, with the data that it was measured on.
        licence: of the weights, as an SPDX name.
        size: of the weights' file or download, in bytes.
        body: builds the network with its weights: `body(input_shape, file)` returns a Keras model
            from pixels 0 to 255 (B, H, W, C) to features (B, D). It raises UserError for pictures
            of a size that it does not take.
        weights: returns the Path of the weights' file, or raises UserError with what to install.
            None for a body that loads its weights itself, as Keras' applications do; `file` is
            None then.
        sha256: of the weights' file, 64 hexadecimal digits.
        image_size: side of the pictures that the weights were trained with, in pixels. The body is
            built for RGB pictures of that size, and others are scaled to it in the network. None
            for a body that takes any pictures as they are.
    """

    accuracy: str
    licence: str
    size: int
    body: "Callable[[tuple[int, int, int], Path | None], keras.Model]"
    weights: Callable[[], Path] | None = None
    sha256: str | None = None
    image_size: int | None = None

    def file(self, name: str) -> Path | None:
        """The weights' file of the model `name`, checked by its size and its SHA-256.

        None where the body loads its weights itself. Raises UserError for a file that is missing,
        truncated, or of another version.
        """
        if self.weights is None:
            return None
        path = Path(self.weights())
        if not path.is_file():
            raise UserError(f"The weights of {name} are missing: there is no file {path}.")
        size = path.stat().st_size
        if size < self.size:
            raise UserError(
                f"The weights of {name} in {path} are truncated: the file has {size:,} bytes of "
                f"{self.size:,}; download or install it again."
            )
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != self.sha256:
            raise UserError(
                f"The weights in {path} are not those that {name} was published with: their "
                f"SHA-256 is {digest[:SHOWN]}…, and should be {str(self.sha256)[:SHOWN]}…; install "
                "the version of the package that the model was made for."
            )
        return path


def flaw(model) -> str | None:
    """What is wrong with the attribute `pretrained` of a model's function, in a clause.

    None for a sound one, and for a model without weights.
    """
    declared = getattr(model, "pretrained", None)
    if declared is None:
        return None
    if not isinstance(declared, Pretrained):
        return f"its attribute pretrained is of type {type(declared).__name__}, not Pretrained"
    if (declared.weights is None) != (declared.sha256 is None):
        return "its attribute pretrained has one of weights and sha256, which go together"
    return None


def build(name: str, model, input_shape: tuple[int, int, int]) -> "keras.Model":
    """What the function `body` of the model `name` returns for pictures (H, W, C).

    With an `image_size`, the pictures are scaled to it, and grey ones get three equal channels.

    Raises UserError for weights that are not those published.
    """
    declared, shape = model.pretrained, tuple(input_shape)
    file, side = declared.file(name), declared.image_size
    if side is None or shape == (side, side, 3):
        return declared.body(shape, file)
    return _scaled(declared.body((side, side, 3), file), shape)


def _scaled(body, shape: tuple[int, int, int]) -> "keras.Model":
    """A copy of `body` behind layers that make its pictures of those of `shape`."""
    import keras

    pictures = x = keras.Input(shape, name="pictures")
    height, width, channels = body.input_shape[1:]
    if shape[2] == 1 < channels:
        x = keras.layers.Concatenate(name="channels")([x] * channels)
    if shape[:2] != (height, width):
        # The layer Resizing would run the layers after it in training mode (Keras 3.15).
        x = keras.ops.image.resize(x, (height, width))

    def call(layer, *inputs, **keywords):
        return layer(*(x if each is pictures else each for each in inputs), **keywords)

    scaled = keras.models.clone_model(body, input_tensors=pictures, call_function=call)
    scaled.set_weights(body.get_weights())
    return scaled


def body_flaw(body, input_shape: tuple[int, int, int]) -> str | None:
    """Why `body` is not a network from pictures (H, W, C) to features (D,), as a clause or None."""
    import keras

    if not isinstance(body, keras.Model):
        return f"gives a {type(body).__name__} as its body, but should give a Keras model"
    takes, gives = body.input_shape, body.output_shape
    if takes != (None, *input_shape) or not isinstance(gives, tuple) or len(gives) != 2:
        return (
            f"has a body from {takes} to {gives}, which should be from pictures "
            f"{(None, *input_shape)} to features (None, D)"
        )
    return None

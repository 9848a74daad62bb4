"""The arguments that the networks of the zoo share, described once for all their docstrings.

The first line of a docstring stays in the source, where listings read it without an import.
"""

import inspect
import textwrap

ARGUMENTS = {
    "input_shape": "(H, W, C) of the pictures, H and W in pixels.",
    "classes": "number of classes.",
    "activation": 'the rectifier: "prelu" (one slope per channel), "prelu-shared" (one per layer) '
    'or "relu".',
    "stem": "number of filters in the first convolution.",
    "width": "number of filters in the stem or the first stage; later stages have multiples of it.",
    "widths": "number of filters in each stage, a tuple.",
    "hidden": "number of units in each hidden fully-connected layer.",
}
RETURNS = (
    "An untrained `keras.Model`: pixel values from 0 to 255, (B, H, W, C), to float32 scores "
    "(logits), (B, classes)."
)
RAISES = "UserError: if there is no such activation."


def document_arguments(network):
    """Append to a network's docstring what its signature takes, and what it returns and raises."""
    if network.__doc__ is not None:  # None under python -OO
        names = inspect.signature(network).parameters
        args = "\n".join(_filled(f"{name}: {ARGUMENTS[name]}", indent=8) for name in names)
        sections = [
            inspect.cleandoc(network.__doc__),
            f"Args:\n{args}",
            f"Returns:\n{_filled(RETURNS, indent=4)}",
            f"Raises:\n{_filled(RAISES, indent=8)}",
        ]
        network.__doc__ = "\n\n".join(sections)
    return network


def _filled(text: str, indent: int) -> str:
    """`text` in lines, the first one indented by 4 and the others by `indent`."""
    return textwrap.fill(text, 96, initial_indent=" " * 4, subsequent_indent=" " * indent)

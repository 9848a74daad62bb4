"""Reads the tensors of a PyTorch state dict (the file format before PyTorch 1.6), without PyTorch.

The file is a sequence of four pickles (magic number, protocol version, facts on the machine, the
state dict) and a fifth with the keys of its storages, followed by each storage's length and raw
values. The pickles are never executed: their opcodes are interpreted here, and only those that a
state dict consists of are known. A tensor is a strided view of a storage; TensorFlow's axes order
remains visible in the strides.
"""

import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
DTYPES = {
    "torch FloatStorage": "<f4",
    "torch LongStorage": "<i8",
}
MARK = object()
CONSTANTS = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "MARK": lambda: MARK,
}
ARGUMENTS = {"GLOBAL", "BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1"}


class Refusal(ValueError):
    """What a pickle contains is not part of a state dict."""


@dataclass(frozen=True)
class View:
    """A tensor: a view of the storage `key`; offset and strides count values."""

    key: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict by name.

    Args:
        path: a `.pth` file in the format before PyTorch 1.6.

    Returns:
        Contiguous arrays of the tensors' shapes, float32 or int64.

    Raises:
        ValueError: if the file is truncated, or contains anything but tensors.
    """
    with path.open("rb") as file:
        if _next_value(file) != MAGIC_NUMBER:
            raise ValueError("it is not a PyTorch file of the format before version 1.6")
        _next_value(file), _next_value(file)  # protocol version, facts on the machine
        views, keys = _next_value(file), _next_value(file)
        if not all(isinstance(view, View) for view in views.values()):
            raise ValueError("it contains more than tensors")
        dtypes = {view.key: view.dtype for view in views.values()}
        storages = {key: _storage(file, dtypes[key]) for key in keys}
    return {name: _array(view, storages[view.key]) for name, view in views.items()}


def _next_value(file: BinaryIO):
    """The value of the next pickle; ValueError at the file's end, or where it is no pickle."""
    start = file.tell()
    is_at_end = not file.read(1)
    file.seek(start)
    try:
        return _interpret(file)
    except (ValueError, IndexError, KeyError) as error:
        if isinstance(error, Refusal):
            raise
        if start == 0 and not is_at_end:
            raise ValueError("it is not a PyTorch file of the format before version 1.6") from error
        raise ValueError("it is truncated") from error


def _storage(file: BinaryIO, dtype: str) -> np.ndarray:
    length = int.from_bytes(file.read(8), "little")
    data = file.read(length * np.dtype(dtype).itemsize)
    if len(data) < length * np.dtype(dtype).itemsize:
        raise ValueError("it is truncated")
    return np.frombuffer(data, dtype)


def _array(view: View, storage: np.ndarray) -> np.ndarray:
    last = view.offset + sum(
        (n - 1) * stride for n, stride in zip(view.shape, view.strides, strict=True)
    )
    if last >= len(storage):
        raise ValueError("a tensor reaches beyond its storage")
    strides = [stride * storage.itemsize for stride in view.strides]
    array = np.lib.stride_tricks.as_strided(storage[view.offset :], view.shape, strides)
    return np.ascontiguousarray(array)


def _interpret(file: BinaryIO):
    """The value of the next pickle in the file, with a View for each tensor."""
    stack, memo = [], {}
    for opcode, argument, _ in pickletools.genops(file):
        name = opcode.name
        if name in CONSTANTS:
            stack.append(CONSTANTS[name]())
        elif name in ARGUMENTS:
            stack.append(argument)
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "TUPLE":
            stack.append(tuple(_above_mark(stack)))
        elif name in ("TUPLE1", "TUPLE2"):
            length = int(name[-1])
            stack[-length:] = [tuple(stack[-length:])]
        elif name == "APPENDS":
            values = _above_mark(stack)
            stack[-1].extend(values)
        elif name in ("SETITEM", "SETITEMS"):
            pairs = _above_mark(stack) if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            stack[-1].update(zip(pairs[::2], pairs[1::2], strict=True))
        elif name == "REDUCE":
            arguments = stack.pop()
            stack[-1] = _call(stack[-1], arguments)
        elif name == "BUILD":
            stack.pop()  # the versions of PyTorch's modules, which no tensor depends on
        elif name not in ("PROTO", "STOP", "BINPERSID"):  # the last leaves its tuple in place
            raise Refusal(f"it contains more than tensors ({name})")
    return stack.pop()


def _above_mark(stack: list) -> list:
    """Take the values above the last mark off the stack, in order."""
    values = []
    while (value := stack.pop()) is not MARK:
        values.append(value)
    return values[::-1]


def _call(function: str, arguments: tuple):
    """The result of the two calls in a state dict: an OrderedDict, and a tensor's construction."""
    if function == "collections OrderedDict" and not arguments:
        return {}
    if function == "torch._utils _rebuild_tensor_v2":
        (_, kind, key, *_), offset, shape, strides, *_ = arguments
        if kind in DTYPES:
            return View(key, DTYPES[kind], offset, shape, strides)
    raise Refusal(f"it contains more than tensors ({function})")

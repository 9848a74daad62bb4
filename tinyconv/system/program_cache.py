"""Compiled programs that outlive their process: XLA's and JAX' own caches, in tinyconv's folder.

Both are keyed by the program. Machine code fits one kind of processor, so that each kind has a
folder. XLA aborts at a file that it cannot read or write, so that its folder is checked first.
"""

import contextlib
import hashlib
import importlib.metadata
import os
import shlex
import shutil
from functools import cache

from tinyconv.system.files import cache_root
from tinyconv.system.hardware import cpu_flags, cpu_name

ROOM = 1 << 30  # bytes that must be free on the disk
LARGEST = 1 << 28  # bytes of programs, above which the oldest are removed
FLAG = "--tf_xla_persistent_cache_directory"


def use() -> None:
    """Make TensorFlow and JAX save what they compile; call it before they are imported."""
    with contextlib.suppress(OSError, importlib.metadata.PackageNotFoundError):
        for backend in ("tensorflow", "jax"):
            facts = [cpu_name(), *sorted(cpu_flags()), importlib.metadata.version(backend)]
            key = hashlib.sha256(" ".join(facts).encode()).hexdigest()[:16]
            folder = cache_root() / "programs" / f"{backend}-{key}"
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK) or shutil.disk_usage(folder).free < ROOM:
                return
            if backend == "jax":
                os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder))
                os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")
            elif FLAG not in os.environ.get("TF_XLA_FLAGS", ""):
                flags = os.environ.get("TF_XLA_FLAGS", "")
                os.environ["TF_XLA_FLAGS"] = f"{flags} {FLAG}={shlex.quote(str(folder))}".strip()


@cache
def check(largest: float = LARGEST) -> None:
    """Remove XLA's incomplete programs, and the oldest beyond `largest` bytes; once a process."""
    with contextlib.suppress(OSError):
        files, total = cache_root().glob("programs/*/*"), 0
        for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
            total += file.stat().st_size
            is_torn = file.suffix == ".pb" and not is_complete(file.read_bytes())
            if total > largest or is_torn:
                file.unlink()


def is_complete(message: bytes) -> bool:
    """Whether the bytes are a protocol buffer whose fields end where the bytes do.

    Each field of XLA's entries is a tag, a length and that many bytes (wire type 2).
    """
    place = 0
    with contextlib.suppress(IndexError):
        while place < len(message):
            tag, place = _varint(message, place)
            length, place = _varint(message, place)
            if tag & 7 != 2:
                return False
            place += length
        return place == len(message) > 0
    return False


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """(the number of 7 bits per byte that begins at `place`, the place after it)."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place

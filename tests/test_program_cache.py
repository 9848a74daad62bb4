"""Compiled programs on disk: where they are stored, and how damaged ones are recognised."""

import os
import shutil
from types import SimpleNamespace

import pytest

from tinyconv.system import program_cache

NAMES = ("TF_XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """No flags, and none left behind."""
    for name in NAMES:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def message(*fields: bytes) -> bytes:
    """A protocol buffer with the fields 1, 2 and so on, each shorter than 2^14 bytes."""
    parts = []
    for number, field in enumerate(fields, start=1):
        length = bytes([len(field) & 127 | 128, len(field) >> 7])
        parts.append(bytes([number << 3 | 2]) + length + field)
    return b"".join(parts)


def test_programs_are_kept_by_backend_and_processor(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_auto_jit=0")
    program_cache.use()
    flags = os.environ["TF_XLA_FLAGS"].split()
    first = tmp_path / "cache/programs"
    assert flags[0] == "--tf_xla_auto_jit=0" and f"{first}/tensorflow-" in flags[1]
    assert len(list(first.glob("tensorflow-*"))) == 1
    assert os.environ["JAX_COMPILATION_CACHE_DIR"].startswith(f"{first}/jax-")
    program_cache.use()
    assert os.environ["TF_XLA_FLAGS"].split() == flags  # once
    monkeypatch.setattr(program_cache, "cpu_name", lambda: "another processor")
    monkeypatch.delenv("TF_XLA_FLAGS")
    program_cache.use()
    assert len(list(first.glob("tensorflow-*"))) == 2


@pytest.mark.parametrize("why", ["no folder can be made", "the disk is full"])
def test_xla_gets_no_folder_that_it_would_stop_at(tmp_path, monkeypatch, why):
    if why == "the disk is full":
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 20))
    else:
        (tmp_path / "cache").write_text("a file")
    program_cache.use()
    assert not set(NAMES) & set(os.environ)


def test_torn_programs_and_the_oldest_are_removed(tmp_path):
    folder = tmp_path / "cache/programs/tensorflow-x"
    folder.mkdir(parents=True)
    whole = message(b"key", b"x" * 1000, b"code" * 1000)
    for age, name in enumerate(("new", "torn", "empty", "old")):
        content = {"torn": whole[:-1], "empty": b""}.get(name, whole)
        (folder / f"{name}.pb").write_bytes(content)
        os.utime(folder / f"{name}.pb", (10_000 - age, 10_000 - age))
    program_cache.check.__wrapped__()
    assert sorted(file.stem for file in folder.iterdir()) == ["new", "old"]
    program_cache.check.__wrapped__(largest=1.5 * len(whole))
    assert [file.stem for file in folder.iterdir()] == ["new"]


@pytest.mark.tensorflow
def test_what_xla_writes_is_whole_and_no_beginning_of_it_is(tmp_path):
    """By XLA itself, in a process of its own."""
    import subprocess
    import sys

    program = (
        "import tensorflow as tf\n"
        "print(tf.function(lambda x: tf.sin(x) + x, jit_compile=True)(tf.ones(3)).numpy()[0])\n"
    )
    flags = {"TF_XLA_FLAGS": f"{program_cache.FLAG}={tmp_path / 'xla'}"}
    for _ in range(2):  # compiled, and read
        subprocess.run(
            [sys.executable, "-c", program], env=os.environ | flags, check=True, capture_output=True
        )
        (file,) = (tmp_path / "xla").iterdir()
    content = file.read_bytes()
    assert program_cache.is_complete(content)
    assert not any(program_cache.is_complete(content[:end]) for end in (0, 1, 9, len(content) - 1))

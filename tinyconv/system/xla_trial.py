"""Whether TensorFlow's XLA works on the GPU, tried once in a process of its own.

Where a version of TensorFlow does not know a card, compiling ends the process without an exception
(TensorFlow 2.21 on RTX 50 cards), so nothing in the training could catch it.
"""

import functools
import subprocess
import sys

from tinyconv.system import console, gpu, measured_once, provenance

PROGRAM = """
import tensorflow as tf

@tf.function(jit_compile=True)
def gradient(kernel):
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        maps = tf.nn.relu(tf.nn.conv2d(tf.ones((2, 8, 8, 4)), kernel, 1, "SAME"))
        loss = tf.reduce_mean(tf.matmul(maps, tf.ones((8, 3))))
    return tape.gradient(loss, kernel)

gradient(tf.ones((3, 3, 4, 8))).numpy()
"""
MOST_SECONDS = 300  # for a card whose kernels are compiled at their first use


@functools.cache
def works() -> bool:
    """Whether a compiled step ends well on this GPU with these versions.

    The answer is kept in the cache by card, driver and versions; a line reports a failure.
    """
    facts = [*map(str, gpu.devices()[:1]), provenance.versions()]
    file = measured_once.cache_file("xla", facts)
    failure = (measured_once.load(file) or {}).get("failure")
    if not isinstance(failure, str):
        failure = _try()
        measured_once.store(file, {"failure": failure})
    if failure:
        console.print_line(
            f"XLA        fails on this GPU ({failure}), so steps are not compiled; on JAX there is "
            "another version of it: KERAS_BACKEND=jax"
        )
    return not failure


def _try() -> str:
    """How PROGRAM fails in a process of its own; "" if it does not."""
    console.print_line("XLA        is tried on this GPU, once")
    command = [sys.executable, "-c", PROGRAM]
    try:
        end = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS)
    except subprocess.TimeoutExpired:
        return f"no end after {MOST_SECONDS} s"
    if not end.returncode:
        return ""
    if end.returncode < 0:
        return f"the process ends with signal {-end.returncode}"
    *_, last = end.stderr.strip().splitlines() or ["it ends in an error"]
    return last[:200]

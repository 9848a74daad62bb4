"""Runs a lesson in a process of its own: python lesson.py NUMBER POLICY SHIFT FOLDER.

POLICY is the dtype policy of every network in it, and SHIFT is added to every seed. Only with
float32 and the lesson's own seeds are the printed figures compared.
"""

import sys
from pathlib import Path

import numpy as np

from tinyconv import course, precision
from tinyconv.cli import cli
from tinyconv.system.start_keras import start


def shifted(function, shift: int):
    """`function` of a seed, if it is a number, as a function of the shifted seed."""

    def of_seed(seed=None):
        return function(seed + shift if isinstance(seed, int) else seed)

    return of_seed


def main(number: int, policy: str, shift: int, folder: Path) -> None:
    start()
    import keras

    keras.config.set_dtype_policy(policy)
    precision.choose = lambda *request, **circumstances: (policy, "for every run")
    if shift:
        np.random.default_rng = shifted(np.random.default_rng, shift)
        keras.utils.set_random_seed = shifted(keras.utils.set_random_seed, shift)
    exact = policy == "float32" and not shift
    course.run(course.find(number).path, folder, cli, end=print, exact=exact)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))

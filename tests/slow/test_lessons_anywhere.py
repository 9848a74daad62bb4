"""A lesson's assertions hold on any processor: another summation order, precision or seed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinyconv import course

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]

SETTINGS = {  # oneDNN or not, dtype policy, shift of the random seeds
    "oneDNN": (1, "float32", 0),
    "Eigen": (0, "float32", 0),
    "oneDNN, bfloat16": (1, "mixed_bfloat16", 0),
    "Eigen, bfloat16": (0, "mixed_bfloat16", 0),
    "other seeds": (1, "float32", 10),
    "more seeds": (1, "float32", 20),
}


@pytest.mark.parametrize("number", [lesson.number for lesson in course.lessons()])
@pytest.mark.parametrize("setting", SETTINGS)
def test_a_lesson_holds(number, setting, tmp_path):
    onednn, policy, shift = SETTINGS[setting]
    done = subprocess.run(
        [sys.executable, Path(__file__).parents[1] / "programs/lesson.py"]
        + [str(number), policy, str(shift), tmp_path],
        env=os.environ | {"TF_ENABLE_ONEDNN_OPTS": str(onednn)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"

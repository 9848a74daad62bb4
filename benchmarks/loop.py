"""What the loop costs around the training steps, and how long a command takes to its first one.

    python benchmarks/loop.py --root tiny-imagenet-200-subset.zip

One epoch of resnet18 on 64x64 pictures; the first step, which is traced and compiled, is told
apart. Start-up counts from the start of the process.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

STARTED = time.time() - float(Path("/proc/uptime").read_text().split()[0])  # of the machine
BEGAN = STARTED + int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19]) / (
    os.sysconf("SC_CLK_TCK")
)

from tinyconv.system.start_keras import start  # noqa: E402  after the clock

start()
import tinyconv  # noqa: E402
from tinyconv.training import Training  # noqa: E402

steps, epochs = [], []


def timed(method, into):
    def run(self, *given):
        begun = time.time()
        answer = method(self, *given)
        into.append((begun, time.time()))
        return answer

    return run


Training.step = timed(Training.step, steps)
Training.epoch = timed(Training.epoch, epochs)
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--root", required=True, type=Path)
given = parser.parse_args()
root = given.root.resolve()
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    tinyconv.fit(data="tiny-imagenet", root=root, model="resnet18", epochs=1)
first, *rest = steps
inside = sum(end - begun for begun, end in rest)
outside = epochs[0][1] - first[1] - inside
print(f"from the start of the process to the end of the first step: {first[1] - BEGAN:.1f} s")
print(f"the first step, with tracing and compiling: {first[1] - first[0]:.1f} s")
print(f"an epoch of {len(rest)} more steps: {inside:.1f} s inside of them,", end=" ")
print(f"{outside:.2f} s ({outside / (inside + outside):.2%}) outside")

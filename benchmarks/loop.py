"""The time of the loop outside the training steps, and from a command's start to its first step.

    python benchmarks/loop.py --root tiny-imagenet-200-subset.zip

One epoch of resnet18 on 64x64 pictures; the first step, which is traced and compiled, is reported
separately. Start-up counts from the start of the process.
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


def timed(method, times):
    def run(self, *args):
        begin = time.time()
        result = method(self, *args)
        times.append((begin, time.time()))
        return result

    return run


Training.take = timed(Training.take, steps)
Training.epoch = timed(Training.epoch, epochs)
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--root", required=True, type=Path)
root = parser.parse_args().root.resolve()
with tempfile.TemporaryDirectory() as folder:
    os.chdir(folder)
    tinyconv.fit(data="tiny-imagenet", root=root, model="resnet18", epochs=1)
first, *rest = steps
inside = sum(end - begin for begin, end in rest)
outside = epochs[0][1] - first[1] - inside
print(f"from the start of the process to the end of the first step: {first[1] - BEGAN:.1f} s")
print(f"the first step, with tracing and compiling: {first[1] - first[0]:.1f} s")
print(f"an epoch of {len(rest)} more steps: {inside:.1f} s inside them,", end=" ")
print(f"{outside:.2f} s ({outside / (inside + outside):.2%}) outside")

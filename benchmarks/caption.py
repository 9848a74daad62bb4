"""The gain from attention on drawn scenes: soft, none and hard, three seeds, as shipped.

    tox -e benchmarks -- benchmarks/caption.py

Other settings: `--kinds soft --penalty 1`, `--beams 1 3 5`. CPU time is printed beside wall time,
which means little on a busy machine.
"""

import argparse
import os
import tempfile
import time

import numpy as np

import tinyconv

parser = argparse.ArgumentParser()
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--kinds", nargs="+", default=["soft", "none", "hard"])
parser.add_argument("--beams", type=int, nargs="+", default=[3])
parser.add_argument("--penalty", type=float)
parser.add_argument("--epochs", type=int)
arguments = parser.parse_args()

SHOWN = ("bleu4", "exact_match", "attribute_accuracy", "pointing_accuracy", "pointing_chance")
settings = {name: getattr(arguments, name) for name in ("penalty", "epochs")}
settings = {name: value for name, value in settings.items() if value is not None}

with tempfile.TemporaryDirectory() as folder:
    os.environ["TINYCONV_RUNS"] = folder
    for kind in arguments.kinds:
        table = []
        for seed in range(arguments.seeds):
            start = time.process_time()
            run = tinyconv.fit("caption", attention=kind, seed=seed, **settings)
            cpu = time.process_time() - start
            seconds = run.settings["result"]["seconds"]
            for beam in arguments.beams:
                metrics = run.evaluate(beam=beam)
                row = [metrics[name] for name in SHOWN]
                table.append((beam, row))
                numbers = "  ".join(f"{name} {value:.3f}" for name, value in zip(SHOWN, row))
                times = f"{seconds:.0f} s ({cpu:.0f} s of CPU)"
                print(f"{kind}  beam {beam}  seed {seed}  {times}  {numbers}", flush=True)
        for beam in arguments.beams:
            mean = np.mean([row for width, row in table if width == beam], axis=0)
            numbers = "  ".join(f"{name} {value:.3f}" for name, value in zip(SHOWN, mean))
            print(f"{kind}  beam {beam}  mean    {numbers}", flush=True)

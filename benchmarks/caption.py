"""What attention is worth on drawn scenes: soft, none and hard, three seeds, as shipped.

    tox -e benchmarks -- benchmarks/caption.py

With other settings likewise: `--kinds soft --penalty 1`, `--beams 1 3 5`. Wall time is told with
CPU time beside it: on a machine that is busy with other things the first means little.
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
given = {name: getattr(arguments, name) for name in ("penalty", "epochs")}
given = {name: value for name, value in given.items() if value is not None}

with tempfile.TemporaryDirectory() as folder:
    os.environ["TINYCONV_RUNS"] = folder
    for kind in arguments.kinds:
        table = []
        for seed in range(arguments.seeds):
            begun = time.process_time()
            run = tinyconv.fit("caption", attention=kind, seed=seed, **given)
            spent = time.process_time() - begun
            seconds = run.settings["result"]["seconds"]
            for beam in arguments.beams:
                metrics = run.evaluate(beam=beam)
                row = [metrics[name] for name in SHOWN]
                table.append((beam, row))
                told = "  ".join(f"{name} {value:.3f}" for name, value in zip(SHOWN, row))
                took = f"{seconds:.0f} s ({spent:.0f} s of CPU)"
                print(f"{kind}  beam {beam}  seed {seed}  {took}  {told}", flush=True)
        for beam in arguments.beams:
            mean = np.mean([row for of, row in table if of == beam], axis=0)
            told = "  ".join(f"{name} {value:.3f}" for name, value in zip(SHOWN, mean))
            print(f"{kind}  beam {beam}  mean    {told}", flush=True)

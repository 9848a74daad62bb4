"""What attention is worth on drawn scenes: soft, none and hard, three seeds, as shipped.

    tox -e benchmarks -- benchmarks/caption.py

With other settings likewise: `--kinds soft --penalty 1`, `--beams 1 3 5`.
"""

import argparse
import os
import tempfile

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
            run = tinyconv.fit("caption", attention=kind, seed=seed, **given)
            seconds = run.settings["result"]["seconds"]
            for beam in arguments.beams:
                metrics = run.evaluate(beam=beam)
                row = [metrics[name] for name in SHOWN]
                table.append((beam, row))
                told = "  ".join(f"{name} {value:.3f}" for name, value in zip(SHOWN, row))
                print(f"{kind}  beam {beam}  seed {seed}  {seconds:.0f} s  {told}", flush=True)
        for beam in arguments.beams:
            mean = np.mean([row for of, row in table if of == beam], axis=0)
            told = "  ".join(f"{name} {value:.3f}" for name, value in zip(SHOWN, mean))
            print(f"{kind}  beam {beam}  mean    {told}", flush=True)

"""The gain of each trick of the fast recipe: the same minutes of CIFAR-10 without it.

    python benchmarks/tricks.py --root cifar-10-batches-bin --minutes 2 --seeds 2

A trick that is a setting is turned off by it; one that is part of the network or of the data's
order is removed by a line of Python that runs before the command.
"""

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from timed_fit import fit

# name: (options of fit, Python to run before)
VARIANTS = {
    "the fast recipe": ([], ""),
    "without growing pictures": (["--sizes", "fixed"], ""),
    "without mirrored answers": (["--test-augment", "none"], ""),
    "without label smoothing": (["--label-smoothing", 0.0], ""),
    "with label smoothing 0.2": (["--label-smoothing", 0.2], ""),
    "cosine for one-cycle": (["--schedule", "cosine"], ""),
    "adamw for sgd": (
        ["--optimizer", "adamw", "--learning-rate", 2e-3, "--weight-decay", 0.05],
        "",
    ),
    "a trained first layer for whitening": (
        [],
        "sprint.Whitening = lambda strides, name: sprint.layers.conv("
        "64, 4, 'prelu', strides=strides, name=name)",
    ),
    "noise for the identity": ([], "sprint.PartialIdentity = lambda activation: None"),
    "random flips for turns": (
        [],
        "augment.POLICIES['basic'] = ("
        "lambda x, random, turns: augment.flip(x, random, random.integers(0, 2, len(x))), "
        "augment.crop)",
    ),
    "ReLU for PReLU": (["--activation", "relu"], ""),
    "with Lookahead": (
        [],
        "import keras; SGD = keras.optimizers.SGD; keras.optimizers.SGD = "
        "lambda *args, **options: SGD(*args, **options, use_ema=True, ema_momentum=0.6, "
        "ema_overwrite_frequency=5)",
    ),
}

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--root", required=True, type=Path)
parser.add_argument("--minutes", type=float, default=2)
parser.add_argument("--seeds", type=int, default=1)
parser.add_argument("--only", nargs="*", default=list(VARIANTS), choices=VARIANTS)
arguments = parser.parse_args()

print("| | top-1 by seed | mean | seconds of CPU |\n| --- | --- | --- | --- |")
for name in arguments.only:
    options, change = VARIANTS[name]
    with tempfile.TemporaryDirectory() as folder:
        # Python runs a module of this name when it starts.
        imports = "import os, sys\nif 'tinyconv' in sys.orig_argv:\n"
        body = (
            "    from tinyconv.system.start_keras import start; start()\n"
            "    import importlib; from tinyconv.data import augment\n"
            "    sprint = importlib.import_module('tinyconv.zoo.sprint')\n"
            f"    {change}\n"
        )
        Path(folder, "sitecustomize.py").write_text(imports + body if change else "")
        os.environ["PYTHONPATH"] = folder
        results = [
            fit("cifar10", arguments.root, arguments.minutes, ["--seed", seed, *options])[0]
            for seed in range(arguments.seeds)
        ]
    accuracies = [result["metrics"]["top1"] for result in results]
    by_seed = ", ".join(f"{top1:.4f}" for top1 in accuracies)
    cpu = statistics.mean(result["cpu"] for result in results)
    print(f"| {name} | {by_seed} | {statistics.mean(accuracies):.4f} | {cpu:.0f} |", flush=True)

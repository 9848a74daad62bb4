"""Milliseconds of an optimizer's step: Keras' operations, one operation a variable, one program.

    python benchmarks/optimizers.py [--model resnet18] [--rounds 25]

All variables of a network, with random gradients; CPU time, in turns, medians. The first step
includes making the graph, and the program.
"""

import argparse
import statistics
import time

import keras
import tensorflow as tf

from tinyconv import layers, zoo
from tinyconv.training import optimizers

FORMS = ("Keras", "operations", "program")
KINDS = {"AdamW": {}, "SGD": {"momentum": 0.9, "nesterov": True}}


def seconds(step, gradients) -> float:
    """CPU seconds of a step."""
    start = time.process_time()
    step(gradients)
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--rounds", type=int, default=25)
    options = parser.parse_args()
    variables = getattr(zoo, options.model)((64, 64, 3), 200).trainable_variables
    gradients = [tf.random.normal(variable.shape) * 0.01 for variable in variables]
    print("| optimizer, variables | Keras | one operation each | one program | first steps, s |")
    print("| --- | --- | --- | --- | --- |")
    for kind, settings in KINDS.items():
        steps, first = [], []
        for form in FORMS:
            made_by = keras.optimizers if form == "Keras" else optimizers
            optimizer = getattr(made_by, kind)(1e-3, weight_decay=1e-2, **settings)
            optimizer.exclude_from_weight_decay(var_names=list(layers.UNDECAYED))
            optimizer.build(variables)
            steps.append(tf.function(optimizer.apply, autograph=False))
            with layers.compiled(form == "program"):
                first.append(seconds(steps[-1], gradients))
        rounds = [[seconds(step, gradients) for step in steps] for _ in range(options.rounds)]
        medians = [f"{statistics.median(each) * 1000:.1f}" for each in zip(*rounds)]
        starts = ", ".join(f"{each:.1f}" for each in first)
        print(f"| {kind}, {len(variables)} | {' | '.join(medians)} | {starts} |", flush=True)


if __name__ == "__main__":
    main()

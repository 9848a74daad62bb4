"""Seconds from shell to prompt of fit, evaluate and predict, compared with plain Keras scripts.

    python benchmarks/whole_commands.py [--rounds 5]

The scripts train, load and predict the same networks on the same data, by `Model.fit` and
`Model.predict`, and write no report. Every command runs in a process of its own, ours and Keras' in
turn; ratios are medians of pairs.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

COMMAND = Path(sys.executable).with_name("tinyconv")
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "1"}

FIT = """
    import keras, numpy as np
    from sklearn.datasets import load_digits
    from tinyconv import zoo
    pictures, labels = load_digits(return_X_y=True)
    pictures = (pictures.reshape(-1, 8, 8, 1) * 255 / 16).astype("uint8")
    train, validation, test = slice({train}), slice(1259, 1438), slice(1438, None)
    if {size} != 8:
        pictures = pictures.repeat({size} // 8, 1).repeat({size} // 8, 2)
    network = zoo.{model}(({size}, {size}, 1), 10)

    def stock(layer):
        from tinyconv import layers
        if isinstance(layer, layers.PReLU):
            axes = [1, 2][: len(layer.output.shape) - 2]
            return keras.layers.PReLU("zeros", shared_axes=axes, name=layer.name)
        for kind in (keras.layers.BatchNormalization, keras.layers.Conv2D, keras.layers.Add):
            if isinstance(layer, kind):
                return kind.from_config(layer.get_config())
        return layer.__class__.from_config(layer.get_config())

    network = keras.models.clone_model(network, clone_function=stock)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile(keras.optimizers.AdamW(2e-3), loss, metrics=["accuracy"], jit_compile=False)
    network.fit(
        pictures[train], labels[train], 64, {epochs}, 0,
        validation_data=(pictures[validation], labels[validation]),
    )
    print(network.evaluate(pictures[test], labels[test], 256, 0))
    network.save("{folder}/keras.keras")
"""
LOAD = """
    import keras, numpy as np
    from sklearn.datasets import load_digits
    network = keras.saving.load_model("{folder}/keras.keras")
    pictures, labels = load_digits(return_X_y=True)
    pictures = (pictures.reshape(-1, 8, 8, 1) * 255 / 16).astype("uint8")
"""
EVALUATE = LOAD + "    print(network.evaluate(pictures[1438:], labels[1438:], 256, 0))\n"
PREDICT = LOAD + "    print(network.predict(pictures[:1], verbose=0).argmax())\n"


def seconds(command: list[str]) -> float:
    """Seconds of wall time that the command takes."""
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=os.environ | QUIET)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print("| command | ours, s | plain Keras, s | ratio |")
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        picture = f"{folder}/seven.png"
        draw = "from PIL import Image; Image.new('L', (8, 8)).save('seven.png')"
        subprocess.run([sys.executable, "-c", draw], check=True)
        short = ["--model", "resnet18", "--image-size", "64", "--limit", "128", "--epochs", "1"]
        default = {"model": "convnet", "size": 8, "train": 1259, "epochs": 20}
        large = {"model": "resnet18", "size": 64, "train": 128, "epochs": 1}
        cases = {
            "fit": (["fit", "--name", "run"], FIT.format(folder=folder, **default)),
            "evaluate": (["evaluate", "runs/run"], EVALUATE.format(folder=folder)),
            "predict": (["predict", "runs/run", picture], PREDICT.format(folder=folder)),
            " ".join(["fit", *short]): (["fit", *short], FIT.format(folder=folder, **large)),
        }
        for name, (arguments, script) in cases.items():
            pairs = []
            for _ in range(rounds):
                ours = seconds([str(COMMAND), *arguments])
                pairs.append((ours, seconds([sys.executable, "-c", textwrap.dedent(script)])))
            ours, theirs = (statistics.median(each) for each in zip(*pairs))
            ratio = statistics.median(one / other for one, other in pairs)
            print(f"| `{name}` | {ours:.1f} | {theirs:.1f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()

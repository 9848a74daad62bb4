"""Networks that read sentences, by model and seed, with CPU seconds of the training.

    python benchmarks/sentences.py                                # opinions, every model, 3 seeds
    python benchmarks/sentences.py --models tree-lstm --data treebank --root sst-trees.tar.gz
    python benchmarks/sentences.py --models cnn --data movie-reviews --root movie-reviews.tar.gz
    python benchmarks/sentences.py --nodes                        # nodes a CPU second in training

For CPU seconds of one thread set TF_NUM_INTRAOP_THREADS=1 TF_NUM_INTEROP_THREADS=1
OMP_NUM_THREADS=1.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--models", nargs="+")
parser.add_argument("--data", default="opinions")
parser.add_argument("--root", type=Path)
parser.add_argument("--epochs", type=int)
parser.add_argument("--minutes", type=float)
parser.add_argument("--units", type=int)
parser.add_argument("--batch-size", type=int)
parser.add_argument("--learning-rate", type=float)
parser.add_argument("--weight-decay", type=float)
parser.add_argument("--dropout", type=float)
parser.add_argument("--least", type=int)
parser.add_argument("--supervision")
parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
parser.add_argument("--nodes", action="store_true", help="measure the speed of trees instead")
arguments = parser.parse_args()
OF_RUN = ("data", "root", "epochs", "minutes", "units", "batch_size", "learning_rate",
          "weight_decay", "dropout", "least", "supervision")  # fmt: skip
TREES, WARM, STEPS = 64, 10, 60  # of a batch; batches before the clock starts, and after


def learn() -> None:
    """Train each model with each seed, and measure its splits for testing."""
    import tinyconv
    from tinyconv.plugins.language.sentences.settings import NEEDS

    values = {name: getattr(arguments, name) for name in OF_RUN}
    options = {name: value for name, value in values.items() if value is not None}
    for model in arguments.models or NEEDS:
        for seed in arguments.seeds:
            cpu, wall = time.process_time(), time.perf_counter()
            with tempfile.TemporaryDirectory() as folder:
                os.environ["TINYCONV_RUNS"] = folder
                run = tinyconv.fit("sentences", model=model, seed=seed, **options)
                cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
                splits = ["test", *(["deeper"] if arguments.data == "opinions" else [])]
                parts = []
                for split in splits:
                    metrics = run.evaluate(split=split)
                    numbers = [f"{name} {value:.3f}" for name, value in metrics.items()]
                    parts.append(f"{split}: {'  '.join(numbers)}")
            print(f"{model}, seed {seed}: {cpu:.0f} s of CPU, {wall:.0f} s", flush=True)
            print("   " + "\n   ".join(parts), flush=True)


def nodes() -> None:
    """Print the nodes that a training step composes and labels in a CPU second."""
    import keras

    from tinyconv.plugins.language.sentences import compositions, opinions, tree_batches
    from tinyconv.plugins.language.sentences.labelled_phrases import trees_of
    from tinyconv.plugins.language.sentences.treebank import UNKNOWN
    from tinyconv.text.vocabulary import Vocabulary

    trees = trees_of(opinions.opinions().splits["train"])
    vocabulary = Vocabulary.from_sentences([tree.words for tree in trees], 1, 1000)
    source = tree_batches.Trees(trees, vocabulary)
    for model in arguments.models or compositions.COMPOSITIONS:
        network = compositions.network(model, len(vocabulary), arguments.units or 64, 5)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=UNKNOWN)
        network.compile("adam", loss, jit_compile=False)
        count = 0
        for number, (inputs, labels) in enumerate(source.batches(TREES, 0, 0, 0)):
            if number == WARM:
                start = time.process_time()
            if number == WARM + STEPS:
                break
            network.train_on_batch(inputs, labels)
            count += (labels != UNKNOWN).sum() if number >= WARM else 0
        rate = count / (time.process_time() - start)
        print(f"{network.name}: {rate:,.0f} nodes a CPU second", flush=True)


if arguments.nodes:
    nodes()
else:
    learn()

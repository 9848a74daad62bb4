"""What alignment brings to translation: forms of the network at equal time, three seeds.

    tox -e benchmarks -- benchmarks/translate.py
    tox -e benchmarks -- benchmarks/translate.py --forms default --minutes 20 --options \
        data=multi30k-de root=multi30k.tar.gz subword=8000 units=256 embedding=256

CPU time is printed beside wall time, which means little on a busy machine. With --minutes a busy
machine trains less; compare forms by the number of epochs, which is printed.
"""

import argparse
import os
import tempfile
import time

import numpy as np

import tinyconv
from tinyconv.plugins.translate import alignment, phrases

FORMS = {
    "default": {},
    "paper": {"preset": "paper"},
    "none": {"attention": "none"},
    # The default with one departure taken back, and the paper's form with one departure made.
    "default, start backward": {"start": "backward"},
    "default, annotation states": {"annotation": "states"},
    "default, query state": {"query": "state"},
    "paper, start zero": {"preset": "paper", "start": "zero"},
    "paper, annotation states+word": {"preset": "paper", "annotation": "states+word"},
    "paper, query state+word": {"preset": "paper", "query": "state+word"},
}
NUMBERS = ("limit", "subword", "units", "embedding", "alignment_units", "maxout", "batch_size")


def value(text: str):
    """A setting's value from `name=value`."""
    name, _, word = text.partition("=")
    kinds = dict.fromkeys(NUMBERS, int) | {"dropout": float, "learning_rate": float}
    return name, kinds.get(name, str)(word)


def model_1() -> None:
    """The error rate of IBM Model 1 on the test sentences: what counting alone aligns."""
    splits = phrases.phrases().splits
    words = {}

    def ids(text):
        return [words.setdefault(word, len(words)) for word in text.split()]

    def pairs(split):
        return [(ids(a), ids(b["text"])) for a, b in zip(split.rows, split.targets)]

    start = time.process_time()
    trained, test = pairs(splits["train"]), splits["test"]
    aligners = {"Model 1": alignment.WordAligner(trained), "both ways": alignment.BothWays(trained)}
    for name, aligner in aligners.items():
        for least, most in ((3, 9), (3, 19), (3, 1000)):
            agreement = alignment.Agreement()
            for (source, target), known in zip(pairs(test), test.targets):
                if least <= len(source) <= most:
                    links = aligner.links(source, target)
                    agreement.add(links, *alignment.known_links(known))
            print(f"{name}, {least} to {most} words: AER {agreement.error_rate:.3f}", flush=True)
    print(f"{time.process_time() - start:.0f} s of CPU")


def error_rate(run, least: int, most: int) -> float:
    """The alignment error rate on the test sentences of so many words."""
    from tinyconv.plugins.translate import translation  # imports Keras

    split, model = phrases.phrases().splits["test"], translation.TranslationModel(run)
    pairs = [(text.split(), target) for text, target in zip(split.rows, split.targets)]
    pairs = [pair for pair in pairs if least <= len(pair[0]) <= most]
    sources, targets = zip(*pairs)
    weights, _ = model.align(sources, [target["text"].split() for target in targets])
    return alignment.measures(weights, targets)["aer"]


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--forms", nargs="+", default=list(FORMS)[:3], choices=list(FORMS))
parser.add_argument("--seeds", type=int, default=3)
parser.add_argument("--minutes", type=float, default=3)
parser.add_argument("--epochs", type=int, help="instead of minutes, on a busy machine")
parser.add_argument("--options", nargs="*", default=[], help="further settings, name=value")
arguments = parser.parse_args()
options = dict(map(value, arguments.options))
if "data" not in options:
    model_1()
with tempfile.TemporaryDirectory() as folder:
    os.environ["TINYCONV_RUNS"] = folder
    for form in arguments.forms:
        rows = []
        for seed in range(arguments.seeds):
            start = time.process_time()
            length = {"minutes": arguments.minutes}
            if arguments.epochs:
                length = {"epochs": arguments.epochs}
            settings = {**length, "seed": seed, **FORMS[form], **options}
            run = tinyconv.fit("translate", **settings)
            cpu, metrics = time.process_time() - start, run.settings["result"]["metrics"]
            if "aer" in metrics and "data" not in options:
                metrics = {**metrics, "aer_3_to_19": error_rate(run, 3, 19)}
            rows.append(list(metrics.values()))
            numbers = "  ".join(f"{name} {number:.3f}" for name, number in metrics.items())
            print(
                f"{form}  seed {seed}  {len(run.history)} epochs, {cpu:.0f} s of CPU  {numbers}",
                flush=True,
            )
        mean = "  ".join(
            f"{name} {number:.3f}" for name, number in zip(metrics, np.mean(rows, axis=0))
        )
        print(f"{form}  mean  {mean}", flush=True)

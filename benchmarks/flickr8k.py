"""Captions of photographs: Flickr8k with soft and hard attention, and the floors below them.

    tox -e benchmarks -- benchmarks/flickr8k.py --root flickr8k.zip

`--root` is a folder or a zip of Flickr8k, which nothing downloads (GUIDE.md). All work counts: the
features are computed in a new cache. `--kinds soft --seeds 3 --minutes 40` trains for a given time;
without it, the epochs are the default. `--attention-metrics` also measures where the network looks.

The floors: random captions of the training set; the one training caption that is best for all
validation pictures; and an LSTM without a picture, which is trained on grey ones.
"""

import argparse
import functools
import io
import operator
import os
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

import tinyconv
from tinyconv.plugins.caption import metrics
from tinyconv.plugins.caption.photos import flickr8k
from tinyconv.plugins.caption.words import split

parser = argparse.ArgumentParser()
parser.add_argument("--root", type=Path, required=True)
parser.add_argument("--kinds", nargs="*", default=["soft", "hard"], choices=("soft", "hard"))
parser.add_argument("--seeds", type=int, default=1)
parser.add_argument("--minutes", type=float)
parser.add_argument("--epochs", type=int)
parser.add_argument("--encoder")
parser.add_argument("--attention-metrics", action="store_true")
parser.add_argument("--floors", action=argparse.BooleanOptionalAction, default=True)
parser.add_argument("--runs", type=Path, help="keep the runs in this folder")
arguments = parser.parse_args()

BLEU = [f"bleu{n}_unpenalised" for n in range(1, 5)] + ["bleu4"]
SETTINGS = {
    name: value
    for name in ("minutes", "epochs", "encoder")
    if (value := getattr(arguments, name)) is not None
}


def row(name: str, values: dict, note: str = "") -> None:
    """Print BLEU-1 to 4 without the brevity penalty, and BLEU-4 with it."""
    numbers = "  ".join(f"{100 * values[each]:5.1f}" for each in BLEU)
    print(f"{name:24}  {numbers}  {note}", flush=True)


def scores(references, captions) -> dict:
    """Both counts of BLEU."""
    return metrics.bleu(references, captions) | metrics.bleu(references, captions, penalised=False)


def ngrams(words: list[str], n: int) -> Counter:
    """How often each sequence of n words occurs."""
    return Counter(zip(*(words[i:] for i in range(n))))


def best_constant(references, candidates) -> str:
    """The candidate that would have the greatest BLEU-4 as the caption of every picture.

    The pictures that have an n-gram at least k times in a reference are counted once for all.
    """
    pictures: list[Counter] = [Counter() for _ in range(4)]  # by (n-gram, k)
    for several in references:
        for n, table in enumerate(pictures, start=1):
            most = functools.reduce(operator.or_, (ngrams(split(each), n) for each in several))
            table.update((each, k + 1) for each, count in most.items() for k in range(count))
    lengths = [[len(split(each)) for each in several] for several in references]

    def score(candidate: str) -> float:
        words, logs = split(candidate), 0.0
        for n, table in enumerate(pictures, start=1):
            own = ngrams(words, n)
            matched = sum(table[each, k + 1] for each, count in own.items() for k in range(count))
            if not matched:
                return 0.0
            logs += np.log(matched / (own.total() * len(references))) / 4
        closest = sum(min(each, key=lambda n: (abs(n - len(words)), n)) for each in lengths)
        return np.exp(logs + min(0.0, 1 - closest / (len(words) * len(references))))

    return max(dict.fromkeys(candidates), key=score)


def without_pictures(folder: Path) -> Path:
    """A zip of Flickr8k's captions in which every picture is the same grey one."""
    buffer = io.BytesIO()
    Image.new("RGB", (224, 224), (128, 128, 128)).save(buffer, "JPEG")
    dataset = flickr8k(root=arguments.root)
    with zipfile.ZipFile(folder / "grey.zip", "w") as archive:
        rows = ["image,caption"]
        for name, content in dataset.splits.items():
            file = {"train": "train", "validation": "dev", "test": "test"}[name]
            archive.writestr(f"Flickr_8k.{file}Images.txt", "\n".join(content.names))
            for picture, target in zip(content.names, content.targets):
                archive.writestr(f"Images/{picture}", buffer.getvalue())
                rows += [f'{picture},"{each.replace(chr(34), "")}"' for each in target["captions"]]
        archive.writestr("captions.txt", "\n".join(rows))
    return folder / "grey.zip"


def trained(name: str, root: Path, **more) -> None:
    """Train, evaluate on the test pictures, and print a row with the times."""
    start, cpu = time.perf_counter(), time.process_time()
    run = tinyconv.fit("caption", data="flickr8k", root=root, name=name, **SETTINGS, **more)
    seconds, whole = run.settings["result"]["seconds"], time.perf_counter() - start
    cpu = time.process_time() - cpu
    note = f"{seconds:.0f} s of training, {whole:.0f} s in all, {cpu:.0f} s of CPU"
    looks = arguments.attention_metrics and more["attention"] != "none"
    values = run.evaluate(**({"attention_metrics": True} if looks else {}))
    row(name, values, f"loss {values['loss']:.2f}  {len(run.history)} epochs  {note}")
    if looks:
        first = list(values).index("attention_entropy")
        print("  ".join(f"{key} {value:.3f}" for key, value in list(values.items())[first:]))


with tempfile.TemporaryDirectory() as folder:
    os.environ["TINYCONV_CACHE"] = str(Path(folder, "cache"))
    os.environ["TINYCONV_RUNS"] = str(arguments.runs or Path(folder, "runs"))
    print(f"{'':24}  BLEU-1      2      3      4   4 with the brevity penalty")
    row("Xu et al. 2015, soft", dict(zip(BLEU, (0.67, 0.448, 0.299, 0.195, np.nan))))
    row("Xu et al. 2015, hard", dict(zip(BLEU, (0.67, 0.457, 0.314, 0.213, np.nan))))
    for kind in arguments.kinds:
        for seed in range(arguments.seeds):
            trained(f"{kind}-{seed}", arguments.root, attention=kind, seed=seed)
    if arguments.floors:
        splits = flickr8k(root=arguments.root).splits
        texts = {
            name: [target["captions"] for target in content.targets]
            for name, content in splits.items()
        }
        candidates = [text for several in texts["train"] for text in several]
        random = np.random.default_rng(0)
        drawn = [str(random.choice(candidates)) for _ in texts["test"]]
        row("random captions", scores(texts["test"], drawn))
        constant = best_constant(texts["validation"], candidates)
        row("one caption", scores(texts["test"], [constant] * len(texts["test"])), constant)
        trained("no-picture", without_pictures(Path(folder)), attention="none", seed=0)

"""Word vectors: five seeds on the generated world, a text of your own, and gensim beside it.

    python benchmarks/words.py                              # all models on world
    python benchmarks/words.py --models skip-gram --seeds 0 1 2 3 4
    python benchmarks/words.py --text kjv.txt --gensim-python PYTHON

For the King James Bible, Debian's package bible-kjv-text gives, after `bible -f genesis1:1-
revelation22:21`, a verse on each line. Its questions are below. gensim's Word2Vec (C code, two
threads) trains on the same words, with the same size, window, noise words and number of passes.
"""

import argparse
import os
import subprocess
import tempfile
import time
from itertools import permutations
from pathlib import Path

import tinyconv

WORLD = {"skip-gram": {}, "cbow": {"epochs": 8}, "glove": {"epochs": 100}, "counts": {}}
PAIRS = {  # of the King James Bible
    "gender": "king queen|man woman|father mother|son daughter|brother sister|he she|his her|"
    "husband wife|sons daughters|brethren sisters|fathers mothers|men women|servant handmaid|"
    "bridegroom bride|prince princess|himself herself|ram ewe",
    "plural": "king kings|priest priests|servant servants|city cities|son sons|daughter daughters|"
    "man men|woman women|prophet prophets|nation nations|sin sins|wall walls|eye eyes|hand hands|"
    "brother brethren|house houses|ox oxen|day days|year years|river rivers|mountain mountains|"
    "stone stones|prince princes|enemy enemies",
    "past": "come came|go went|say said|speak spake|take took|give gave|see saw|hear heard|"
    "know knew|make made|build built|send sent|bring brought|die died|rise rose|eat ate|"
    "call called|find found|fall fell|begin began",
    "eth": "come cometh|go goeth|say saith|speak speaketh|take taketh|give giveth|see seeth|"
    "hear heareth|know knoweth|make maketh|build buildeth|send sendeth|bring bringeth|walk walketh|"
    "love loveth|hate hateth|keep keepeth|turn turneth|stand standeth|believe believeth",
    "opposite": "righteous wicked|good evil|light darkness|life death|heaven earth|day night|"
    "love hate|rich poor|first last|right left|wise foolish|clean unclean|great small|young old|"
    "full empty|strong weak|up down|bless curse|north south|east west",
}
GENSIM = """
import sys, time
from gensim.models import Word2Vec
from gensim.models.word2vec import LineSentence
text, output, size, window, negative, least, passes, threads = sys.argv[1:9]
start, cpu = time.perf_counter(), time.process_time()
model = Word2Vec(LineSentence(text), vector_size=int(size), window=int(window), sg=1,
    negative=int(negative), min_count=int(least), epochs=int(passes), workers=int(threads))
print(time.perf_counter() - start, time.process_time() - cpu, model.corpus_total_words)
model.wv.save_word2vec_format(output)
"""


def measured(options: dict) -> tuple[dict, float, float]:
    """The metrics of a fit, and the CPU and wall seconds of all of it."""
    cpu, wall = time.process_time(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TINYCONV_RUNS"] = folder
        run = tinyconv.fit("words", **options)
        result = run.settings["result"]
        metrics = result["metrics"] | {"seconds of training": result["seconds"]}
        if "questions" in globals():
            metrics |= run.evaluate(questions=questions)
    return metrics, time.process_time() - cpu, time.perf_counter() - wall


def show(name: str, metrics: dict, cpu: float, wall: float) -> None:
    """A line of results."""
    numbers = "  ".join(f"{key} {value:.3f}" for key, value in metrics.items())
    print(f"{name}: {cpu:.0f} s of CPU, {wall:.0f} s  {numbers}", flush=True)


def write_questions(path: Path) -> Path:
    """The questions of PAIRS, in the form of questions-words.txt."""
    lines = []
    for kind, text in PAIRS.items():
        pairs = [pair.split() for pair in text.split("|")]
        lines += [f": {kind}", *(" ".join(one + other) for one, other in permutations(pairs, 2))]
    path.write_text("\n".join(lines))
    return path


def gensim(python: str, text: Path, passes: int, threads: int) -> None:
    """Train gensim on the words that tinyconv reads, and measure its vectors in the same way."""
    from tinyconv.plugins.language.text_files import text_files, words

    with tempfile.TemporaryDirectory() as folder:
        corpus, vectors = Path(folder, "corpus"), Path(folder, "vectors")
        rows = text_files(text).splits["train"].rows
        corpus.write_text("\n".join(" ".join(words(row)) for row in rows), encoding="utf-8")
        sizes = [str(COMMON[name]) for name in ("size", "window", "negative", "least")]
        command = [python, "-c", GENSIM, corpus, vectors, *sizes, str(passes), str(threads)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        wall, cpu, count = map(float, output.split())
        print(
            f"gensim, {threads} threads: {cpu:.1f} s of CPU, {wall:.1f} s, "
            f"{passes * count / wall:,.0f} words a second"
        )
        options = {"data": "text-files", "root": text, "vectors": vectors}
        show("gensim's vectors", *measured(options))


COMMON = {"size": 60, "window": 5, "negative": 5, "least": 10}
parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--models", nargs="+", choices=list(WORLD), default=list(WORLD))
parser.add_argument("--seeds", nargs="+", type=int, default=[0])
parser.add_argument("--text", type=Path, help="a text file instead of world")
parser.add_argument("--epochs", type=int, default=4)
parser.add_argument("--subsample", type=float, default=5e-4, help="of --text")
parser.add_argument("--gensim-python", help="a Python that has gensim")
parser.add_argument("--threads", type=int, default=2)
arguments = parser.parse_args()

if arguments.text is None:
    for model in arguments.models:
        for seed in arguments.seeds:
            show(f"{model}, seed {seed}", *measured({"model": model, "seed": seed, **WORLD[model]}))
else:
    questions = write_questions(Path(tempfile.mkdtemp()) / "questions.txt")
    options = {"data": "text-files", "root": arguments.text, "subsample": arguments.subsample}
    for model in arguments.models:
        for seed in arguments.seeds:
            settings = {"model": model, "seed": seed, "epochs": arguments.epochs}
            show(f"{model}, seed {seed}", *measured(COMMON | options | settings))
    if arguments.gensim_python:
        gensim(arguments.gensim_python, arguments.text, arguments.epochs, arguments.threads)

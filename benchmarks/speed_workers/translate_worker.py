"""Our contender of translate_speed.py: the network as `tinyconv fit translate` trains it."""

import json
import sys
import time

import numpy as np

from tinyconv.system.start_keras import start

start()
import keras  # noqa: E402  after start, which keeps TensorFlow quiet

from tinyconv import layers, recipe, training  # noqa: E402
from tinyconv.plugins.translate import decoding, rnnsearch  # noqa: E402
from tinyconv.text import search  # noqa: E402
from tinyconv.text.vocabulary import END, START  # noqa: E402
from tinyconv.training.step_graph import step_of  # noqa: E402

sizes = json.loads(sys.argv[1])
J, T, units, width, vocabulary, batch = (
    sizes[name] for name in ("J", "T", "units", "width", "vocabulary", "batch")
)
keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
source = random.integers(END + 2, vocabulary, (batch, J)).astype("int32")
words = random.integers(END + 2, vocabulary, (batch, T + 1)).astype("int32")
words[:, 0] = START
network = rnnsearch.translator(
    vocabulary, vocabulary, units, embedding=width, alignment_units=units, maxout=width
)
training.compile_model(network, recipe.TrainingSettings(), None, [])
examples = {"source": source, "words": words[:, :-1]}, words[:, 1:]
step = step_of(network, *examples)
# END is never the best word: all translations have the maximum length.
bias = np.where(np.arange(vocabulary) == END, -1e4, 0)
network.get_layer("decoder").b_v.assign(bias)
parts = decoding.networks(network)
search_models = {beam: decoding.search_model(parts, beam, T) for beam in (1, 3)}

for line in sys.stdin:
    start_time = time.perf_counter()
    if line.strip() == "train":
        with layers.compiled():  # as a training longer than a few seconds does
            step(*examples)
    else:
        best = search.search(search_models[int(line)], source)
        assert {len(each[0].word_ids) for each in best} == {T}
    print(json.dumps({"seconds": time.perf_counter() - start_time}), flush=True)

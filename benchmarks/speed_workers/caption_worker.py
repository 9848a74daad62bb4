"""Our contender of caption_speed.py: the network as `tinyconv fit caption` trains it."""

import json
import sys
import time

import numpy as np

from tinyconv.system.start_keras import start

start()
import keras  # noqa: E402  after start, which keeps TensorFlow quiet

from tinyconv import precision, recipe, training  # noqa: E402
from tinyconv.plugins.caption import beam_search, encoder, glance, model  # noqa: E402
from tinyconv.text import search  # noqa: E402
from tinyconv.text.vocabulary import END  # noqa: E402
from tinyconv.training.step_graph import step_of  # noqa: E402

sizes, dtype = json.loads(sys.argv[1]), sys.argv[2]
side, features, width, words, vocabulary, batch = (
    sizes[name] for name in ("side", "features", "width", "words", "vocabulary", "batch")
)
keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
if features is None:
    with precision.policy(dtype):
        vision = encoder.cut(glance.glance((side, side, 3), 1), None)
    pictures = random.integers(0, 256, (batch, side, side, 3)).astype("uint8")
else:
    vision = encoder.map_input((side, side, features))
    pictures = random.normal(size=(batch, side, side, features)).astype("float32")
word_ids = random.integers(END + 2, vocabulary, (batch, words + 1)).astype("int32")
widths = {"embedding": width, "units": width, "attention_units": width}
network = model.captioner(vision, vocabulary, dropout=0.5, penalty=1.0, **widths)
training.compile_model(network, recipe.TrainingSettings(), None, [])
examples = {"pictures": pictures, "words": word_ids[:, :-1]}, word_ids[:, 1:]
step = step_of(network, *examples)
# END is never the best word: all captions have the maximum length.
network.get_layer("decoder").b_o.assign(np.where(np.arange(vocabulary) == END, -1e4, 0))
parts = beam_search.networks(network)
search_models = {beam: beam_search.search_model(parts, beam, words) for beam in (1, 3)}

for line in sys.stdin:
    start_time = time.perf_counter()
    if line.strip() == "train":
        step(*examples)
    else:
        captions = search.search(search_models[int(line)], pictures)
        assert {len(best[0].word_ids) for best in captions} == {words}
    print(json.dumps({"seconds": time.perf_counter() - start_time}), flush=True)

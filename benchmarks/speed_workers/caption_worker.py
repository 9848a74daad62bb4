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
from tinyconv.plugins.caption.vocabulary import END  # noqa: E402

sizes, dtype = json.loads(sys.argv[1]), sys.argv[2]
side, features, width, words, vocabulary, batch = (
    sizes[name] for name in ("side", "features", "width", "words", "vocabulary", "batch")
)
keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
if features is None:
    with precision.policy(dtype):
        eyes = encoder.cut(glance.glance((side, side, 3), 1), None)
    pictures = random.integers(0, 256, (batch, side, side, 3)).astype("uint8")
else:
    eyes = model.given((side, side, features))
    pictures = random.normal(size=(batch, side, side, features)).astype("float32")
numbers = random.integers(END + 2, vocabulary, (batch, words + 1)).astype("int32")
same = {"embedding": width, "units": width, "attention_units": width}
network = model.captioner(eyes, vocabulary, dropout=0.5, penalty=1.0, **same)
training.compile_model(network, recipe.TrainingSettings(), None, [])
# A caption never ends: all are of one length.
network.get_layer("decoder").b_o.assign(np.where(np.arange(vocabulary) == END, -1e4, 0))
parts = beam_search.networks(network)
searchers = {beam: beam_search.searcher(parts, beam, words) for beam in (1, 3)}

for line in sys.stdin:
    begun = time.perf_counter()
    if line.strip() == "train":
        network.train_on_batch({"pictures": pictures, "words": numbers[:, :-1]}, numbers[:, 1:])
    else:
        found = beam_search.search(searchers[int(line)], pictures)
        assert {len(best[0].numbers) for best in found} == {words}
    print(json.dumps({"seconds": time.perf_counter() - begun}), flush=True)

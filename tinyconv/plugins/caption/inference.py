"""A trained network at work: captions of pictures, and where it looks for their words."""

import keras
import numpy as np

from tinyconv import layers
from tinyconv.data.pipeline import whole_batches
from tinyconv.errors import UserError
from tinyconv.layers import program_costs
from tinyconv.plugins.caption import beam_search, encoder, metrics
from tinyconv.plugins.caption.batches import padded
from tinyconv.plugins.caption.model import Captioner
from tinyconv.plugins.caption.vocabulary import PADDING, Vocabulary

BATCH = 128  # pictures at a time


class Teller:
    """The network of `run`, or `model` in its place, with its vocabulary and its encoder."""

    def __init__(self, run, model: Captioner | None = None, frozen=None):
        self.options = run.options
        self.vocabulary = Vocabulary(tuple(run.settings["words"]))
        self.cells = run.settings["cells"]  # rows and columns of the map
        self.model = model or run.model()
        if run.settings["frozen"] and frozen is None:
            frozen, _ = encoder.opened(run, tuple(run.settings["picture_shape"]))
            if list(frozen.output.shape[1:3]) != self.cells:
                raise UserError(
                    f"The encoder {run.options.encoder} is another one than the run was trained "
                    f"with: its map has {frozen.output.shape[1:3]} cells in place of {self.cells}."
                )
        self.frozen = frozen
        self.networks = beam_search.networks(self.model)
        self.searchers: dict[tuple, keras.Model] = {}  # by beam and kind of graph

    def see(self, pictures) -> np.ndarray:
        """What the network is given of uint8 pictures (N, H, W, C): themselves, or their maps."""
        if self.frozen is None:
            return pictures
        with program_costs.for_predictions(self.frozen, len(pictures)):
            seen = [
                np.asarray(self.frozen.predict_on_batch(batch))[:count]
                for batch, count in whole_batches(pictures, BATCH)
            ]
        return np.concatenate(seen)

    def tell(self, seen, beam: int) -> list[list[beam_search.Caption]]:
        """The best captions of each picture."""
        kind = beam, layers.is_compiled()
        if kind not in self.searchers:
            self.searchers[kind] = beam_search.searcher(self.networks, beam, self.options.longest)
        return beam_search.search(self.searchers[kind], seen)

    def look(self, seen, captions) -> tuple[list, list, np.ndarray]:
        """Where it looks as it is made to say `captions` (N texts).

        Returns (attention (T, L) of each with the end's, the weights of the places that were
        looked at likewise, ln p of each caption (N,)).
        """
        numbers = [self.vocabulary.encode(caption) for caption in captions]
        words = padded(numbers)
        maps, looks, log_p = [], [], []
        for start in range(0, len(words), BATCH):
            batch = words[start : start + BATCH]
            given = {"pictures": np.asarray(seen[start : start + BATCH]), "words": batch[:, :-1]}
            found = self.model.predict_on_batch(given)
            maps += list(np.asarray(found["maps"]))
            looks += list(np.asarray(found["looks"]))
            logs = np.asarray(keras.ops.log_softmax(found["scores"]), "float64")
            told = np.take_along_axis(logs, batch[:, 1:, None], axis=2)[..., 0]
            log_p.append(np.where(batch[:, 1:] == PADDING, 0, told).sum(axis=1))
        lengths = [len(each) - 1 for each in numbers]
        maps = [each[:length] for each, length in zip(maps, lengths)]
        looks = [each[:length] for each, length in zip(looks, lengths)]
        return maps, looks, np.concatenate(log_p)

    def best(self, seen) -> list[str]:
        """The best caption of each picture."""
        return [
            self.vocabulary.decode(found[0].numbers) for found in self.tell(seen, self.options.beam)
        ]

    def whole(self) -> dict[str, keras.Model]:
        """The networks of `decoding.networks`, from pictures on also where the encoder is kept."""
        found = beam_search.networks(self.model)
        if self.frozen is not None:
            outputs = found["begin"](self.frozen.output)
            found["begin"] = keras.Model(self.frozen.input, outputs, name="begin")
        return found

    def measure(self, seen, targets, beam: int) -> dict[str, float]:
        """Loss, BLEU, and where the places of things are known whether it looks at them."""
        found = self.tell(seen, beam)
        captions = [self.vocabulary.decode(best[0].numbers) for best in found]
        references = [target["captions"] for target in targets]
        first = [each[0] for each in references]
        maps, _, log_p = self.look(seen, first)
        numbers = {"loss": float(-log_p.mean()), **metrics.bleu(references, captions)}
        if all("objects" in target for target in targets):
            numbers["exact_match"] = metrics.exact_match(references, captions)
            numbers["attribute_accuracy"] = metrics.attribute_accuracy(targets, captions)
            accuracy, chance = metrics.pointing(targets, first, maps, *self.cells)
            numbers |= {"pointing_accuracy": accuracy, "pointing_chance": chance}
        return numbers

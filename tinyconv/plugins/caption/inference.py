"""Inference with a trained network: captions of pictures, and the attention for their words."""

import keras
import numpy as np

from tinyconv import layers
from tinyconv.data.pipeline import whole_batches
from tinyconv.errors import UserError
from tinyconv.layers import program_costs
from tinyconv.layers.sequence_graphs import predict
from tinyconv.plugins.caption import beam_search, encoder, metrics
from tinyconv.plugins.caption.model import Captioner
from tinyconv.plugins.caption.words import split
from tinyconv.text import search
from tinyconv.text.vocabulary import Vocabulary, padded

BATCH = 128  # pictures at a time


class CaptionModel:
    """The network of `run` with its vocabulary and its encoder.

    `model` replaces the run's saved network, and `frozen_encoder` the encoder that a run with a
    frozen one would open.
    """

    def __init__(self, run, model: Captioner | None = None, frozen_encoder=None):
        self.options = run.options
        self.vocabulary = Vocabulary(tuple(run.settings["words"]))
        self.grid = run.settings["cells"]  # rows and columns of the feature map
        self.model = model or run.model()
        if run.settings["frozen"] and frozen_encoder is None:
            shape = tuple(run.settings["picture_shape"])
            frozen_encoder, _ = encoder.open_encoder(run, shape)
            rows_columns = list(frozen_encoder.output.shape[1:3])
            if rows_columns != self.grid:
                raise UserError(
                    f"The encoder {run.options.encoder} is not the one that the run was trained "
                    f"with: its feature map has the size {rows_columns} instead of {self.grid}."
                )
        self.frozen_encoder = frozen_encoder
        self.parts = beam_search.networks(self.model)
        self.search_models: dict[tuple, keras.Model] = {}  # by beam width and kind of graph

    def encode(self, pictures) -> np.ndarray:
        """The network's inputs for uint8 pictures (N, H, W, C): the pictures, or their maps."""
        if self.frozen_encoder is None:
            return pictures
        with program_costs.for_predictions(self.frozen_encoder, len(pictures)):
            maps = [
                np.asarray(self.frozen_encoder.predict_on_batch(batch))[:count]
                for batch, count in whole_batches(pictures, BATCH)
            ]
        return np.concatenate(maps)

    def search(self, inputs, beam: int) -> list[list[search.Hypothesis]]:
        """The best captions of each input, the best first."""
        kind = beam, layers.is_compiled()
        if kind not in self.search_models:
            self.search_models[kind] = beam_search.search_model(
                self.parts, beam, self.options.longest
            )
        return search.search(self.search_models[kind], inputs)

    def attend(self, inputs, captions) -> tuple[list, list, list]:
        """The attention for the words of given captions.

        Args:
            inputs: (N, ...), as `encode` returns them.
            captions: N texts.

        Returns:
            For each caption the attention weights (T, L), with those of the end; likewise the
            weights of the sampled locations; and ln p of each word, (T,) float64.
        """
        word_ids = [self.vocabulary.encode(split(caption)) for caption in captions]
        words = padded(word_ids)
        attention, samples, log_p = [], [], []
        for start in range(0, len(words), BATCH):
            batch = words[start : start + BATCH]
            pictures = np.asarray(inputs[start : start + BATCH])
            outputs = predict(self.model, {"pictures": pictures, "words": batch[:, :-1]})
            attention += list(np.asarray(outputs["maps"]))
            samples += list(np.asarray(outputs["looks"]))
            logs = np.asarray(keras.ops.log_softmax(outputs["scores"]), "float64")
            log_p += list(np.take_along_axis(logs, batch[:, 1:, None], axis=2)[..., 0])
        lengths = [len(each) - 1 for each in word_ids]
        return tuple(
            [each[:length] for each, length in zip(rows, lengths)]
            for rows in (attention, samples, log_p)
        )

    def best_captions(self, inputs, beam: int | None = None) -> list[str]:
        """The best caption of each input, with the run's beam width if there is no other."""
        results = self.search(inputs, beam or self.options.beam)
        return [self.vocabulary.decode(captions[0].word_ids) for captions in results]

    def export_networks(self) -> dict[str, keras.Model]:
        """The networks of `beam_search.networks`, from pixels on even if the encoder is frozen."""
        parts = beam_search.networks(self.model)
        if self.frozen_encoder is not None:
            outputs = parts["begin"](self.frozen_encoder.output)
            parts["begin"] = keras.Model(self.frozen_encoder.input, outputs, name="begin")
        return parts

    def measure(self, inputs, captions, targets) -> dict[str, float]:
        """Loss and BLEU of `captions`; also exact match and pointing where boxes are known."""
        references = [target["captions"] for target in targets]
        first = [each[0] for each in references]
        attention, _, log_p = self.attend(inputs, first)
        loss = -np.mean([each.sum() for each in log_p])
        values = {"loss": float(loss), **metrics.bleu(references, captions)}
        if all("objects" in target for target in targets):
            values["exact_match"] = metrics.exact_match(references, captions)
            values["attribute_accuracy"] = metrics.attribute_accuracy(targets, captions)
            accuracy, chance = metrics.pointing(targets, first, attention, *self.grid)
            values |= {"pointing_accuracy": accuracy, "pointing_chance": chance}
        return values

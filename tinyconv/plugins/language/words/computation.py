"""The loop of a run whose vectors are computed or read at once, not trained."""

import time
from collections.abc import Callable

import numpy as np

from tinyconv.plugins.language.words import embeddings, training_text
from tinyconv.plugins.language.words.lexicon import Lexicon
from tinyconv.training.clock import State


class Computation:
    """The loop of a run whose vectors are computed or read at once.

    Args:
        run: the Run.
        lexicon: its V words.
        dataset: its data, for the validation.
        vectors: returns the vectors (V, d).
        model: the name of the model.
    """

    def __init__(
        self, run, lexicon: Lexicon, dataset, vectors: Callable[[], np.ndarray], model: str
    ):
        self.run_folder, self.lexicon, self.dataset = run, lexicon, dataset
        self.vectors, self.model = vectors, model
        self.name = f"{model}-{dataset.name}"

    def run(self) -> None:
        """Compute the vectors, and save them as a network."""
        run, start = self.run_folder, time.monotonic()
        run.keep_changes()
        model = embeddings.table(self.vectors(), self.model)
        validation = self.dataset.splits["validation"]
        metrics = training_text.measure(run, model, self.lexicon, validation)
        row = {"epoch": run.options.epochs, "seconds": time.monotonic() - start}
        row |= {f"val_{name}": value for name, value in metrics.items()}
        state = State(epoch=run.options.epochs, progress=1.0, seconds=row["seconds"], rows=[row])
        run.save(model, vars(state), is_best=True)
        run.write_history([row])

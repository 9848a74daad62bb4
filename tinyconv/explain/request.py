"""What the figures of explanations are drawn from: a network, its classes, and the pictures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinyconv.data import Split
from tinyconv.explain import overlays
from tinyconv.explain.probe import Probe

DEPTHS = 4  # layers drawn, from the first feature map to the last


@dataclass(frozen=True)
class Request:
    """A network, the names of its classes, and the pictures whose predictions are explained."""

    model: object
    classes: Sequence[str]
    names: Sequence[str]  # of the pictures, for file names
    pictures: np.ndarray  # (N, H, W, C) uint8; N is 0 for methods that need none
    label: int | None  # the class to explain; None for the predicted one
    layer: str | None
    training_split: Callable[[], Split] | None = None
    held_out_split: Callable[[], Split] | None = None

    def each(self) -> Iterator[tuple[int, str]]:
        return enumerate(self.names)

    @cached_property
    def probe(self) -> Probe:
        return Probe(self.model, self.pictures)

    @cached_property
    def targets(self) -> tuple[np.ndarray, np.ndarray]:
        """(scores (N, K), the class to explain for each picture (N,))."""
        scores = self.probe.scores(self.probe.pictures)
        return scores, self.probe.target_classes(self.label, scores)

    def depths(self, method: str) -> list[str]:
        """The requested layer, or some layers from shallow to deep."""
        if self.layer is not None:
            self.probe.layer(self.layer)
            return [self.layer]
        maps = self.probe.map_layers() or [self.probe.map_layer(None, method)]
        return [maps[i] for i in np.unique(np.linspace(0, len(maps) - 1, DEPTHS).astype(int))]

    def prediction(self, scores) -> str:
        return overlays.prediction(scores, self.classes)

"""Shapes: drawn scenes with their captions and their objects' boxes.

A scene has one to three shapes on a grey background; its caption describes them from left to
right: "a small red circle and a large blue square". An eighth of the combinations of size, colour
and shape are held out: training never shows them, and the test pictures show nothing else, so
that a network passes only if it has learnt the words separately. Everything follows from the
numbers below and a seed.
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tinyconv.data import Dataset
from tinyconv.data.cache import Source, Sources, cached
from tinyconv.data.decode import resize
from tinyconv.errors import UserError

VERSION = 5  # of the drawing code; part of the cache's key
COUNTS = {"train": 12_000, "validation": 500, "test": 1_000}
SIDE = 64  # pixels
SUPERSAMPLING = 4  # a scene is drawn this many times larger, then shrunk, for smooth edges
COLOURS = {
    "red": (214, 39, 40),
    "green": (44, 160, 44),
    "blue": (31, 87, 200),
    "yellow": (240, 200, 20),
    "purple": (148, 60, 189),
    "orange": (255, 127, 14),
    "black": (12, 12, 12),
    "white": (245, 245, 245),
}
SHAPES = ("circle", "square", "triangle", "cross")
RADII = {"small": (6, 7), "large": (10, 12)}  # pixels, minimum and maximum
SHADES = 25  # largest change of a colour's channel from object to object
GROUND = (70, 130)  # grey of the background, minimum and maximum
NOISE = 6  # standard deviation of a pixel's noise
MIN_DISTANCE = 8  # pixels between two centres from left to right, so that the order is clear
HELD_OUT = {
    (size, colour, kind)
    for i, size in enumerate(RADII)
    for j, colour in enumerate(COLOURS)
    for k, kind in enumerate(SHAPES)
    if (4 * i + j + 2 * k) % 8 == 0
}


@dataclass(frozen=True)
class Shape:
    """One object of a scene; lengths in pixels."""

    size: str
    colour: str
    kind: str
    x: float
    y: float
    radius: float

    @property
    def phrase(self) -> str:
        return f"{self.size} {self.colour} {self.kind}"

    @property
    def box(self) -> tuple[float, float, float, float]:
        """left, top, right, bottom as fractions of the picture's side."""
        x, y, r = self.x / SIDE, self.y / SIDE, self.radius / SIDE
        return x - r, y - r, x + r, y + r


def shapes(
    root: Path | None = None, image_size: int | None = None, skip_corrupt: bool = False
) -> Dataset:
    """Drawn scenes of coloured shapes with captions, 64x64 colour pixels (no download).

    12,000 training, 500 validation and 1,000 test pictures; the test pictures show combinations
    of size, colour and shape that training does not. `image_size` scales them.
    """
    if root is not None:
        raise UserError(f"shapes comes with tinyconv; leave out --root {root}.")
    return cached("shapes", [VERSION, image_size], skip_corrupt, lambda: _sources(image_size))


shapes.examples = {"train": {"train-00000": {"captions": ["a large blue cross"]}}}


def _sources(image_size) -> Sources:
    return Sources(
        classes=(),
        splits={split: _source(number, split, image_size) for number, split in enumerate(COUNTS)},
        mirror=False,  # a mirror image has the reverse order from left to right
        resized=image_size is not None,
    )


def _source(number: int, split: str, image_size) -> Source:
    count = COUNTS[split]
    scenes = [scene(np.random.default_rng([number, i]), split == "test") for i in range(count)]

    def read(i):
        picture = draw(scenes[i], np.random.default_rng([number, i, 1]))
        return picture if image_size is None else resize(picture, image_size)

    targets = [
        {
            "captions": [caption(scene)],
            "objects": [{"phrase": shape.phrase, "box": shape.box} for shape in scene],
        }
        for scene in scenes
    ]
    return Source([f"{split}-{i:05d}" for i in range(count)], [-1] * count, read, targets=targets)


def scene(random: np.random.Generator, held_out: bool) -> list[Shape]:
    """One to three shapes that do not touch, from left to right, all or none held out."""
    while True:
        objects = []
        for _ in range(random.integers(1, 4)):
            combinations = [
                each
                for each in itertools.product(RADII, COLOURS, SHAPES)
                if (each in HELD_OUT) == held_out
            ]
            size, colour, kind = combinations[random.integers(len(combinations))]
            radius = random.uniform(*RADII[size])
            x, y = random.uniform(radius + 1, SIDE - radius - 1, 2)
            objects.append(Shape(size, colour, kind, x, y, radius))
        objects.sort(key=lambda shape: shape.x)
        if all(
            abs(one.x - other.x) >= MIN_DISTANCE
            and max(abs(one.x - other.x), abs(one.y - other.y)) > one.radius + other.radius + 1
            for i, one in enumerate(objects)
            for other in objects[:i]
        ):
            return objects


def caption(scene: list[Shape]) -> str:
    """ "a small red circle , a large blue square and a small green cross", from left to right."""
    *first, last = (f"a {shape.phrase}" for shape in scene)
    return f"{' , '.join(first)} and {last}" if first else last


def draw(scene: list[Shape], random: np.random.Generator) -> np.ndarray:
    """The scene as (SIDE, SIDE, 3) uint8."""
    ground = int(random.integers(*GROUND))
    image = Image.new("RGB", (SIDE * SUPERSAMPLING,) * 2, (ground,) * 3)
    canvas = ImageDraw.Draw(image)
    for shape in scene:
        x, y, r = (length * SUPERSAMPLING for length in (shape.x, shape.y, shape.radius))
        shade = COLOURS[shape.colour] + random.integers(-SHADES, SHADES + 1, 3)
        colour = tuple(np.clip(shade, 0, 255).tolist())
        if shape.kind == "circle":
            canvas.ellipse((x - r, y - r, x + r, y + r), fill=colour)
        elif shape.kind == "square":
            canvas.rectangle((x - 0.9 * r, y - 0.9 * r, x + 0.9 * r, y + 0.9 * r), fill=colour)
        elif shape.kind == "triangle":
            canvas.polygon(((x, y - r), (x - r, y + r), (x + r, y + r)), fill=colour)
        else:
            canvas.rectangle((x - r, y - r / 3, x + r, y + r / 3), fill=colour)
            canvas.rectangle((x - r / 3, y - r, x + r / 3, y + r), fill=colour)
    picture = np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
    noisy = picture + random.normal(0, NOISE, picture.shape)
    return np.clip(np.round(noisy), 0, 255).astype("uint8")

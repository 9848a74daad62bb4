"""What each family of methods draws, and all of them on one sheet.

A family's function is given the method's name and an `Asked`, and gives its `Picture`s.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from PIL import Image
from scipy.special import softmax

from tinyconv import explain
from tinyconv.data import Split
from tinyconv.errors import UserError
from tinyconv.explain import METHODS, feature_space, overlays
from tinyconv.explain.probe import Tap
from tinyconv.report.figures import png, short
from tinyconv.results import Picture

DEPTHS = 4  # layers shown of those from the first map to the last
NEAR = 8  # neighbours shown
SIZES = (1, 2, 4, 8)  # levels of 255 that a step of fgsm has
MAPPED, GROUPS = 300, 10  # pictures on a map of codes at most, and classes of them


@dataclass(frozen=True)
class Asked:
    """One network, the classes' names, and the pictures that it is asked about."""

    model: object
    classes: Sequence[str]
    names: Sequence[str]  # of the pictures, for the files
    pictures: np.ndarray  # (N, H, W, C) uint8; none for what needs no picture
    label: int | None  # the class asked about; None for the network's own answer
    layer: str | None
    # Pictures that the network was trained on, and ones that it was not, if there are such.
    known: Callable[[], Split] | None = None
    unseen: Callable[[], Split] | None = None

    def each(self) -> Iterator[tuple[int, str]]:
        return enumerate(self.names)

    @cached_property
    def tap(self) -> Tap:
        return Tap(self.model, self.pictures)

    @cached_property
    def said(self) -> tuple[np.ndarray, np.ndarray]:
        """(scores (N, K), the class asked about of each picture (N,))."""
        scores = self.tap.scores(self.tap.pictures)
        return scores, self.tap.asked(self.label, scores)

    def depths(self, method: str) -> list[str]:
        """The layer asked about, or some from shallow to deep."""
        if self.layer is not None:
            self.tap.layer(self.layer)
            return [self.layer]
        maps = self.tap.maps() or [self.tap.map(None, method)]
        return [maps[i] for i in np.unique(np.linspace(0, len(maps) - 1, DEPTHS).astype(int))]

    def answer(self, scores) -> str:
        return overlays.answer(scores, self.classes)


def maps(method: str, asked: Asked) -> Iterator[Picture]:
    """A map over the picture: gradients and regions."""
    scores, classes = asked.said
    function = getattr(explain, method.replace("-", "_"))
    more = {"layer": asked.layer} if method == "grad-cam" else {}
    found = function(asked.model, asked.pictures, classes, **more)
    for i, name in asked.each():
        picture, one = asked.pictures[i], found[i]
        about = f"asked about: {short(asked.classes[classes[i]])}"
        if method in ("saliency", "smooth-grad"):
            one = overlays.flat(one[None])[0]
            coloured, share = overlays.heat(one), np.sqrt(one / overlays.strength(one))
        elif method in ("guided-backprop", "deconv"):
            coloured = overlays.around_grey(one)
            one = overlays.flat(one[None])[0]
            share = np.sqrt(one / overlays.strength(one))
        elif method == "grad-cam":
            coloured, share = overlays.heat(one), 0.75 * np.sqrt(one / overlays.strength(one))
        else:
            one = one if one.ndim == 2 else one.sum(axis=-1)
            coloured, share = overlays.both(one), 0.9 * np.abs(one) / overlays.strength(one)
        if not one.any():
            about = "zero everywhere: no pixel matters"
        figure, axes = framed(method, 1, 3)
        overlays.show(axes[0, 0], picture, asked.answer(scores[i]))
        overlays.show(axes[0, 1], coloured, about)
        if coloured.shape[-1] == 1:
            coloured = overlays.heat(one)
        glow = overlays.heat(one) if method in ("guided-backprop", "deconv") else coloured
        overlays.show(axes[0, 2], overlays.over(picture, glow, share), "over the picture")
        yield finished(name, method, figure)


def synthesised(method: str, asked: Asked) -> Iterator[Picture]:
    """Pictures that were made: of a class, from a layer's outputs, or with more of them."""
    if method == "class-picture":
        yield class_picture(asked)
        return
    layers = asked.depths(method)
    function = getattr(explain, method)
    made = [function(asked.model, asked.pictures, layer) for layer in layers]
    scores, _ = asked.said
    for i, name in asked.each():
        figure, axes = framed(method, 1, 1 + len(layers))
        overlays.show(axes[0, 0], asked.pictures[i], asked.answer(scores[i]))
        for place, layer, found in zip(axes[0, 1:], layers, made):
            overlays.show(place, found[i], f"{'from' if method == 'invert' else 'by'} {layer}")
        yield finished(name, method, figure)


def class_picture(asked: Asked) -> Picture:
    """The picture of the class asked about; else of those that the pictures are taken for."""
    if asked.label is not None:
        wanted = [asked.label]
    elif len(asked.pictures):
        wanted = list(dict.fromkeys(asked.said[1].tolist()))[:NEAR]
    else:
        wanted = list(range(min(NEAR, len(asked.classes))))
    shape = asked.pictures.shape[1:] if len(asked.pictures) else None
    made = explain.class_picture(asked.model, wanted, shape)
    scores = Tap(asked.model, made).scores(made)
    columns = min(4, len(wanted))
    figure, axes = framed("class-picture", -(-len(wanted) // columns), columns)
    for place, picture, label, row in zip(axes.flat, made, wanted, scores):
        title = f"{short(asked.classes[label])}, {softmax(row)[label]:.0%} to it"
        overlays.show(place, picture, title)
    name = short(asked.classes[wanted[0]]).replace("/", "-").replace(" ", "-")
    return finished(name if len(wanted) == 1 else "classes", "class-picture", figure)


def inner(method: str, asked: Asked) -> Iterator[Picture]:
    """A layer's filters, or the maps of some layers."""
    if method == "filters":
        columns = None
        found = explain.filters(asked.model, asked.layer)
        count, _, _, channels = found.shape
        if channels not in (1, 3):  # no colours: a row a filter, a square for each channel it sees
            found = np.moveaxis(found[:16, ..., :16], -1, 1)
            columns = found.shape[1]
            found = found.reshape(-1, *found.shape[2:], 1)
        else:
            found = found[:64]
        most = np.abs(found).reshape(len(found), -1).max(axis=1)[:, None, None, None]
        tiles = 0.5 + 0.5 * found / np.maximum(most, 1e-12)
        figure, axes = framed(method, 1, 1, panel=2 * overlays.PANEL)
        title = f"{asked.layer or 'the first layer'}: {min(count, len(found))} of {count} filters"
        if channels not in (1, 3):
            title = f"{asked.layer}: a row a filter, a square for each of the channels it sees"
        overlays.show(axes[0, 0], overlays.mosaic(tiles, columns), title)
        yield finished(asked.layer or asked.model.name, method, figure)
        return
    layers = asked.depths(method)
    found = explain.activations(asked.model, asked.pictures, layers)
    scores, _ = asked.said
    for i, name in asked.each():
        figure, axes = framed(method, 1, 1 + len(layers))
        overlays.show(axes[0, 0], asked.pictures[i], asked.answer(scores[i]))
        for place, layer in zip(axes[0, 1:], layers):
            one = found[layer][i]
            tiles = one[None, None] if one.ndim == 1 else np.moveaxis(one, -1, 0)
            chosen = tiles[: overlays.MOSAIC]
            coloured = overlays.heat(np.maximum(chosen, 0))
            overlays.show(
                place, overlays.mosaic(coloured), f"{layer}, {len(chosen)} of {len(tiles)}"
            )
        yield finished(name, method, figure)


def coded(method: str, asked: Asked) -> Iterator[Picture]:
    """The nearest pictures, or the map of pictures with those asked about marked."""
    draw = _map_of_codes if method == "codes" else _neighbours
    yield from draw(asked)


def _neighbours(asked: Asked) -> Iterator[Picture]:
    if asked.known is not None:
        known = asked.known()
        pictures, labels = known.pictures, known.labels
    elif len(asked.pictures) > 1:
        pictures, labels = asked.pictures, np.full(len(asked.pictures), -1)
    else:
        raise UserError(
            "neighbours looks among a run's training pictures, and a model alone has none: name "
            "several pictures to look among."
        )
    own = explain.codes(asked.model, asked.pictures, asked.layer)
    every = own if asked.known is None else explain.codes(asked.model, pictures, asked.layer)
    scores, _ = asked.said
    for i, name in asked.each():
        which, far = feature_space.nearest_codes(own[i : i + 1], every, NEAR + 1)
        which, far = which[0], far[0]
        if asked.known is None:  # it is among them
            which, far = which[which != i], far[which != i]
        figure, axes = framed("neighbours", 1, NEAR + 1, panel=1.15)
        overlays.show(axes[0, 0], asked.pictures[i], f"{asked.answer(scores[i])}\nasked about")
        for place, other, distance in zip(axes[0, 1:], which, far):
            label = "" if labels[other] < 0 else f"{short(asked.classes[labels[other]], 13)}\n"
            overlays.show(place, pictures[other], f"{label}{distance:.2f}")
        yield finished(name, "neighbours", figure)


def _map_of_codes(asked: Asked) -> Iterator[Picture]:
    shown, labels = asked.pictures, np.full(len(asked.pictures), -1)
    groups = []
    if asked.unseen is not None:
        split = asked.unseen()
        _, said = asked.said if len(asked.pictures) else (None, np.zeros(0, int))
        spread = np.linspace(0, len(asked.classes) - 1, GROUPS).astype(int)
        groups = list(dict.fromkeys([*said[: GROUPS // 2].tolist(), *spread.tolist()]))[:GROUPS]
        chosen = np.flatnonzero(np.isin(split.labels, groups))
        chosen = np.sort(np.random.default_rng(0).permutation(chosen)[:MAPPED])
        shown = np.concatenate([np.asarray(split.pictures[chosen]), shown])
        labels = np.concatenate([split.labels[chosen], labels])
    if len(shown) < 3:
        raise UserError("codes draws a map of three pictures or more; name a folder of them.")
    found = explain.codes(asked.model, shown, asked.layer)
    figure, axes = framed("codes", 1, 2, panel=2.6 * overlays.PANEL)
    colours = overlays.colormaps["tab10"].colors
    for axis, kind in zip(axes[0], ("tsne", "pca")):
        places = explain.code_map(found, kind)
        colour = [colours[groups.index(n)] if n >= 0 else (0, 0, 0) for n in labels]
        overlays.thumbnails(axis, shown, places, colour, [n < 0 for n in labels])
        kinds = {"tsne": "t-SNE: neighbours stay together", "pca": "PCA: most of the spread"}
        axis.set_title(kinds[kind], fontsize=9, color=overlays.INK)
    overlays.legend(figure, [short(asked.classes[n]) for n in groups], colours)
    yield finished(asked.names[0] if len(asked.names) == 1 else "map", "codes", figure)


def fooled(method: str, asked: Asked) -> Iterator[Picture]:
    """The picture before and after, and what was changed."""
    before, classes = asked.said
    if method == "fgsm":
        after = [explain.fgsm(asked.model, asked.pictures, classes, size) for size in SIZES]
        told = [Tap(asked.model, each).scores(each) for each in after]
        for i, name in asked.each():
            figure, axes = framed(method, 1, 1 + len(SIZES))
            overlays.show(axes[0, 0], asked.pictures[i], asked.answer(before[i]))
            for place, made, scores, size in zip(axes[0, 1:], after, told, SIZES):
                title = f"{asked.answer(scores[i])}\nafter {size} of 255 levels"
                overlays.show(place, made[i], title)
            yield finished(name, method, figure)
        return
    wanted = asked.label
    if wanted is None:
        wanted = np.argsort(-before, axis=1, kind="stable")[:, 1]
    after = explain.fool(asked.model, asked.pictures, wanted)
    told = Tap(asked.model, after).scores(after)
    wanted = np.broadcast_to(wanted, len(after))
    for i, name in asked.each():
        change = after[i].astype("float32") - asked.pictures[i]
        most, share = np.abs(change).max(), np.linalg.norm(change)
        share /= max(np.linalg.norm(asked.pictures[i].astype("float32")), 1)
        figure, axes = framed(method, 1, 3)
        overlays.show(axes[0, 0], asked.pictures[i], f"{asked.answer(before[i])}\nas it was")
        larger = max(1, round(127 / max(most, 1)))
        title = f"the change, {larger} times as large:\n"
        title += f"{most:.0f} of 255 levels at most, {share:.2%} of the picture"
        overlays.show(axes[0, 1], 0.5 + change * larger / 255, title)
        reached = told[i].argmax() == wanted[i]
        missed = "" if reached else f" (not {short(asked.classes[wanted[i]])}: out of reach)"
        overlays.show(axes[0, 2], after[i], f"{asked.answer(told[i])}\nafter it{missed}")
        yield finished(name, method, figure)


FAMILIES = {
    "gradients": maps,
    "regions": maps,
    "synthesis": synthesised,
    "layer_outputs": inner,
    "feature_space": coded,
    "fooling": fooled,
}


def drawn(method: str, asked: Asked) -> Iterator[Picture]:
    """The pictures of one method."""
    yield from FAMILIES[METHODS[method].family](method, asked)


def everything(asked: Asked) -> Iterator[Picture]:
    """One sheet a picture with all methods, in two columns; those that cannot be are left out.

    Raises the UserError of the first where none can be.
    """
    for i, name in asked.each():
        one = replace(asked, names=[name], pictures=asked.pictures[i : i + 1])
        parts, refused = [], []
        for method in METHODS:
            try:
                parts += [Image.open(io.BytesIO(each.png)) for each in drawn(method, one)]
            except UserError as error:
                refused.append(error)
        if not parts:
            raise refused[0]
        buffer = io.BytesIO()
        overlays.stacked(parts).save(buffer, "PNG", optimize=True)
        left = f" Left out: {' '.join(map(str, refused))}" if refused else ""
        caption = f"All methods for one picture; each says below itself how it is read.{left}"
        yield Picture(f"{name}-all", "All that can be asked", caption, buffer.getvalue())


def framed(method: str, rows: int, columns: int, **size):
    of = METHODS[method]
    return overlays.framed(f"{of.title} ({method})", of.reads, rows, columns, **size)


def finished(name: str, method: str, figure) -> Picture:
    of = METHODS[method]
    return Picture(f"{name}-{method}", of.title, of.reads, png(figure))

"""Figures of each family of methods, and of all methods on one sheet.

A family's function takes the method's name and a `Request`, and yields its `Picture`s.
"""

import io
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from PIL import Image
from scipy.special import softmax

from tinyconv import explain
from tinyconv.errors import UserError
from tinyconv.explain import METHODS, feature_space, overlays
from tinyconv.explain.probe import Probe
from tinyconv.explain.request import Request
from tinyconv.report.figures import png, short_name
from tinyconv.results import Picture

NEIGHBOURS = 8  # drawn
SIZES = (1, 2, 4, 8)  # of a step of fgsm, in levels of 255
MAP_PICTURES, GROUPS = 300, 10  # pictures on a map of codes at most, and their classes


def draw_maps(method: str, request: Request) -> Iterator[Picture]:
    """A map over each picture: gradients and regions."""
    scores, classes = request.targets
    function = getattr(explain, method.replace("-", "_"))
    options = {"layer": request.layer} if method == "grad-cam" else {}
    maps = function(request.model, request.pictures, classes, **options)
    for i, name in request.each():
        picture, one = request.pictures[i], maps[i]
        title = f"explained class: {short_name(request.classes[classes[i]])}"
        if method in ("saliency", "smooth-grad"):
            one = overlays.flat(one[None])[0]
            coloured, opacity = overlays.heat(one), np.sqrt(one / overlays.strength(one))
        elif method in ("guided-backprop", "deconv"):
            coloured = overlays.around_grey(one)
            one = overlays.flat(one[None])[0]
            opacity = np.sqrt(one / overlays.strength(one))
        elif method == "grad-cam":
            coloured = overlays.heat(one)
            opacity = 0.75 * np.sqrt(one / overlays.strength(one))
        else:
            one = one if one.ndim == 2 else one.sum(axis=-1)
            coloured, opacity = overlays.both(one), 0.9 * np.abs(one) / overlays.strength(one)
        if not one.any():
            title = "zero everywhere: no pixel matters"
        figure, axes = new_figure(method, 1, 3)
        overlays.show(axes[0, 0], picture, request.prediction(scores[i]))
        overlays.show(axes[0, 1], coloured, title)
        if coloured.shape[-1] == 1:
            coloured = overlays.heat(one)
        glow = overlays.heat(one) if method in ("guided-backprop", "deconv") else coloured
        overlays.show(axes[0, 2], overlays.over(picture, glow, opacity), "over the picture")
        yield to_picture(name, method, figure)


def draw_synthesis(method: str, request: Request) -> Iterator[Picture]:
    """Synthesised pictures: of a class, from a layer's outputs, or with more of them."""
    if method == "class-picture":
        yield draw_class_pictures(request)
        return
    layers = request.depths(method)
    function = getattr(explain, method)
    synthesised = [function(request.model, request.pictures, layer) for layer in layers]
    scores, _ = request.targets
    for i, name in request.each():
        figure, axes = new_figure(method, 1, 1 + len(layers))
        overlays.show(axes[0, 0], request.pictures[i], request.prediction(scores[i]))
        for panel, layer, pictures in zip(axes[0, 1:], layers, synthesised):
            overlays.show(panel, pictures[i], f"{'from' if method == 'invert' else 'by'} {layer}")
        yield to_picture(name, method, figure)


def draw_class_pictures(request: Request) -> Picture:
    """A synthesised picture of the requested class, or of each predicted class."""
    if request.label is not None:
        labels = [request.label]
    elif len(request.pictures):
        labels = list(dict.fromkeys(request.targets[1].tolist()))[:NEIGHBOURS]
    else:
        labels = list(range(min(NEIGHBOURS, len(request.classes))))
    shape = request.pictures.shape[1:] if len(request.pictures) else None
    pictures = explain.class_picture(request.model, labels, shape)
    scores = Probe(request.model, pictures).scores(pictures)
    columns = min(4, len(labels))
    figure, axes = new_figure("class-picture", -(-len(labels) // columns), columns)
    for panel, picture, label, row in zip(axes.flat, pictures, labels, scores):
        title = f"{short_name(request.classes[label])}, {softmax(row)[label]:.0%} to it"
        overlays.show(panel, picture, title)
    name = short_name(request.classes[labels[0]]).replace("/", "-").replace(" ", "-")
    return to_picture(name if len(labels) == 1 else "classes", "class-picture", figure)


def draw_layer_outputs(method: str, request: Request) -> Iterator[Picture]:
    """A layer's filters, or the feature maps of some layers."""
    if method == "filters":
        columns = None
        filters = explain.filters(request.model, request.layer)
        count, _, _, channels = filters.shape
        if channels not in (1, 3):  # no colours: a row for each filter, a square for each channel
            filters = np.moveaxis(filters[:16, ..., :16], -1, 1)
            columns = filters.shape[1]
            filters = filters.reshape(-1, *filters.shape[2:], 1)
        else:
            filters = filters[:64]
        largest = np.abs(filters).reshape(len(filters), -1).max(axis=1)[:, None, None, None]
        tiles = 0.5 + 0.5 * filters / np.maximum(largest, 1e-12)
        figure, axes = new_figure(method, 1, 1, panel=2 * overlays.PANEL)
        layer = request.layer or "the first layer"
        title = f"{layer}: {min(count, len(filters))} of {count} filters"
        if channels not in (1, 3):
            title = f"{request.layer}: a row for each filter, a square for each input channel"
        overlays.show(axes[0, 0], overlays.mosaic(tiles, columns), title)
        yield to_picture(request.layer or request.model.name, method, figure)
        return
    layers = request.depths(method)
    outputs = explain.activations(request.model, request.pictures, layers)
    scores, _ = request.targets
    for i, name in request.each():
        figure, axes = new_figure(method, 1, 1 + len(layers))
        overlays.show(axes[0, 0], request.pictures[i], request.prediction(scores[i]))
        for panel, layer in zip(axes[0, 1:], layers):
            one = outputs[layer][i]
            tiles = one[None, None] if one.ndim == 1 else np.moveaxis(one, -1, 0)
            first = tiles[: overlays.MOSAIC]
            coloured = overlays.heat(np.maximum(first, 0))
            overlays.show(
                panel, overlays.mosaic(coloured), f"{layer}, {len(first)} of {len(tiles)}"
            )
        yield to_picture(name, method, figure)


def draw_feature_space(method: str, request: Request) -> Iterator[Picture]:
    """The nearest pictures, or a map of pictures with those of the request marked."""
    yield from (_map_of_codes if method == "codes" else _neighbours)(request)


def _neighbours(request: Request) -> Iterator[Picture]:
    if request.training_split is not None:
        split = request.training_split()
        pictures, labels = split.pictures, split.labels
    elif len(request.pictures) > 1:
        pictures, labels = request.pictures, np.full(len(request.pictures), -1)
    else:
        raise UserError(
            "neighbours searches a run's training pictures, but a model file has none: name "
            "several pictures to search."
        )
    own = explain.codes(request.model, request.pictures, request.layer)
    among = own
    if request.training_split is not None:
        among = explain.codes(request.model, pictures, request.layer)
    scores, _ = request.targets
    for i, name in request.each():
        nearest, far = feature_space.nearest_codes(own[i : i + 1], among, NEIGHBOURS + 1)
        nearest, far = nearest[0], far[0]
        if request.training_split is None:  # the picture itself is among them
            nearest, far = nearest[nearest != i], far[nearest != i]
        figure, axes = new_figure("neighbours", 1, NEIGHBOURS + 1, panel=1.15)
        title = f"{request.prediction(scores[i])}\nexplained"
        overlays.show(axes[0, 0], request.pictures[i], title)
        for panel, other, distance in zip(axes[0, 1:], nearest, far):
            label = (
                "" if labels[other] < 0 else f"{short_name(request.classes[labels[other]], 13)}\n"
            )
            overlays.show(panel, pictures[other], f"{label}{distance:.2f}")
        yield to_picture(name, "neighbours", figure)


def _map_of_codes(request: Request) -> Iterator[Picture]:
    pictures, labels = request.pictures, np.full(len(request.pictures), -1)
    groups = []
    if request.held_out_split is not None:
        split = request.held_out_split()
        _, targets = request.targets if len(request.pictures) else (None, np.zeros(0, int))
        spread = np.linspace(0, len(request.classes) - 1, GROUPS).astype(int)
        groups = list(dict.fromkeys([*targets[: GROUPS // 2].tolist(), *spread.tolist()]))[:GROUPS]
        indices = np.flatnonzero(np.isin(split.labels, groups))
        indices = np.sort(np.random.default_rng(0).permutation(indices)[:MAP_PICTURES])
        pictures = np.concatenate([np.asarray(split.pictures[indices]), pictures])
        labels = np.concatenate([split.labels[indices], labels])
    if len(pictures) < 3:
        raise UserError("codes needs at least three pictures; name a folder of them.")
    codes = explain.codes(request.model, pictures, request.layer)
    figure, axes = new_figure("codes", 1, 2, panel=2.6 * overlays.PANEL)
    colours = overlays.colormaps["tab10"].colors
    for axis, kind in zip(axes[0], ("tsne", "pca")):
        points = explain.code_map(codes, kind)
        colour = [colours[groups.index(n)] if n >= 0 else (0, 0, 0) for n in labels]
        overlays.thumbnails(axis, pictures, points, colour, [n < 0 for n in labels])
        kinds = {"tsne": "t-SNE: preserves neighbours", "pca": "PCA: preserves most variance"}
        axis.set_title(kinds[kind], fontsize=9, color=overlays.INK)
    overlays.legend(figure, [short_name(request.classes[n]) for n in groups], colours)
    yield to_picture(request.names[0] if len(request.names) == 1 else "map", "codes", figure)


def draw_fooling(method: str, request: Request) -> Iterator[Picture]:
    """The picture before and after, and the change."""
    before, classes = request.targets
    if method == "fgsm":
        after = [explain.fgsm(request.model, request.pictures, classes, size) for size in SIZES]
        all_scores = [Probe(request.model, each).scores(each) for each in after]
        for i, name in request.each():
            figure, axes = new_figure(method, 1, 1 + len(SIZES))
            overlays.show(axes[0, 0], request.pictures[i], request.prediction(before[i]))
            for panel, pictures, scores, size in zip(axes[0, 1:], after, all_scores, SIZES):
                title = f"{request.prediction(scores[i])}\nafter {size} of 255 levels"
                overlays.show(panel, pictures[i], title)
            yield to_picture(name, method, figure)
        return
    labels = request.label
    if labels is None:
        labels = np.argsort(-before, axis=1, kind="stable")[:, 1]
    after = explain.fool(request.model, request.pictures, labels)
    scores = Probe(request.model, after).scores(after)
    labels = np.broadcast_to(labels, len(after))
    for i, name in request.each():
        change = after[i].astype("float32") - request.pictures[i]
        largest, relative = np.abs(change).max(), np.linalg.norm(change)
        relative /= max(np.linalg.norm(request.pictures[i].astype("float32")), 1)
        figure, axes = new_figure(method, 1, 3)
        overlays.show(axes[0, 0], request.pictures[i], f"{request.prediction(before[i])}\noriginal")
        factor = max(1, round(127 / max(largest, 1)))
        title = f"the change, {factor} times as large:\n"
        title += f"{largest:.0f} of 255 levels at most, {relative:.2%} of the picture"
        overlays.show(axes[0, 1], 0.5 + change * factor / 255, title)
        reached = scores[i].argmax() == labels[i]
        missed = "" if reached else f" (not {short_name(request.classes[labels[i]])}: not reached)"
        overlays.show(axes[0, 2], after[i], f"{request.prediction(scores[i])}\nwith it{missed}")
        yield to_picture(name, method, figure)


FAMILIES = {
    "gradients": draw_maps,
    "regions": draw_maps,
    "synthesis": draw_synthesis,
    "layer_outputs": draw_layer_outputs,
    "feature_space": draw_feature_space,
    "fooling": draw_fooling,
}


def draw(method: str, request: Request) -> Iterator[Picture]:
    """The figures of one method."""
    yield from FAMILIES[METHODS[method].family](method, request)


def draw_all(request: Request) -> Iterator[Picture]:
    """One sheet for each picture with all methods, in two columns; methods that fail are left out.

    If all fail, the UserError of the first is raised.
    """
    for i, name in request.each():
        one = replace(request, names=[name], pictures=request.pictures[i : i + 1])
        parts, errors = [], []
        for method in METHODS:
            try:
                parts += [Image.open(io.BytesIO(each.png)) for each in draw(method, one)]
            except UserError as error:
                errors.append(error)
        if not parts:
            raise errors[0]
        buffer = io.BytesIO()
        overlays.stacked(parts).save(buffer, "PNG", optimize=True)
        left_out = f" Left out: {' '.join(map(str, errors))}" if errors else ""
        caption = f"All methods for one picture; how to read each stands below it.{left_out}"
        yield Picture(f"{name}-all", "All explanations", caption, buffer.getvalue())


def new_figure(method: str, rows: int, columns: int, **size):
    of = METHODS[method]
    return overlays.framed(f"{of.title} ({method})", of.reads, rows, columns, **size)


def to_picture(name: str, method: str, figure) -> Picture:
    of = METHODS[method]
    return Picture(f"{name}-{method}", of.title, of.reads, png(figure))

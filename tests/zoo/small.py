"""Every network of the zoo in a size that is quick to try."""

from tinyconv import zoo

# Arguments that make each network small enough to try on every input.
SMALL = {
    "linear": {},
    "two_layer": {"hidden": 8},
    "convnet": {"widths": (4, 8), "hidden": 8},
    **{name: {"width": 4, "hidden": 8} for name in ("vgg11", "vgg13", "vgg16", "vgg19")},
    **{f"resnet{n}": {"width": 4} for n in (9, 18, 20, 34, 50, 56, 101)},
    **{f"rectifier_{x}": {"stem": 4, "widths": (4, 8, 8), "hidden": 8} for x in "abc"},
}

# One network of each kind of block: the others differ in depth alone.
KINDS = [
    *("linear", "two_layer", "convnet", "vgg11", "resnet9", "resnet18", "resnet20"),
    *("resnet50", "rectifier_a"),
]


def small(name, shape=(16, 16, 3), classes=5, **more):
    """The network called `name`, small."""
    return getattr(zoo, name)(shape, classes, **SMALL[name], **more)

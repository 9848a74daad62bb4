"""A small size of every network of the zoo, for quick checks by `tinyconv.checks`."""

SMALL = {
    "linear": {},
    "two_layer": {"hidden": 8},
    "convnet": {"widths": (4, 8), "hidden": 8},
    **{name: {"width": 4, "hidden": 8} for name in ("vgg11", "vgg13", "vgg16", "vgg19")},
    **{f"resnet{n}": {"width": 4} for n in (9, 18, 20, 34, 50, 56, 101)},
    **{f"sprint{size}": {"widths": (16, 32, 32)} for size in ("", "_small", "_large")},
    **{f"rectifier_{x}": {"stem": 4, "widths": (4, 8, 8), "hidden": 8} for x in "abc"},
}

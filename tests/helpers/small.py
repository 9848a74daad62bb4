"""Every network of the zoo in a size that is quick to try, and one network of each kind."""

from tinyconv import zoo

# One network of each kind of block: the others differ in depth alone.
KINDS = [
    *("linear", "two_layer", "convnet", "vgg11", "resnet9", "resnet18", "resnet20"),
    *("resnet50", "rectifier_a", "sprint"),
]


def small(name, shape=(16, 16, 3), classes=5, **more):
    """The network called `name`, small."""
    build = getattr(zoo, name)
    return build(shape, classes, **build.small, **more)

"""Every network of the zoo in a size that is quick to try."""

from tinyconv import zoo


def small(name, shape=(16, 16, 3), classes=5, **more):
    """The network called `name`, small."""
    build = getattr(zoo, name)
    return build(shape, classes, **build.small, **more)

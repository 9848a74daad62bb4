"""my-plugin: what it adds to tinyconv, in one line."""

TINYCONV_API = 2  # version of the specification tinyconv.plugins that this package follows

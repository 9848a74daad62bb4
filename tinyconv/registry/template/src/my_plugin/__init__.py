"""my-plugin: what it adds to tinyconv, in one line."""

TINYCONV_API = 2  # the version of tinyconv.plugins that this package is written for

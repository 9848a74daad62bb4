"""my-plugin: what it adds to tinyconv, in one line."""

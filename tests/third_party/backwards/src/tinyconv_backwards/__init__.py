"""A task on text: a network that writes words backwards."""

TINYCONV_API = 2

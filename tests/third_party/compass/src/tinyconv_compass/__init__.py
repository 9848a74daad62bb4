"""A plugin of another kind than classification: the direction of a compass needle."""

TINYCONV_API = 2

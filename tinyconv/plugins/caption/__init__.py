"""Show, Attend and Tell: captions of pictures by visual attention (Xu et al. 2015)."""

# Modules with classes that a .keras file may name.
REGISTERING = ("tinyconv.plugins.caption.beam_search", "tinyconv.plugins.caption.model")

"""Looking a little at a time: recurrent attention, RAM (2014) and DRAM (2015).

A network that sees only small patches of a picture, and decides after each where to look next:
Mnih, Heess, Graves and Kavukcuoglu 2014 (arXiv 1406.6247), Ba, Mnih and Kavukcuoglu 2015 (arXiv
1412.7755).
"""

REGISTERING = tuple(
    f"tinyconv.plugins.glimpse.{name}"
    for name in ("ram", "dram", "draw_reader", "whole_picture", "one_glimpse")
)

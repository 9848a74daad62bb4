"""A network that draws: DRAW, and the variational autoencoder of one step.

Gregor, Danihelka, Graves, Rezende and Wierstra 2015 (arXiv 1502.04623); Kingma and Welling 2013
(arXiv 1312.6114).
"""

REGISTERING = (
    "tinyconv.plugins.draw.draw",
    "tinyconv.plugins.draw.vae",
    "tinyconv.plugins.draw.one_step",
)

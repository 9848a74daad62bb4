"""Settings of fits that take a second."""

QUICK = {"model": "two_layer", "limit": 200, "epochs": 3}  # three steps an epoch
EXACT = QUICK | {"deterministic": True}  # and the same bits each time

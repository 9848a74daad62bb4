"""Settings of fits that take a second."""

QUICK = {"model": "two_layer", "limit": 200, "epochs": 3}  # three steps per epoch
EXACT = QUICK | {"deterministic": True}  # bit-identical every time

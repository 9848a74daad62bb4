"""Networks with ImageNet weights: `--from` starts a run from them, and captions see with them."""

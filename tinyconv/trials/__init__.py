"""Trainings that leave no run: `fit --check`, `lr-find` and `verify`."""

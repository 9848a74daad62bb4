"""Tests that take minutes each, which `tox -e slow` runs."""

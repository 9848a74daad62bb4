"""Fixtures for the plugins that come with tinyconv."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def picture(tmp_path):
    """A digit of the user's own: a file of another size than those of training."""
    path = tmp_path / "seven.png"
    pixels = np.zeros((90, 75), "uint8")
    pixels[20:24, 20:50] = pixels[24:60, 44:48] = 255
    Image.fromarray(pixels).save(path)
    return path

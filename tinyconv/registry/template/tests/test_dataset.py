"""The data set can be learnt, and also reads a folder of files."""

import numpy as np
import pytest
from my_plugin.dataset import my_plugin
from PIL import Image

import tinyconv
from tinyconv import checks


@pytest.fixture
def root(tmp_path):
    """Thirty small pictures in a folder."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(30):
        noise = np.random.default_rng(i).integers(0, 256, (9, 9)).astype("uint8")
        Image.fromarray(noise).save(folder / f"{('even', 'odd')[i % 2]}-{i}.png")
    return folder


def test_it_can_be_learnt():
    run = tinyconv.fit(data="my-plugin", epochs=8)
    assert run.evaluate()["top1"] > 0.85  # of two classes


def test_promises_about_files(root):
    for check in checks.of("my-plugin", root=root):
        if check.subject.entry.kind == "datasets":
            check()


def test_other_pictures_are_refused(root):
    (root / "cat.png").write_bytes(b"")
    with pytest.raises(tinyconv.UserError, match="should hold even"):
        my_plugin(root)

"""Makes the README's pictures again with the command: python pictures/remake.py (three minutes)."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

import tinyconv
from tinyconv.plugins import own

HERE = Path(__file__).resolve().parent
SCENE = 12  # of the test pictures: a large red triangle and a large black cross


def main() -> None:
    """Caption a scene by a new captioner, play Catch by the packaged agent, train word vectors."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        command = [sys.executable, "-m", "tinyconv"]
        subprocess.run([*command, "fit", "caption", "--name", "captioner"], check=True)
        run = tinyconv.load("runs/captioner")
        Image.fromarray(own(run).splits["test"].pictures[SCENE]).save("scene.png")
        subprocess.run([*command, "predict", run.path, "scene.png"], check=True)
        subprocess.run([*command, "predict", "catch"], check=True)
        shutil.copy(run.path / "captions" / "scene.png", HERE / "caption.png")
        subprocess.run([*command, "fit", "words", "--name", "words"], check=True)
        shutil.copy("runs/words/pictures/arrows.png", HERE / "words.png")
        shutil.copy("catch-game.gif", HERE / "catch.gif")


if __name__ == "__main__":
    main()

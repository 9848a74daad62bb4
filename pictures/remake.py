"""Makes the README's pictures again: python pictures/remake.py (a quarter of an hour)."""

import io
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
SENTENCE = "the old king 's black dog does not see the two red houses"
TREE = (
    "(1 (4 (2 (2 the) (2 music)) (4 (2 is) (4 (2 very) (3 nice)))) "
    "(1 (2 but) (1 (2 (2 the) (2 camera)) (1 (2 is) (1 (2 not) (3 charming))))))"
)
SCENE = 12  # of the test pictures: a large red triangle and a large black cross


def main() -> None:
    """Train a run for each picture; play Catch by the agent."""
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
        subprocess.run([*command, "fit", "text", "--name", "text"], check=True)
        shutil.copy("runs/text/pictures/unit.png", HERE / "text.png")
        subprocess.run([*command, "fit", "sentences", "--name", "sentences"], check=True)
        words = [*command, "explain", "runs/sentences", TREE, "--output", "tree"]
        subprocess.run(words, check=True)
        shutil.copy(next(Path("tree").glob("*.png")), HERE / "sentences.png")
        subprocess.run([*command, "fit", "draw", "--name", "draw"], check=True)
        subprocess.run([*command, "predict", "runs/draw", "--count", "6"], check=True)
        shutil.copy("runs/draw/drawings/drawings.png", HERE / "drawing.png")
        shutil.copy("catch-game.gif", HERE / "catch.gif")
        for form, epochs in (("alignment", "10"), ("none", "14")):  # which take as long
            words = [*command, "fit", "translate", "--epochs", epochs, "--name", form]
            subprocess.run([*words, "--attention", form], check=True)
        translation(tinyconv.load("runs/alignment"), tinyconv.load("runs/none"))
        subprocess.run([*command, "fit", "glimpse", "--name", "glimpses"], check=True)
        drawn = Path("runs/glimpses/pictures")
        beside(drawn / "path-5.png", drawn / "error-by-glimpse.png", name="glimpses.png")


def translation(run, other) -> None:
    """Draw an alignment by `run`, and BLEU by length with attention and without it (`other`)."""
    (alignment,) = run.explain(SENTENCE)
    curve, *_ = run.comparison({"attention": run, "no attention": other})
    beside(*(io.BytesIO(each.png) for each in (alignment, curve)), name="translation.png")


def beside(*files, name: str) -> None:
    """Save two figures side by side, of one height, at two thirds of their size."""
    left, right = (Image.open(file).convert("RGB") for file in files)
    right = right.resize((right.width * left.height // right.height, left.height))
    both = Image.new("RGB", (left.width + right.width, left.height), "white")
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    both.resize((both.width * 2 // 3, both.height * 2 // 3)).save(HERE / name)


if __name__ == "__main__":
    main()

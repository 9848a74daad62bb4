"""What a drawing is worth: nats by form of the network, and how legible its drawings are.

    tox -e benchmarks -- benchmarks/draw.py --forms default --seeds 0 1 2
    tox -e benchmarks -- benchmarks/draw.py --forms "1 step" "4 steps" vae
    tox -e benchmarks -- benchmarks/draw.py --judge runs/NAME runs/OTHER

CPU time is printed beside the nats; compare forms by it on a busy machine. The judges of drawings
are classifiers that are trained here: the default network on the training digits, grey as they come
and black and white, without label smoothing, which keeps probabilities from 1. A judge is sure of a
drawing where its probability of one digit is 0.9 or more.
"""

import argparse
import os
import tempfile
import time

import numpy as np

import tinyconv
from tinyconv.data.digits import digits
from tinyconv.plugins.draw import binarisation

FORMS = {
    "default": {},
    "1 step": {"glimpses": 1},
    "4 steps": {"glimpses": 4},
    "no attention": {"attention": "none"},
    "no attention, 1 step": {"attention": "none", "glimpses": 1},
    "no attention, 4 steps": {"attention": "none", "glimpses": 4},
    "vae": {"model": "vae", "epochs": 300},  # about as long as the default
    "two-digits": {"data": "two-digits"},
    "two-digits, read 4x4": {"data": "two-digits", "read_size": 4, "write_size": 4},
}
SIDE = 20  # of the default's digits
DRAWINGS = 500
SURE = 0.9


def judge(colour: str):
    """A Keras model that classifies digits as they come ("grey") or binarised ("black-white")."""
    splits = digits(image_size=SIDE).splits
    x, y = (
        {name: getattr(splits[name], field) for name in ("train", "test")}
        for field in ("pictures", "labels")
    )
    x = {name: np.asarray(part) for name, part in x.items()}
    if colour == "black-white":
        x = {name: binarisation.binarised(part, "threshold") for name, part in x.items()}
    run = tinyconv.fit(data=(x["train"], y["train"]), label_smoothing=0.0, epochs=30, name="judge")
    model = run.model()
    p = softmax(model.predict(x["test"], verbose=0))
    right = (p.argmax(axis=1) == y["test"]).mean()
    sure = (p.max(axis=1) >= SURE).mean()
    print(f"judge, {colour}: {right:.3f} of the test digits right, {sure:.3f} sure", flush=True)
    return model


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def judged(model, run) -> str:
    """How many drawings the judge is sure of, and the digits that it sees in them."""
    from tinyconv.plugins.draw.bounds import DrawModel  # imports Keras

    canvas = DrawModel(run).drawings(DRAWINGS)["canvas"][:, -1]
    p = softmax(model.predict(np.round(255 * canvas).astype("uint8"), verbose=0))
    sure = p.max(axis=1) >= SURE
    counts = np.bincount(p.argmax(axis=1)[sure], minlength=10)
    return f"sure of {sure.mean():.3f} of {DRAWINGS} drawings, by digit {counts.tolist()}"


def trainings(forms, seeds) -> None:
    """Train and measure each form with each seed."""
    for form in forms:
        for seed in seeds:
            start = time.process_time()
            run = tinyconv.fit("draw", seed=seed, **FORMS[form])
            cpu, metrics = time.process_time() - start, run.settings["result"]["metrics"]
            numbers = "  ".join(f"{name} {number:.3f}" for name, number in metrics.items())
            print(f"{form}  seed {seed}  {cpu:.0f} s of CPU  {numbers}", flush=True)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--forms", nargs="+", default=["default"], choices=list(FORMS))
parser.add_argument("--seeds", type=int, nargs="+", default=[0])
parser.add_argument("--judge", nargs="+", metavar="RUN", help="judge the drawings of these runs")
arguments = parser.parse_args()
if arguments.judge:
    runs = [tinyconv.load(path) for path in arguments.judge]
with tempfile.TemporaryDirectory() as folder:
    os.environ["TINYCONV_RUNS"] = folder
    if arguments.judge:
        for colour in ("grey", "black-white"):
            classifier = judge(colour)
            for run in runs:
                print(f"{run.path.name}  {colour}  {judged(classifier, run)}", flush=True)
    else:
        trainings(arguments.forms, arguments.seeds)

"""What saving costs: the share of a training's time that checkpoints and histories take.

python benchmarks/checkpoints.py                       # the default fit
python benchmarks/checkpoints.py --data tiny-imagenet --root ZIP --model sprint --epochs 1
TF_USE_LEGACY_KERAS=1 python benchmarks/checkpoints.py --task dqn
"""

import argparse
import os
import tempfile
import time

from tinyconv.data.cache import cache_root
from tinyconv.system import start_keras

start_keras.start()
from tinyconv import runs, training, verbs  # noqa: E402  Keras is loaded silently first
from tinyconv.training.checkpoints import Checkpoints  # noqa: E402


def timed(owner, names: list[str]) -> list[float]:
    """The seconds of each call of the functions called so, but for those inside of another."""
    seconds, inside = [], []

    def wrapped(function):
        def wrapper(*given):
            inside.append(time.perf_counter())
            try:
                return function(*given)
            finally:
                taken = time.perf_counter() - inside.pop()
                if not inside:
                    seconds.append(taken)

        return wrapper

    for name in names:
        setattr(owner, name, wrapped(getattr(owner, name)))
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="classify")
    parser.add_argument("--data")
    parser.add_argument("--root")
    parser.add_argument("--model")
    parser.add_argument("--epochs", type=int)
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    os.environ["TINYCONV_CACHE"] = str(cache_root().resolve())
    files = timed(runs.Run, ["save", "save_best"])
    if given["task"] == "dqn":
        from tinyconv.plugins.dqn import learning, resume

        saving, trainings = timed(resume, ["save"]), timed(learning.Learning, ["run"])
    else:
        saving = timed(Checkpoints, ["keep", "write"])
        trainings = timed(training.Training, ["run"])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TINYCONV_RUNS"] = folder
        verbs.fit(given.pop("task"), **given)
    print(
        f"{len(files)} files, {sum(files):.3f} s; with all that goes with them {sum(saving):.3f} s "
        f"of {sum(trainings):.1f} s of training: {sum(saving) / sum(trainings):.2%}"
    )


if __name__ == "__main__":
    main()

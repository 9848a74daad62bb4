"""The cost of saving: the fraction of a training's time that checkpoints and histories take.

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
    """The seconds of each call of the functions of these names, without calls inside another."""
    seconds, starts = [], []

    def wrapped(function):
        def wrapper(*args):
            starts.append(time.perf_counter())
            try:
                return function(*args)
            finally:
                duration = time.perf_counter() - starts.pop()
                if not starts:
                    seconds.append(duration)

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
    arguments = vars(parser.parse_args()).items()
    settings = {name: value for name, value in arguments if value is not None}
    os.environ["TINYCONV_CACHE"] = str(cache_root().resolve())
    files = timed(runs.Run, ["save", "save_best"])
    if settings["task"] == "dqn":
        from tinyconv.plugins.dqn import learning, resume

        saving, trainings = timed(resume, ["save"]), timed(learning.Learning, ["run"])
    else:
        saving = timed(Checkpoints, ["keep", "write"])
        trainings = timed(training.Training, ["run"])
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TINYCONV_RUNS"] = folder
        verbs.fit(settings.pop("task"), **settings)
    print(
        f"{len(files)} files, {sum(files):.3f} s; with snapshots and histories {sum(saving):.3f} s "
        f"of {sum(trainings):.1f} s of training: {sum(saving) / sum(trainings):.2%}"
    )


if __name__ == "__main__":
    main()

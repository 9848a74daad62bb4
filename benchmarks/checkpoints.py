"""What saving costs: the share of a training's time that checkpoints and histories take.

python benchmarks/checkpoints.py                       # the default fit
python benchmarks/checkpoints.py --data tiny-imagenet --root ZIP --model sprint --epochs 1
"""

import argparse
import os
import tempfile
import time

from tinyconv import startup
from tinyconv.data.cache import cache_root

startup.start()
from tinyconv import training, verbs  # noqa: E402  Keras is loaded silently first


def timed(function, seconds: list[float]):
    def wrapper(*given):
        start = time.perf_counter()
        function(*given)
        seconds.append(time.perf_counter() - start)

    return wrapper


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--root")
    parser.add_argument("--model", default="convnet")
    parser.add_argument("--epochs", type=int, default=20)
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    os.environ["TINYCONV_CACHE"] = str(cache_root().resolve())
    saves, trainings = [], []
    training.Training.save = timed(training.Training.save, saves)
    training.Training.run = timed(training.Training.run, trainings)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TINYCONV_RUNS"] = folder
        verbs.fit(**given)
    print(
        f"{len(saves)} saves, {sum(saves):.2f} s of {sum(trainings):.1f} s: "
        f"{sum(saves) / sum(trainings):.2%}; the longest {max(saves):.3f} s"
    )


if __name__ == "__main__":
    main()

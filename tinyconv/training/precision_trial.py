"""The precision of a network on a GPU, timed on the network itself.

Which format is fastest depends on the card and on the network: tensor cores are idle in small
layers. So a long training tries each format that its GPU has for a few steps, and a format whose
first loss is not float32's is out. It is done before the first step, and only for a new run.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping

from tinyconv import precision
from tinyconv.precision import WORTHWHILE
from tinyconv.system import console, gpu, processes

STEPS = 7  # timed steps in each format, in turn
CLOSE = 0.05  # relative difference of the first loss from float32's, above which a format is out


@dataclasses.dataclass(frozen=True)
class Timing:
    """Training steps in one format: the median of their seconds, and the loss of the first."""

    seconds: float
    loss: float


def settle(run, policy: str, pictures, build: Callable, batches: Callable) -> str:
    """The dtype policy of a run: on a GPU, where time is worth it, the one that trains it fastest.

    A run keeps `policy` where it was requested, where the training is short or --deterministic,
    where the run resumes or starts from another network, and without a GPU that has a choice.
    The settings.json of the run will hold the policy and the timings.

    Args:
        run: the Run to train, with RecipeSettings as its options.
        policy: what `training.prepare` returned.
        pictures: the training pictures (N, H, W, C).
        build: `build(policy)` returns the compiled network.
        batches: `batches(epoch, first_step)` yields the training's (inputs, targets).

    Returns:
        The policy's name.
    """
    options = run.options
    cards = gpu.devices()
    formats = precision.fast_on(cards[0]) if cards else ()
    is_fixed = options.precision != "auto" or options.deterministic or options.from_ is not None
    if len(formats) < 2 or is_fixed or run.state() is not None:
        return policy
    if not precision.is_long(options, pictures.shape):
        return policy
    console.print_line(f"precision  timing {', '.join(formats)} on this network")
    timings = measure(formats, build, *next(iter(batches(0, 0))), seed=options.seed)
    policy, why = processes.of_first(fastest(timings))
    console.print_line(f"precision  {policy}: {why}")
    run.settings["policy"] = policy
    run.settings["precision_trial"] = {
        name: dataclasses.asdict(timing) for name, timing in timings.items()
    }
    return policy


def measure(
    formats, build: Callable, inputs, targets, seed: int, now: Callable[[], float] = time.monotonic
) -> dict[str, Timing]:
    """Train the same network in each format, in turn.

    Args:
        formats: names of dtype policies.
        build: `build(policy)` returns the compiled network.
        inputs, targets: one batch.
        seed: of the weights, and of every random number generator afterwards.
        now: returns the time in seconds.

    Returns:
        The Timing of each format.
    """
    import keras

    networks, losses, seconds = {}, {}, {name: [] for name in formats}
    for name in formats:
        keras.utils.set_random_seed(seed)
        networks[name] = build(name)
        logs = networks[name].train_on_batch(inputs, targets, return_dict=True)
        losses[name] = float(logs["loss"])
    for _ in range(STEPS):
        for name, network in networks.items():
            start = now()
            network.train_on_batch(inputs, targets)
            seconds[name].append(now() - start)
    keras.utils.set_random_seed(seed)
    return {name: Timing(statistics.median(seconds[name]), losses[name]) for name in formats}


def fastest(timings: Mapping[str, Timing]) -> tuple[str, str]:
    """The format to train in, and why.

    Another format than float32 must be clearly faster, and float16 clearly faster than bfloat16,
    which needs no loss scaling.

    Args:
        timings: of the formats, in order of preference; float32 is the last.

    Returns:
        (the policy's name, the reason in one clause).
    """
    plain = timings["float32"]
    choice = "float32"
    for name, timing in timings.items():
        is_faster = timing.seconds * WORTHWHILE < timings[choice].seconds
        if is_close(timing, plain) and is_faster:
            choice = name
    speeds = [
        f"{name} is {plain.seconds / timing.seconds:.2f} times as fast as float32"
        + ("" if is_close(timing, plain) else " and computes another first loss")
        for name, timing in timings.items()
        if name != "float32"
    ]
    losses = ", ".join(f"{timing.loss:.4g}" for timing in timings.values())
    return choice, f"{' and '.join(speeds)}; first losses {losses}"


def is_close(timing: Timing, plain: Timing) -> bool:
    """Whether the first loss is that of float32, to the digits of a half."""
    return abs(timing.loss - plain.loss) <= CLOSE * abs(plain.loss)

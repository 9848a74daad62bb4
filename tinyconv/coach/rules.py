"""The coach's rules: pure functions from measured numbers to a sentence or None.

`__init__.py` calls each where its numbers are measured. Each threshold is given with its reason.
"""

import math
from collections.abc import Mapping, Sequence

from tinyconv.system import console

# Before -------------------------------------------------------------------------------------

FLAT = 8  # standard deviation in grey levels, below which a network for 0 to 255 sees one grey
DARK = 32  # brightest pixel of pictures that were probably saved in another range than 0 to 255
COMMON, RARE = 5, 10  # a class with this many times more, or fewer, pictures than the mean
MIN_MEAN_COUNT = 20  # mean pictures per class, below which counts differ by chance
DUPLICATES = 0.01  # fraction of held-out pictures that are trained on too
ACCURACY = 0.9  # for which the standard error is given
MAX_ERROR = 0.03  # standard error: with more than that, most gains cannot be seen
LONG = 60  # seconds of training that are worth announcing


def slow_numbers(policy: str, has_gpu: bool, has_bfloat16: bool) -> str | None:
    """A precision for which this hardware has no fast instructions; see `precision.py`."""
    if has_gpu or policy == "float32" or (policy == "mixed_bfloat16" and has_bfloat16):
        return None
    cost = (
        "is 24 to 84 times slower than float32"
        if policy == "mixed_float16"
        else "has fewer digits than float32 and no instructions that make it faster"
    )
    return f"The precision {policy} {cost} on this processor; leave out --precision."


def input_scale(pixel_spread: float, brightest_pixel: int) -> str | None:
    """Pictures that are almost black, or almost uniform; in levels from 0 to 255."""
    if brightest_pixel == 0:
        return "All training pictures in a sample are black: check how they were saved."
    if brightest_pixel <= DARK:
        return (
            f"The training pictures are almost black: their brightest pixel is {brightest_pixel}, "
            f"and networks take 0 to 255; multiply the pixels by {255 // brightest_pixel}."
        )
    if pixel_spread < FLAT:
        return (
            "The training pictures are almost uniform: their pixels have a standard deviation of "
            f"{pixel_spread:.1f} levels of 255; increase their contrast."
        )
    return None


def imbalance(class_counts: Mapping[str, int]) -> str | None:
    """A class so common that predicting it always looks accurate, or a very rare one."""
    total = sum(class_counts.values())
    mean = total / len(class_counts)
    most = max(class_counts, key=class_counts.get)
    least = min(class_counts, key=class_counts.get)
    fraction = class_counts[most] / total
    # Among few classes none can have five times the mean; the threshold is then halfway between an
    # equal fraction and 1.
    is_common = fraction >= min(COMMON / len(class_counts), (1 + 1 / len(class_counts)) / 2)
    if mean < MIN_MEAN_COUNT or not (is_common or class_counts[least] * RARE <= mean):
        return None
    always = f": always predicting {most} would be {fraction:.0%} accurate" if is_common else ""
    return (
        f"The classes are imbalanced: {class_counts[most]:,} of {total:,} training pictures are of "
        f"{most} and {class_counts[least]:,} of {least}{always}; judge by balanced accuracy and "
        "the confusion matrix, train classify with --class-weight balanced, or collect pictures of "
        "the rare classes."
    )


def seen_before(
    held_out: str, duplicates: int, held_out_pictures: int, unit: str = "pictures"
) -> str | None:
    """Held-out examples that are also trained on; `unit` is their plural noun."""
    if duplicates < DUPLICATES * held_out_pictures or not duplicates:
        return None
    verb = "is" if duplicates == 1 else "are"
    return (
        f"{duplicates:,} of the {held_out_pictures:,} {held_out} {unit} {verb} among the training "
        f"{unit}{', pixel by pixel' if unit == 'pictures' else ''}: memorised answers will count "
        "as generalisation; remove them from one of the two."
    )


def small_validation(validation_pictures: int, unit: str = "pictures") -> str | None:
    """The standard error of an accuracy p on n pictures is sqrt(p (1 - p) / n)."""
    error = math.sqrt(ACCURACY * (1 - ACCURACY) / validation_pictures)
    if error <= MAX_ERROR:
        return None
    needed = math.ceil(ACCURACY * (1 - ACCURACY) / MAX_ERROR**2)
    if validation_pictures == 1:
        return (
            f"One validation {unit.removesuffix('s')} measures nothing; hold back {needed} or more."
        )
    return (
        f"{validation_pictures} validation {unit} are few: for a network with an accuracy of "
        f"{ACCURACY:.0%} they show {ACCURACY - error:.0%} to {min(1, ACCURACY + error):.0%} by "
        f"chance alone; trust no smaller difference, or hold back {needed} or more."
    )


def first_loss(first_loss: float, chance: float) -> str | None:
    """The first loss should be that of equal scores: ln K for softmax, K - 1 for the hinge."""
    if first_loss > 1.5 * chance:
        return (
            f"The first loss is {first_loss:.2f}, where equal scores have {chance:.2f}: the "
            "network is confident of wrong predictions before it has learnt anything; start with "
            "smaller weights in the last layer, and check that the pixels are in its range."
        )
    if first_loss < 0.5 * chance:
        return (
            f"The first loss is {first_loss:.2f}, where equal scores have {chance:.2f}: the "
            "network knows the answers already; check whether the label is in the picture."
        )
    return None


def how_long(expected_seconds: float, epochs: int) -> str | None:
    """The time of the whole run, at the pace of its first steps."""
    if expected_seconds < LONG:
        return None
    return (
        f"{epochs} epochs will take about {console.duration(expected_seconds)}, at the pace of the "
        "first steps; --minutes 20 trains for 20 minutes, and --limit 1000 is a quick trial."
    )


# During -------------------------------------------------------------------------------------

STUCK = 0.98  # fraction of the loss of chance
PATIENT = 300  # steps: by then the zoo's networks are below it, and the schedule's warm-up is over
RISEN = 2  # times the loss of chance: no network recovers from there
DEAD = 0.5  # fraction of a layer's units
SPAN = 20  # steps that the mean of gradients covers: it starts at 0, and loses 0.1 of it a step
FADE_STEPS = 140  # steps after which the mean of gradients, 0.9^n, shows that none arrived
WEAK, STRONG = 1e-5, 1e3  # of the loss of chance; the zoo has 0.01 to 10 on digits
LATER = 3  # epochs in which the validation loss has been worse
WORSE = 0.1, 0.05  # of the best and of the first validation loss: a smaller rise is noise
IDLE = 0.2  # fraction of the time
MIN_EPOCH_SECONDS = 10  # seconds of an epoch: in a short one the first batches cannot be prefetched


def diverging(
    recent_loss: float, initial_loss: float, chance_loss: float, learning_rate: float, steps: int
) -> str | None:
    """A loss that grows without bound: above the initial loss, and above that of chance."""
    if steps < 20 or recent_loss < RISEN * max(initial_loss, chance_loss):
        return None
    return (
        f"The loss has risen from {initial_loss:.3g} to {recent_loss:.3g}: the learning rate is "
        f"too high; stop with Ctrl-C, and try --learning-rate {learning_rate / 10:.2g}."
    )


def stuck(hundred_loss: float, chance_loss: float, steps: int) -> str | None:
    """A mean loss of the last hundred steps that is still, or again, that of chance."""
    if steps < PATIENT or not STUCK * chance_loss < hundred_loss < RISEN * chance_loss:
        return None
    return (
        f"After {steps} steps the loss is {hundred_loss:.2f}, and before anything is learnt it is "
        f"{chance_loss:.2f}; check whether the network can overfit one batch (tinyconv fit "
        "--check), and which learning rates it can learn with (tinyconv lr-find)."
    )


def dead_rectifiers(dead: Mapping[str, tuple[int, int]], steps: int) -> str | None:
    """`dead` has for each layer, from the input on: (units without a gradient, units).

    The sentence names the last layer first: a dead layer passes no gradient to those before it.
    """
    layers = [layer for layer, (count, units) in dead.items() if count > DEAD * units]
    if steps < FADE_STEPS or not layers:
        return None
    count, units = dead[layers[-1]]
    before = f", and most of those of {', '.join(layers[:-1])}," if len(layers) > 1 else ""
    return (
        f"{count} of {units} units of {layers[-1]}{before} have had no gradient for a hundred "
        "steps: their rectifiers output 0 for every picture and cannot recover; use a lower "
        "--learning-rate, or --activation prelu, which does not die."
    )


def vanishing(influence: Mapping[str, float], steps: int) -> str | None:
    """`influence` of each layer's weights on the loss: |gradient| |weights| / loss of chance.

    In the first steps it is no measure: the mean gradient is not one yet, and weights that start at
    zero, such as word2vec's output vectors, pass no gradient to the layer before them.
    """
    weakest = min(influence, key=influence.get)
    if steps < SPAN or influence[weakest] > WEAK:
        return None
    return (
        f"Hardly any gradient reaches {weakest}: other weights of the same size would change the "
        f"loss by only {influence[weakest]:.0e} of its value; use He initialisation for rectifiers "
        "(layers.he_normal), and give deep networks shortcuts or batch normalisation."
    )


def exploding(influence: Mapping[str, float]) -> str | None:
    """The opposite of `vanishing`."""
    strongest = max(influence, key=influence.get)
    if influence[strongest] < STRONG:
        return None
    return (
        f"The gradient of {strongest} is very large: weights that are a thousandth larger or "
        "smaller would double the loss; use He initialisation for rectifiers (layers.he_normal), "
        "or put batch normalisation after the layer."
    )


def overfitting(history: Sequence[Mapping[str, float]]) -> str | None:
    """The training loss falls, and the validation loss has been worse since epoch N."""
    if not history or "val_loss" not in history[0]:
        return None
    best = min(range(len(history)), key=lambda i: history[i]["val_loss"])
    since = history[best + 1 :]
    rise = max(WORSE[0] * history[best]["val_loss"], WORSE[1] * history[0]["val_loss"])
    worse = [row["val_loss"] > history[best]["val_loss"] + rise for row in since[-LATER:]]
    if len(worse) < LATER or not all(worse):
        return None
    # An overfitting network has a lower loss on training data; a collapsed one has not.
    if since[-1]["loss"] > min(history[best]["loss"], since[-1]["val_loss"] - rise):
        return None
    return (
        f"Since epoch {history[best]['epoch']:.0f} the network overfits: its validation loss has "
        f"gone from {history[best]['val_loss']:.3g} to {since[-1]['val_loss']:.3g}, and its "
        f"training loss from {history[best]['loss']:.3g} to {since[-1]['loss']:.3g}; best.keras "
        "is from that epoch. Try --augment strong, more pictures or a smaller network; "
        "--patience 3 stops early."
    )


def waiting(waiting_share: float, epoch_seconds: float) -> str | None:
    """The network is faster than the input pipeline."""
    if waiting_share < IDLE or epoch_seconds < MIN_EPOCH_SECONDS:
        return None
    return (
        f"The network spent {waiting_share:.0%} of the epoch waiting for pictures: check what else "
        "is running on this machine, keep the cache on a fast disk ($TINYCONV_CACHE), and try "
        "--augment basic or none."
    )


LESSONS = {  # rule: the lesson that explains its sentence
    "slow_numbers": 10,
    "input_scale": 7,
    "imbalance": 2,
    "seen_before": 9,
    "small_validation": 9,
    "first_loss": 2,
    "how_long": 14,
    "diverging": 3,
    "stuck": 3,
    "dead_rectifiers": 6,
    "vanishing": 7,
    "exploding": 7,
    "overfitting": 9,
    "waiting": 10,
}

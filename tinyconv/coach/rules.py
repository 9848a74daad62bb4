"""What the coach makes of measured numbers: pure functions that give a sentence or None.

`__init__.py` calls each where its numbers are measured. Each threshold stands beside its reason.
"""

import math
from collections.abc import Mapping, Sequence

from tinyconv.system import console

# Before -------------------------------------------------------------------------------------

FLAT = 8  # grey levels: pictures of less spread look like one grey to networks made for 0 to 255
DARK = 32  # the brightest pixel of pictures that were saved in another range than 0 to 255
COMMON, RARE = 5, 10  # times as many, or as few, pictures as a class has on the mean
COUNTED = 20  # pictures a class on the mean, below which counts differ by luck
TWICE = 0.01  # share of held-out pictures that are trained on too
SURE = 0.9  # share of right answers that luck is told for
LUCK = 0.03  # standard error of it: beside more than that, most gains cannot be seen
LONG = 60  # seconds of training that are worth announcing


def slow_numbers(policy: str, gpu: bool, narrow_instructions: bool) -> str | None:
    """A number format that this hardware has no instructions for; see `precision.py`."""
    if gpu or policy == "float32" or (policy == "mixed_bfloat16" and narrow_instructions):
        return None
    cost = (
        "is 24 to 84 times slower than float32"
        if policy == "mixed_float16"
        else "has fewer digits than float32 and no instructions that make it faster"
    )
    return f"The number format {policy} {cost} on this processor; leave out --precision."


def input_scale(pixel_spread: float, brightest_pixel: int) -> str | None:
    """Pictures that are all but black, or all but one grey; in levels from 0 to 255."""
    if brightest_pixel == 0:
        return "The training pictures are black, all that were looked at: see how they were saved."
    if brightest_pixel <= DARK:
        return (
            f"The training pictures are all but black, {brightest_pixel} at their brightest, and "
            f"networks take pixels from 0 to 255; multiply them by {255 // brightest_pixel}."
        )
    if pixel_spread < FLAT:
        return (
            "The training pictures are all but one grey: their pixels have a standard deviation of "
            f"{pixel_spread:.1f} levels of 255; stretch their contrast."
        )
    return None


def imbalance(class_counts: Mapping[str, int]) -> str | None:
    """A class that saying always is half a solution, or one that is hardly ever seen."""
    total = sum(class_counts.values())
    mean = total / len(class_counts)
    most = max(class_counts, key=class_counts.get)
    least = min(class_counts, key=class_counts.get)
    share = class_counts[most] / total
    # Of few classes none can have five times the mean: half of the way to all of them, then.
    is_common = share >= min(COMMON / len(class_counts), (1 + 1 / len(class_counts)) / 2)
    if mean < COUNTED or not (is_common or class_counts[least] * RARE <= mean):
        return None
    blind = f": {most} for everything would be right about {share:.0%}" if is_common else ""
    return (
        f"Of {total:,} training pictures {class_counts[most]:,} are of {most} and "
        f"{class_counts[least]:,} of {least}{blind}; judge by the confusion matrix, and gather "
        "pictures of the rare classes or leave out some of the common ones."
    )


def seen_before(
    held_out: str, duplicates: int, held_out_pictures: int, unit: str = "pictures"
) -> str | None:
    """Examples that are trained on and measured on; `unit` is what they are."""
    if duplicates < TWICE * held_out_pictures or not duplicates:
        return None
    return (
        f"{duplicates:,} of the {held_out_pictures:,} {held_out} {unit} are among the training "
        f"{unit}{', pixel by pixel' if unit == 'pictures' else ''}: what is learnt by heart will "
        "count as understood; take them out of one of the two."
    )


def small_validation(validation_pictures: int, unit: str = "pictures") -> str | None:
    """The standard error of a share p of n pictures is sqrt(p (1 - p) / n)."""
    luck = math.sqrt(SURE * (1 - SURE) / validation_pictures)
    if luck <= LUCK:
        return None
    return (
        f"{validation_pictures} validation {unit} tell little: of a network that is right about "
        f"{SURE:.0%} they show {SURE - luck:.0%} to {min(1, SURE + luck):.0%} by luck alone; trust "
        f"no smaller difference, or hold back {math.ceil(SURE * (1 - SURE) / LUCK**2)} or more."
    )


def first_loss(first_loss: float, chance: float) -> str | None:
    """The first loss is that of a network that knows nothing: ln K for softmax, K - 1 for hinge."""
    if first_loss > 1.5 * chance:
        return (
            f"The first loss is {first_loss:.2f}, and {chance:.2f} is that of a network that knows "
            "nothing: it is sure of wrong answers before it has learnt anything; begin with "
            "smaller weights in the last layer, and see that pixels are in its range."
        )
    if first_loss < 0.5 * chance:
        return (
            f"The first loss is {first_loss:.2f}, and a network that knows nothing has "
            f"{chance:.2f}: it knows the answers already; see whether the label is in the picture."
        )
    return None


def how_long(expected_seconds: float, epochs: int) -> str | None:
    """The whole run at the pace of its first steps."""
    if expected_seconds < LONG:
        return None
    return (
        f"{epochs} epochs will take about {console.duration(expected_seconds)}, at the pace of the "
        "first steps; --minutes 20 trains for that long, and --limit 1000 has a quick look."
    )


# During -------------------------------------------------------------------------------------

STUCK = 0.98  # share of the loss of knowing nothing
PATIENT = 300  # steps: the zoo's networks have left it by then, the warm-up of the schedule too
RISEN = 2  # times the loss of knowing nothing: no network learns from up there
SILENT = 0.5  # share of a layer's units
FADED = 140  # steps after which the mean of gradients, 0.9^n, shows that none came
WEAK, STRONG = 1e-5, 1e3  # of the loss of knowing nothing; the zoo has 0.01 to 10 on digits
LATER = 3  # epochs that validation has been getting worse for
WORSE = 0.1, 0.05  # of the best and of the first validation loss: less than that is wavering
IDLE = 0.2  # share of the time
SETTLED = 10  # seconds of an epoch: a short one's first batches cannot have been made ahead


def diverging(
    recent_loss: float, begun_loss: float, idle_loss: float, learning_rate: float, steps: int
) -> str | None:
    """A loss on its way to infinity: above what it began with, and what knowing nothing has."""
    if steps < 20 or recent_loss < RISEN * max(begun_loss, idle_loss):
        return None
    return (
        f"The loss has risen from {begun_loss:.3g} to {recent_loss:.3g}: the steps are too large; "
        f"stop with Ctrl-C, and try --learning-rate {learning_rate / 10:.2g}."
    )


def stuck(hundred_loss: float, idle_loss: float, steps: int) -> str | None:
    """A loss that stays, or ends, where nothing is known; `idle_loss` is that of chance."""
    if steps < PATIENT or not STUCK * idle_loss < hundred_loss < RISEN * idle_loss:
        return None
    return (
        f"After {steps} steps the loss is {hundred_loss:.2f}, and without having learnt anything "
        f"it is {idle_loss:.2f}; see whether it can learn one batch by heart (tinyconv fit "
        "--check), and which steps it learns by (tinyconv lr-find)."
    )


def dead_rectifiers(silent: Mapping[str, tuple[int, int]], steps: int) -> str | None:
    """`silent` holds by layer how many of how many units no gradient reached; from the input on.

    Of layers one behind the other the last is told: what lies before a dead one starves.
    """
    dead = [layer for layer, (none, units) in silent.items() if none > SILENT * units]
    if steps < FADED or not dead:
        return None
    none, units = silent[dead[-1]]
    before = f", and most of those of {', '.join(dead[:-1])}," if len(dead) > 1 else ""
    return (
        f"{none} of {units} units of {dead[-1]}{before} have had no gradient for a hundred "
        "steps: their rectifiers give 0 for every picture, and stay there; take a smaller "
        "--learning-rate, or --activation prelu, which does not die."
    )


def vanishing(pull: Mapping[str, float]) -> str | None:
    """`pull` is by layer how far its weights move the loss: |gradient| |weights| / idle loss."""
    weakest = min(pull, key=pull.get)
    if pull[weakest] > WEAK:
        return None
    return (
        f"Hardly any gradient reaches {weakest}: other weights of that size would change the loss "
        f"by {pull[weakest]:.0e} of itself; begin with He's weights for rectifiers "
        "(layers.he_normal), and give deep networks shortcuts or batch normalisation."
    )


def exploding(pull: Mapping[str, float]) -> str | None:
    """As `vanishing`, at the other end."""
    strongest = max(pull, key=pull.get)
    if pull[strongest] < STRONG:
        return None
    return (
        f"The gradient of {strongest} is very large: weights that are a thousandth larger or "
        "smaller would double the loss; begin with He's weights for rectifiers (layers.he_normal), "
        "or put batch normalisation behind the layer."
    )


def overfitting(history: Sequence[Mapping[str, float]]) -> str | None:
    """Training gets better than validation, which has been getting worse since epoch N."""
    if not history or "val_loss" not in history[0]:
        return None
    best = min(range(len(history)), key=lambda i: history[i]["val_loss"])
    since = history[best + 1 :]
    rise = max(WORSE[0] * history[best]["val_loss"], WORSE[1] * history[0]["val_loss"])
    worse = [row["val_loss"] > history[best]["val_loss"] + rise for row in since[-LATER:]]
    if len(worse) < LATER or not all(worse):
        return None
    # What was learnt by heart is known better than the rest; after a collapse nothing is.
    if since[-1]["loss"] > min(history[best]["loss"], since[-1]["val_loss"] - rise):
        return None
    return (
        f"Since epoch {history[best]['epoch']:.0f} it learns by heart: its validation loss has "
        f"gone from {history[best]['val_loss']:.3g} to {since[-1]['val_loss']:.3g}, and that of "
        f"training from {history[best]['loss']:.3g} to {since[-1]['loss']:.3g}; best.keras keeps "
        "that epoch. Try --augment strong, more pictures or a smaller network; --patience 3 ends "
        "in time."
    )


def waiting(waiting_share: float, epoch_seconds: float) -> str | None:
    """The network is faster than whoever brings its pictures."""
    if waiting_share < IDLE or epoch_seconds < SETTLED:
        return None
    return (
        f"The network spent {waiting_share:.0%} of the epoch waiting for pictures: see what else "
        "this machine is at work on, keep the cache on a fast disk ($TINYCONV_CACHE), and try "
        "--augment basic or none."
    )


LESSONS = {  # by rule, the lesson that explains its sentence
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

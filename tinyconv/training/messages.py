"""What a training records and prints: an epoch's row and line, and that its loss diverged."""

from tinyconv.runs.schema import TIMES

PACE = ("epoch", "learning_rate", *TIMES)  # columns that do not measure learning


def row(loop, speed: float, waiting: float) -> dict[str, float]:
    """The row of history.csv for an epoch so far.

    Args:
        loop: the Training.
        speed: examples per second.
        waiting: fraction of the time in which the network waited for data.

    Returns:
        {column: number}.
    """
    state = loop.state
    return {
        "epoch": state.epoch + 1,
        "seconds": state.seconds,
        "learning_rate": loop.rate,
        "pictures_per_second": speed,
        "waiting": waiting,
        **{name: total / state.step for name, total in state.sums.items()},
    }


def epoch_line(loop) -> str:
    """The numbers of an epoch so far, and those of the last validation, on one line.

    Args:
        loop: the Training; its attribute `row` is the epoch's row of history.csv.

    Returns:
        The line.
    """
    settings, row = loop.settings, loop.row
    total = "" if settings.minutes else f"/{settings.epochs}"
    last = loop.state.rows[-1] if loop.state.rows else {}
    training = {name: row[name] for name in row if name not in PACE and name[:4] != "val_"}
    validation = {name[4:]: last[name] for name in last if name[:4] == "val_"}
    return "  ".join(
        [
            f"epoch {row['epoch']}{total}",
            *(f"{name} {value:.3f}" for name, value in training.items()),
            *(["| validation"] if validation else []),
            *(f"{name} {value:.3f}" for name, value in validation.items()),
            f"| {row['pictures_per_second']:,.0f} {loop.unit}/s",
            f"waiting for data {row['waiting']:.1%}",
        ]
    )


def divergence(loop, loss: float, rate: float) -> str:
    """The error message of a run whose loss diverged, after its last checkpoint was written.

    Args:
        loop: the Training.
        loss: the loss of the step, NaN or infinite.
        rate: the learning rate of the step.

    Returns:
        The message: what happened, what is saved, and what to try.
    """
    state = loop.state
    outcome = "there is no checkpoint"
    if saved := loop.run_folder.state():
        outcome = f"the checkpoint of epoch {saved['epoch']} is in {loop.run_folder.path}"
    return (
        f"The loss became {loss} in epoch {state.epoch + 1}, step {state.step + 1}; {outcome}. "
        f"The probable cause is a learning rate too high for this network ({rate:.2g}); "
        f"try --learning-rate {loop.settings.peak_rate / 10:.2g}."
    )

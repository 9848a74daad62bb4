"""`--tensorboard`: a run's curves as event files, which TensorBoard shows while it trains.

An event file is a TFRecord file of Event messages. TensorFlow, which is there on JAX too, writes
them. The names are those of Keras' own callback, `epoch_loss` by epoch and `batch_loss` by step,
in the folders `train` and `validation`, which TensorBoard draws over each other.
"""

import contextlib
import importlib.util
import time
from pathlib import Path

from tinyconv import screen

EVERY = 10  # steps from one point of a `batch_` curve to the next
FOLDERS = ("train", "validation")


class Events:
    """Writes the event files of a training.Training: asked after each step and each epoch."""

    def __init__(self, loop):
        state = loop.state
        self.done = {"epoch": state.epoch, "batch": state.epoch * loop.steps_per_epoch + state.step}
        self.writers = None

    def after_step(self, loop, targets, loss: float) -> None:
        """A point of the curves by step, now and then."""
        step = loop.state.epoch * loop.steps_per_epoch + loop.state.step
        if step % EVERY == 0:
            rate = float(loop.model.optimizer.learning_rate)
            self._write(loop, "train", step, batch_loss=loss, batch_learning_rate=rate)

    def after_epoch(self, loop) -> None:
        """A point of each curve of history.csv."""
        row = {name: value for name, value in loop.state.rows[-1].items() if name != "epoch"}
        shown = {
            "train": {name: row[name] for name in row if name[:4] != "val_"},
            "validation": {name[4:]: row[name] for name in row if name[:4] == "val_"},
        }
        for place, values in shown.items():
            points = {f"epoch_{name}": value for name, value in values.items()}
            self._write(loop, place, loop.state.epoch, **points)

    def _write(self, loop, place: str, step: int, **points: float) -> None:
        if self.writers is None:
            folder = loop.folder.path / "tensorboard"
            self.writers = {name: opened(folder / name, self.done) for name in FOLDERS}
            missing = importlib.util.find_spec("tensorboard") is None
            more = "  (after: pip install tensorboard)" if missing else ""
            screen.say(f"curves     tensorboard --logdir {folder}{more}")
        for tag, value in points.items():
            self.writers[place].write(_event(step, tag, value))
        self.writers[place].flush()


def _event(step: int, tag: str, value: float) -> bytes:
    import tensorflow as tf

    scalar = tf.compat.v1.Summary.Value(tag=tag, simple_value=value)
    summary = tf.compat.v1.Summary(value=[scalar])
    event = tf.compat.v1.Event(wall_time=time.time(), step=step, summary=summary)
    return event.SerializeToString()


def opened(folder: Path, done: dict[str, int]):
    """A writer into `folder`, which has the points that are there up to `done` and no others.

    `done` is the last step by what a tag begins with. A run that goes on repeats what it did after
    its checkpoint: those points go, for a reader would see them twice.
    """
    import tensorflow as tf

    folder.mkdir(parents=True, exist_ok=True)
    before, kept = sorted(folder.iterdir()), {}
    for file in before:
        # The last record of a process that was killed may be torn.
        with contextlib.suppress(tf.errors.DataLossError):
            for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
                event = tf.compat.v1.Event.FromString(record)
                for value in event.summary.value:
                    if event.step <= done[value.tag.partition("_")[0]]:
                        kept[value.tag, event.step] = record
    writer = tf.io.TFRecordWriter(str(folder / f"events.out.tfevents.{time.time():.6f}"))
    version = tf.compat.v1.Event(wall_time=time.time(), file_version="brain.Event:2")
    for record in (version.SerializeToString(), *kept.values()):
        writer.write(record)
    writer.flush()
    for file in before:
        file.unlink()
    return writer

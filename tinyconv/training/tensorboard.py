"""`--tensorboard`: a run's curves as event files, which TensorBoard shows while it trains.

An event file is a TFRecord file of Event messages, which TensorFlow writes or, where it is not
installed, the package `tensorboard`. The names are those of Keras' own callback, `epoch_loss` by
epoch and `batch_loss` by step, in the folders `train` and `validation`, which TensorBoard draws
over each other.
"""

import contextlib
import functools
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from tinyconv.errors import UserError
from tinyconv.system import console
from tinyconv.system.start_keras import is_installed

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
            more = "" if is_installed("tensorboard") else "  (after: pip install tensorboard)"
            console.say(f"curves     tensorboard --logdir {folder}{more}")
        for tag, value in points.items():
            self.writers[place].write(_event(step, tag, value))
        self.writers[place].flush()


@functools.cache
def files() -> SimpleNamespace:
    """What event files are made with: Event, Summary, writer(path) and records(path).

    `records` yields bytes, up to one that is torn: the last one of a process that was killed.
    Raises UserError where neither TensorFlow nor the package `tensorboard` can be imported.
    """
    with contextlib.suppress(ImportError):
        import tensorflow as tf

        v1 = tf.compat.v1
        return SimpleNamespace(
            Event=v1.Event,
            Summary=v1.Summary,
            writer=tf.io.TFRecordWriter,
            records=_tensorflow_records,
        )
    try:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.summary.writer.record_writer import RecordWriter
    except ImportError as error:
        raise UserError(
            f"--tensorboard needs {error.name}, which is not installed; "
            "install it with: pip install tensorboard"
        ) from error
    return SimpleNamespace(
        Event=Event,
        Summary=Summary,
        writer=lambda path: RecordWriter(Path(path).open("wb")),
        records=_tensorboard_records,
    )


def _tensorflow_records(path: str) -> Iterator[bytes]:
    import tensorflow as tf

    with contextlib.suppress(tf.errors.DataLossError):
        yield from tf.data.TFRecordDataset(path).as_numpy_iterator()


def _tensorboard_records(path: str) -> Iterator[bytes]:
    from tensorboard.compat.tensorflow_stub import errors
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New

    reader = PyRecordReader_New(path)
    with contextlib.suppress(errors.OutOfRangeError, errors.DataLossError):
        while True:
            reader.GetNext()
            yield reader.record()


def _event(step: int, tag: str, value: float) -> bytes:
    scalar = files().Summary.Value(tag=tag, simple_value=value)
    summary = files().Summary(value=[scalar])
    event = files().Event(wall_time=time.time(), step=step, summary=summary)
    return event.SerializeToString()


def opened(folder: Path, done: dict[str, int]):
    """A writer into `folder`, which has the points that are there up to `done` and no others.

    `done` is the last step by what a tag begins with. A run that goes on repeats what it did after
    its checkpoint: those points go, for a reader would see them twice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    before, points = sorted(folder.iterdir()), {}
    for file in before:
        for record in files().records(str(file)):
            event = files().Event.FromString(record)
            for value in event.summary.value:
                if event.step <= done[value.tag.partition("_")[0]]:
                    points[value.tag, event.step] = record
    writer = files().writer(str(folder / f"events.out.tfevents.{time.time():.6f}"))
    version = files().Event(wall_time=time.time(), file_version="brain.Event:2")
    for record in (version.SerializeToString(), *points.values()):
        writer.write(record)
    writer.flush()
    for file in before:
        file.unlink()
    return writer

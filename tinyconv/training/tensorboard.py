"""`--tensorboard`: a run's curves as event files, which TensorBoard shows during training.

An event file is a TFRecord file of Event messages. TensorFlow writes it or, if that is not
installed, the package `tensorboard`. The tags are those of Keras' own callback, `epoch_loss` by
epoch and `batch_loss` by step, in the folders `train` and `validation`, which TensorBoard plots
in one chart.
"""

import contextlib
import functools
import math
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

from tinyconv.errors import UserError
from tinyconv.system import console
from tinyconv.system.start_keras import is_installed

EVERY = 10  # steps between two points of a `batch_` curve
FOLDERS = ("train", "validation")


class Events:
    """Writes the event files of a training.Training; called after each step and each epoch."""

    next_look = math.inf  # steps: it reads no weights

    def __init__(self, loop):
        state = loop.state
        self.done = {"epoch": state.epoch, "batch": state.epoch * loop.steps_per_epoch + state.step}
        self.writers = None

    def after_step(self, loop, targets, loss: float) -> None:
        """Write a point of each curve by step, every `EVERY` steps."""
        step = loop.state.epoch * loop.steps_per_epoch + loop.state.step
        if step % EVERY == 0:
            self._write(loop, "train", step, batch_loss=loss, batch_learning_rate=loop.rate)

    def after_epoch(self, loop) -> None:
        """Write a point of each curve of history.csv."""
        row = {name: value for name, value in loop.state.rows[-1].items() if name != "epoch"}
        columns = {
            "train": {name: row[name] for name in row if name[:4] != "val_"},
            "validation": {name[4:]: row[name] for name in row if name[:4] == "val_"},
        }
        for folder, values in columns.items():
            points = {f"epoch_{name}": value for name, value in values.items()}
            self._write(loop, folder, loop.state.epoch, **points)

    def _write(self, loop, folder: str, step: int, **points: float) -> None:
        if self.writers is None:
            top = loop.run_folder.path / "tensorboard"
            self.writers = {name: open_writer(top / name, self.done) for name in FOLDERS}
            more = "" if is_installed("tensorboard") else "  (after: pip install tensorboard)"
            console.print_line(f"curves     tensorboard --logdir {top}{more}")
        for tag, value in points.items():
            self.writers[folder].write(_event(step, tag, value))
        self.writers[folder].flush()


@functools.cache
def files() -> SimpleNamespace:
    """The parts of event files: Event, Summary, writer(path) and records(path).

    `records` yields bytes up to an incomplete record: the last one of a process that was killed.
    Raises UserError if neither TensorFlow nor the package `tensorboard` can be imported.
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


def open_writer(folder: Path, done: dict[str, int]):
    """A writer into `folder`; of the points that exist, only those up to `done` are kept.

    `done` maps the beginning of a tag to its last step. A resumed run repeats the steps after its
    checkpoint, whose old points would appear twice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    old_files, points = sorted(folder.iterdir()), {}
    for file in old_files:
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
    for file in old_files:
        file.unlink()
    return writer

"""The training loop that tasks share.

`Training` is the loop of the lecture: a batch, a step down the gradient, and so on; around it
stand the schedule, the clock of `--minutes`, checkpoints, and the clean end of a run that is
stopped or whose loss is no longer a number. Keras' `train_on_batch` does the step on every
backend. `Model.fit` is not used: its input thread stalls at the end of every epoch, and it
cannot go on in the middle of one.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence

import keras

from tinyconv import deprecated, layers, precision
from tinyconv.coach import Coach
from tinyconv.data.pipeline import Feeder
from tinyconv.errors import UserError
from tinyconv.recipe import SCHEDULES, TrainingSettings
from tinyconv.runs.schema import TIMES
from tinyconv.system import console, hardware
from tinyconv.system.interruptions import is_out_of_memory, stop_signals, too_large
from tinyconv.system.private import graphs_released, random_states
from tinyconv.training import checkpoints, tensorboard
from tinyconv.training.clock import Clock, State
from tinyconv.training.optimizers import optimizer, scaled
from tinyconv.training.programs import Programs
from tinyconv.zoo.anatomy import multiply_adds

KEPT = 100  # steps whose loss is kept for `verify`, from the first one on
PACE = ("epoch", "learning_rate", *TIMES)  # columns that tell nothing of how well it learns


def prepare(run, pictures=None) -> str:
    """Seed every generator, settle the precision and print it; returns the dtype policy's name.

    Args:
        run: the Run that is to train.
        pictures: the training pictures (N, H, W, C), whose number tells how long it will take;
            without them the training counts as long.
    """
    settings = run.options
    if settings.tensorboard:
        tensorboard.files()  # raises UserError before there is a folder
    if settings.deterministic and keras.config.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
        console.say("same bits  every time on this machine; costs 3 % of the speed of a resnet18")
    is_long = pictures is None
    if not is_long:  # a list of sentences has a length alone
        is_long = precision.is_long(settings, getattr(pictures, "shape", (len(pictures),)))
    policy, why = precision.choose_for_run(run, is_long)
    console.say(f"device     {hardware.device()}; {keras.config.backend()}; {policy}: {why}")
    keras.utils.set_random_seed(settings.seed)  # last: the choice of precision may draw numbers
    return policy


def describe_model(model) -> None:
    """The model line: name, parameters, multiply-adds."""
    parameters = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    is_of_pictures = len(model.inputs) == 1 and len(model.inputs[0].shape) == 4
    console.say(
        f"model      {model.name}: {parameters:,} parameters, "
        f"{multiply_adds(model) / 1e6:,.1f} million multiply-adds "
        f"{'a picture' if is_of_pictures else 'an example'}"
    )


def compile_model(model, settings: TrainingSettings, loss, metrics, saved=None) -> None:
    """Compile the model; `saved`, a compiled model of a stopped run, gives its state.

    Keras forgets which variables do not decay when it saves an optimizer, so that a fresh
    one is made and filled. Raises UserError where the saved optimizer is of another kind.
    """
    model.compile(
        optimizer=scaled(optimizer(settings), model),
        loss=loss,
        metrics=metrics,
        # XLA's convolutions take twice oneDNN's time on a CPU; on JAX there is nothing else.
        jit_compile=False if hardware.is_tensorflow_on_cpu() else "auto",
    )
    # Made in the first step, its variables would have TensorFlow trace that step twice.
    model.optimizer.build(model.trainable_variables)
    if saved is not None:
        model.set_weights(saved.get_weights())
        checkpoints.restore(model.optimizer, saved.optimizer)


class Training:
    """One run's training: `run` goes from where the run stands to the end of its settings.

    `batches(epoch, first_step)` gives an epoch's (inputs, targets); `validate(model)` the metrics
    after it; the epoch of the greatest `rank(metrics)` becomes best.keras. `stages` are networks
    that train before `model` does, (share of the run until which, network).
    See `progressive_resizing.py`.
    `name` is what a new run's folder is called after. Of a run without a folder nothing is saved.
    """

    def __init__(
        self,
        run,
        model,
        settings: TrainingSettings,
        batches: Callable[[int, int], Iterator],
        steps_per_epoch: int,
        validate: Callable[[keras.Model], dict[str, float]],
        rank: Callable[[dict[str, float]], float],
        stages: Sequence[tuple[float, keras.Model]] = (),
        name: str | None = None,
    ):
        self.folder, self.settings = run, settings
        self.name = name or model.name
        self.stages = [*stages, (math.inf, model)]
        self.batches, self.steps_per_epoch = batches, steps_per_epoch
        self.validate, self.rank = deprecated.validate(validate), rank
        self.state = State(**(run.state() or {}))
        self.clock = Clock(settings, steps_per_epoch, self.state)
        networks = [network for _, network in self.stages]
        self.programs = Programs(run, networks, settings, self.clock.total, self.steps_done)
        self.schedule = SCHEDULES[settings.schedule]
        self.checkpoints = checkpoints.Checkpoints(run, now=self.clock.now)
        self.trained = None  # the network of the last step
        watching = {Coach: not settings.no_coach, tensorboard.Events: settings.tensorboard}
        self.watchers = [watcher(self) for watcher, is_asked in watching.items() if is_asked]
        self.state.progress = self.clock.progress(self.state)
        for variable, value in zip(random_states(self.model), self.state.generators):
            variable.assign(value)

    @property
    def model(self) -> keras.Model:
        """The network of the stage that the run is in."""
        return next(model for until, model in self.stages if self.state.progress < until)

    @property
    def steps_done(self) -> int:
        """Steps done since the run began."""
        return self.state.epoch * self.steps_per_epoch + self.state.step

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, or as many epochs as `--patience` brought nothing better."""
        patience = self.settings.patience
        is_tired = patience is not None and self.state.since_best >= patience
        return is_tired or self.clock.steps_left(self.state) == 0

    def run(self, steps: float = math.inf) -> None:
        """Train to the end, or until so many steps are done since the run began.

        Raises UserError when the loss stops being a number, and KeyboardInterrupt, with
        everything saved, when the first Ctrl-C or SIGTERM asked for a stop.
        """
        if self.folder.settings.get("compiled_from", ...) != self.programs.first:
            self.folder.add(compiled_from=self.programs.first)
        self.folder.keep_changes()
        if self.state.rows:  # a run killed between a checkpoint and its history lacks a row
            self.folder.write_history(self.state.rows)
        done = self.state.progress
        with (
            graphs_released(),
            stop_signals() as stopped,
            console.bar("training", 1.0, done=done) as bar,
        ):
            try:
                is_over = self.is_over
                while not is_over:
                    if self.epoch(bar, stopped, steps):
                        is_over = self.end_epoch(bar)
                    is_over |= self.steps_done >= steps
                    if stopped.is_set() and not is_over:
                        self.stop()
            except Exception as error:
                self.checkpoints.write()
                if is_out_of_memory(error):
                    place = f"in epoch {self.state.epoch + 1}, step {self.state.step + 1}"
                    raise too_large(place, self.settings.batch_size, self.folder.path) from error
                raise

    def stop(self) -> None:
        """Save where training stands, say how to go on, and raise KeyboardInterrupt."""
        self.save(is_best=False, now=True)
        if self.folder.path is not None:
            console.say(f"stopped    go on with: tinyconv fit --resume {self.folder.path}")
        raise KeyboardInterrupt

    def epoch(self, bar, stopped, steps: float) -> bool:
        """Go through an epoch, or what is left of it; False if it was stopped on the way, or
        ended with the last of the `steps` asked for."""
        state, start, seen = self.state, self.clock.now(), 0
        seconds_before = state.seconds
        with Feeder(self.batches(state.epoch, state.step)) as feeder:
            for inputs, targets in feeder:
                rate = self.step(inputs, targets)
                seen += len(keras.tree.flatten(targets)[0])
                left = self.clock.steps_left(state)
                share = (1 - state.progress) / (left + 1)
                state.progress += share
                elapsed = self.clock.now() - start
                state.seconds = seconds_before + elapsed
                self.row = {
                    "epoch": state.epoch + 1,
                    "seconds": state.seconds,
                    "learning_rate": rate,
                    "pictures_per_second": seen / elapsed,
                    "waiting": feeder.waited / elapsed,
                    **{name: total / state.step for name, total in state.sums.items()},
                }
                bar.advance(share, self.line(self.row))
                if self.steps_done >= steps:
                    return False
                if left == 0:
                    return True
                if stopped.is_set():
                    return state.step == self.steps_per_epoch
                is_last = state.step == self.steps_per_epoch  # saved with its validation
                if self.checkpoints.is_overdue and not is_last:
                    self.save(is_best=False, now=True)
        return True

    def step(self, inputs, targets) -> float:
        """One step down the gradient; returns the step size taken."""
        start = self.clock.now()
        model = self.model
        step = self.steps_done
        takes_over = self.programs.before_step(step, model, inputs, targets)
        if takes_over or model is not self.trained:
            self.clock.forget()
            self.trained = model
        rate = self.settings.peak_rate * self.schedule(self.state.progress)
        model.optimizer.learning_rate = rate
        with layers.compiled(self.programs.are_used(step)):
            logs = model.train_on_batch(inputs, targets, return_dict=True)
        if not math.isfinite(logs["loss"]):
            raise UserError(self.diverged(logs["loss"], rate))
        if len(self.state.step_losses) == step < KEPT:  # an older version kept none
            self.state.step_losses.append(float(logs["loss"]))
        self.state.step += 1
        for name, value in logs.items():
            self.state.sums[name] = self.state.sums.get(name, 0.0) + float(value)
        self.clock.steps.append(self.clock.now() - start)
        for watcher in self.watchers:
            watcher.after_step(self, targets, float(logs["loss"]))
        return rate

    def end_epoch(self, bar) -> bool:
        """Validate, keep the checkpoint and the history, and tell of the epoch in one line.

        Returns whether it was the last one, which is written at once.
        """
        state, start = self.state, self.clock.now()
        with layers.compiled(self.programs.are_used(self.steps_done - 1)):
            metrics = self.validate(self.model)
        state.seconds += self.clock.now() - start
        self.row["seconds"] = state.seconds
        self.row |= {f"val_{name}": value for name, value in metrics.items()}
        state.epoch, state.step, state.sums = state.epoch + 1, 0, {}
        state.rows.append(self.row)
        rank = self.rank(metrics)
        is_best = state.best is None or rank >= state.best
        improves = state.best is None or rank > state.best  # an equal epoch does not
        state.since_best = 0 if improves else state.since_best + 1
        if is_best:
            state.best = rank
        is_over = self.is_over
        self.save(is_best, now=is_over)
        self.clock.validation = self.clock.now() - start
        console.note(f"{self.line(self.row)}  | {bar.left} left")
        for watcher in self.watchers:
            watcher.after_epoch(self)
        return is_over

    def save(self, is_best: bool, now: bool = False) -> None:
        """Keep where training stands: on the disk `now`, or once that is cheap."""
        if self.folder.path is None:
            return
        state = {name: copy.copy(value) for name, value in vars(self.state).items()}
        self.checkpoints.keep(self.model, state, is_best, now)

    def line(self, row) -> str:
        """The numbers of an epoch, so far or whole, and of the last validation, on one line."""
        of = "" if self.settings.minutes else f"/{self.settings.epochs}"
        last = self.state.rows[-1] if self.state.rows else {}
        training = {name: row[name] for name in row if name not in PACE and name[:4] != "val_"}
        validation = {name[4:]: last[name] for name in last if name[:4] == "val_"}
        return "  ".join(
            [
                f"epoch {row['epoch']}{of}",
                *(f"{name} {value:.3f}" for name, value in training.items()),
                *(["| validation"] if validation else []),
                *(f"{name} {value:.3f}" for name, value in validation.items()),
                f"| {row['pictures_per_second']:,.0f} pictures/s",
                f"waiting for data {row['waiting']:.1%}",
            ]
        )

    def diverged(self, loss: float, rate: float) -> str:
        """Why the run ends here, what is kept, and what to try."""
        state, settings = self.state, self.settings
        self.checkpoints.write()
        if found := self.folder.state():
            kept = f"the checkpoint of epoch {found['epoch']} is kept in {self.folder.path}"
        else:
            kept = "there is no checkpoint"
        return (
            f"The loss became {loss} in epoch {state.epoch + 1}, step {state.step + 1}; {kept}. "
            f"The probable cause is a step size too large for this network ({rate:.2g}); "
            f"try --learning-rate {settings.peak_rate / 10:.2g}."
        )

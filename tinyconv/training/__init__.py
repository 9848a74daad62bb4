"""The training loop that tasks share.

`Training` is the loop of the lecture: a batch, a step down the gradient, and so on. It adds the
learning-rate schedule, the clock of `--minutes`, checkpoints, and a clean end for a run that is
stopped or whose loss becomes NaN or infinite. Keras' `train_on_batch` does the step on every
backend. `Model.fit` is not used: its input thread stalls at the end of every epoch, and it cannot
resume in the middle of one.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence

import keras

from tinyconv import deprecated, layers
from tinyconv.coach import Coach
from tinyconv.data.pipeline import Feeder
from tinyconv.errors import UserError
from tinyconv.recipe import SCHEDULES, TrainingSettings
from tinyconv.system import console, hardware, progress
from tinyconv.system.interruptions import is_out_of_memory, stop_signals, too_large
from tinyconv.system.private import graphs_released, random_states
from tinyconv.training import checkpoints, fitting_batch, messages, tensorboard
from tinyconv.training.clock import Clock, State, stretched
from tinyconv.training.frozen_body import FrozenBody
from tinyconv.training.precision_trial import settle as settle_precision
from tinyconv.training.preparation import compile_model, describe_model, prepare
from tinyconv.training.programs import Programs

__all__ = [
    "FrozenBody",
    "Training",
    "compile_model",
    "describe_model",
    "prepare",
    "settle_precision",
]

RECORDED_LOSSES = 100  # losses of the first steps, recorded for `verify`


class Training:
    """The training of one run; `run` continues from the current state to the end of its settings.

    Nothing is saved for a run without a folder.

    Args:
        run: the Run to train, kept as the attribute `run_folder`.
        model: the compiled Keras model.
        settings: the run's TrainingSettings.
        batches: `batches(epoch, first_step)` yields one epoch's (inputs, targets) from that step
            on; both count from 0.
        steps_per_epoch: batches in an epoch, at least 1.
        validate: `validate(model)` returns the metrics after an epoch, {name: float}.
        rank: `rank(metrics)` returns a float; the epoch with the greatest becomes best.keras.
        stages: networks that train before `model` does, (fraction of the run at which the stage
            ends, network); see `progressive_resizing.py`.
        name: the base of a new run folder's name; the model's name for None.
        frozen: a FrozenBody, whose head trains in the model's place until its body is unfrozen.
        unit: the plural noun for the rows of a batch, such as "windows"; that of the data for None.
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
        frozen: FrozenBody | None = None,
        unit: str | None = None,
    ):
        self.run_folder, self.settings = run, settings
        self.name = name or model.name
        self.unit = unit or run.settings.get("data_unit", "pictures")
        self.stages = [*stages, (math.inf, model)]
        self.frozen = frozen
        self.batches = batches if frozen is None else frozen.batches
        self.later_batches, self.steps_per_epoch = batches, steps_per_epoch
        self.validate, self.rank = deprecated.validate(validate), rank
        self.state = State(**(run.state() or {}))
        self.clock = Clock(settings, steps_per_epoch, self.state)
        networks = [network for _, network in self.stages if frozen is None]
        self.programs = Programs(run, networks, settings, self.clock.total, self.steps_done)
        self.schedule = SCHEDULES[settings.schedule]
        self.checkpoints = checkpoints.Checkpoints(run, now=self.clock.now)
        self.trained = None  # the network of the last step
        watching = {Coach: not settings.no_coach, tensorboard.Events: settings.tensorboard}
        self.watchers = [watcher(self) for watcher, is_asked in watching.items() if is_asked]
        self.saved_progress = self.state.progress
        self.state.progress = self.clock.progress(self.state)
        for variable, value in zip(random_states(self.whole), self.state.generators):
            variable.assign(value)

    @property
    def whole(self) -> keras.Model:
        """The network of the current stage, from the run's inputs on: the one that is saved."""
        return next(model for until, model in self.stages if self.state.progress < until)

    @property
    def model(self) -> keras.Model:
        """The network that takes the next step: `whole`, or its head on a frozen body."""
        return self.whole if self.frozen is None else self.frozen.head

    @property
    def steps_done(self) -> int:
        """Steps since the start of the run."""
        return self.state.epoch * self.steps_per_epoch + self.state.step

    @property
    def is_over(self) -> bool:
        """Whether all steps are done, or `--patience` epochs have passed without improvement."""
        patience = self.settings.patience
        is_stalled = patience is not None and self.state.since_best >= patience
        return is_stalled or self.clock.steps_left(self.state) == 0

    def run(self, steps: float = math.inf) -> None:
        """Train for as long as the settings specify, or up to a number of steps.

        Args:
            steps: the number of steps, counted from the start of the run, after which to return.

        Raises:
            UserError: if the loss becomes NaN or infinite, or memory runs out.
            KeyboardInterrupt: after the first Ctrl-C or SIGTERM, with everything saved.
        """
        if self.run_folder.settings.get("compiled_from", ...) != self.programs.first:
            self.run_folder.add(compiled_from=self.programs.first)
        self.run_folder.keep_changes()
        if self.state.rows:  # a run killed between checkpoint and history lacks a row
            self.run_folder.write_history(self.state.rows)
        done = self.state.progress
        if line := stretched(self.settings, self.saved_progress, done):
            console.say(line)
        with (
            graphs_released(),
            stop_signals() as stopped,
            progress.bar("training", 1.0, done=done) as bar,
        ):
            try:
                is_over = self.is_over
                while not is_over:
                    if self.frozen is not None and self.state.epoch >= self.frozen.epochs:
                        self.unfreeze()
                    if self.epoch(bar, stopped, steps):
                        is_over = self.end_epoch(bar)
                    is_over |= self.steps_done >= steps
                    if stopped.is_set() and not is_over:
                        self.stop()
            except Exception as error:
                self.checkpoints.write()
                if is_out_of_memory(error):
                    place = f"in epoch {self.state.epoch + 1}, step {self.state.step + 1}"
                    size, path = self.settings.batch_size, self.run_folder.path
                    raise too_large(place, size, path, self.fitting_batch_size()) from error
                raise

    def fitting_batch_size(self) -> int | None:
        """Examples in a batch that fits into the GPU; None without a GPU. It ends the training."""
        if not hardware.has_gpu():
            return None
        inputs, targets = next(iter(self.batches(self.state.epoch, self.state.step)))
        return fitting_batch.fitting_size(self.model, inputs, targets)

    def stop(self) -> None:
        """Save the state, print how to resume, and raise KeyboardInterrupt."""
        self.save(is_best=False, now=True)
        if self.run_folder.path is not None:
            console.say(f"stopped    resume with: tinyconv fit --resume {self.run_folder.path}")
        raise KeyboardInterrupt

    def unfreeze(self) -> None:
        """From now on train the whole network, with a new optimizer."""
        self.save(is_best=False, now=True)  # with the optimizer of the head
        self.frozen.unfreeze()
        self.frozen, self.batches = None, self.later_batches
        console.say(
            f"unfrozen   after epoch {self.state.epoch}: the body of the network learns too"
        )

    def epoch(self, bar, stopped, steps: float) -> bool:
        """Train for an epoch, or for the rest of one.

        Args:
            bar: the progress bar of `progress.bar`.
            stopped: a threading.Event that is set to stop the training.
            steps: the number of steps, counted from the start of the run, after which to return.

        Returns:
            False if the epoch was stopped before its end, or ended with the last of `steps`.
        """
        state, start, count = self.state, self.clock.now(), 0
        seconds_before = state.seconds
        with Feeder(self.batches(state.epoch, state.step)) as feeder:
            for inputs, targets in feeder:
                rate = self.step(inputs, targets)
                count += len(keras.tree.flatten(targets)[0])
                left = self.clock.steps_left(state)
                fraction = (1 - state.progress) / (left + 1)
                state.progress += fraction
                elapsed = self.clock.now() - start
                state.seconds = seconds_before + elapsed
                self.row = {
                    "epoch": state.epoch + 1,
                    "seconds": state.seconds,
                    "learning_rate": rate,
                    "pictures_per_second": count / elapsed,
                    "waiting": feeder.waited / elapsed,
                    **{name: total / state.step for name, total in state.sums.items()},
                }
                bar.advance(fraction, messages.epoch_line(self))
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
        """Take one step down the gradient.

        Args:
            inputs: a batch of the network's inputs.
            targets: a batch of its targets.

        Returns:
            The learning rate of the step.

        Raises:
            UserError: if the loss becomes NaN or infinite.
        """
        start = self.clock.now()
        model = self.model
        step = self.steps_done
        switches = self.programs.before_step(step, model, inputs, targets)
        if switches or model is not self.trained:
            self.clock.forget()
            self.trained = model
        rate = self.settings.peak_rate * self.schedule(self.state.progress)
        model.optimizer.learning_rate = rate
        with layers.compiled(self.programs.are_used(step)):
            logs = model.train_on_batch(inputs, targets, return_dict=True)
        if not math.isfinite(logs["loss"]):
            self.checkpoints.write()
            raise UserError(messages.divergence(self, logs["loss"], rate))
        if len(self.state.step_losses) == step < RECORDED_LOSSES:  # none in runs of version 0.1
            self.state.step_losses.append(float(logs["loss"]))
        self.state.step += 1
        for name, value in logs.items():
            self.state.sums[name] = self.state.sums.get(name, 0.0) + float(value)
        self.clock.steps.append(self.clock.now() - start)
        for watcher in self.watchers:
            watcher.after_step(self, targets, float(logs["loss"]))
        return rate

    def end_epoch(self, bar) -> bool:
        """Validate, save a checkpoint and the history, and print one line about the epoch.

        Args:
            bar: the progress bar of `progress.bar`.

        Returns:
            Whether it was the last epoch, which is written immediately.
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
        console.note(f"{messages.epoch_line(self)}  | {bar.left} left")
        for watcher in self.watchers:
            watcher.after_epoch(self)
        return is_over

    def save(self, is_best: bool, now: bool = False) -> None:
        """Save the state to disk or, while writing is not due, to memory.

        Args:
            is_best: whether the network is the best so far.
            now: whether to write to disk immediately.
        """
        if self.run_folder.path is None:
            return
        state = {name: copy.copy(value) for name, value in vars(self.state).items()}
        self.checkpoints.keep(self.whole, state, is_best, now)

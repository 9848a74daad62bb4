"""The training loop that tasks share.

`Training` is the loop of the lecture: a batch, a step down the gradient, and so on. It adds the
learning-rate schedule, the clock of `--minutes`, checkpoints, and a clean end for a run that is
stopped or whose loss becomes NaN or infinite. Keras' `train_step` does the step on every backend
(`step_graph.py`, `chunks.py`). `Model.fit` is not used: its input thread stalls at the end of every
epoch, and it cannot resume in the middle of one.
"""

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Sequence

import keras

from tinyconv import deprecated, layers
from tinyconv.coach import Coach
from tinyconv.errors import UserError
from tinyconv.recipe import SCHEDULES, TrainingSettings
from tinyconv.system import console, processes, progress
from tinyconv.system.interruptions import stop_signals
from tinyconv.system.private import graphs_released, random_states
from tinyconv.training import checkpoints, failures, messages, tensorboard
from tinyconv.training.chunks import agree, begin, feeder
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
        self.trained = self.step = None  # the network of the last step, and what takes its steps
        self.chunks = None  # its Chunks, where they are faster than one step at a time
        self.resident = None  # the data set on the device, where batches are drawn from one
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

    def run(self, steps: float = math.inf, epochs: float = math.inf) -> None:
        """Train for as long as the settings specify, or up to a number of steps or epochs.

        Args:
            steps: the number of steps, counted from the start of the run, after which to return.
            epochs: the number of epochs after which to save and pause, under the same schedule.

        Raises:
            UserError: if the loss becomes NaN or infinite, or memory runs out.
            KeyboardInterrupt: after the first Ctrl-C or SIGTERM, with everything saved.
        """
        agree(self)
        if self.run_folder.settings.get("compiled_from", ...) != self.programs.first:
            self.run_folder.add(compiled_from=self.programs.first)
        self.run_folder.keep_changes()
        if self.state.rows:  # a run killed between checkpoint and history lacks a row
            self.run_folder.write_history(self.state.rows)
        done = self.state.progress
        if line := stretched(self.settings, self.saved_progress, done):
            console.print_line(line)
        with (
            graphs_released(),
            stop_signals() as stopped,
            progress.bar("training", 1.0, done=done, deadline=self.clock.deadline) as bar,
        ):
            try:
                is_over = self.is_over
                while not is_over and self.state.epoch < epochs:
                    if self.frozen is not None and self.state.epoch >= self.frozen.epochs:
                        self.unfreeze()
                    if self.epoch(bar, stopped, steps):
                        is_over = self.end_epoch(bar)
                    is_over |= self.steps_done >= steps
                    if stopped.is_set() and not is_over:
                        self.stop()
                if not is_over:
                    self.save(is_best=False, now=True)
            except Exception as error:
                self.checkpoints.write()
                if (explained := failures.explained(self, error)) is not None:
                    raise explained from error
                raise

    def stop(self) -> None:
        """Save the state, print how to resume, and raise KeyboardInterrupt."""
        self.save(is_best=False, now=True)
        if path := self.run_folder.path:
            console.print_line(f"stopped    resume with: tinyconv fit --resume {path}")
        raise KeyboardInterrupt

    def unfreeze(self) -> None:
        """From now on train the whole network, with a new optimizer."""
        self.save(is_best=False, now=True)  # with the optimizer of the head
        self.frozen.unfreeze()
        self.frozen, self.batches = None, self.later_batches
        where = f"after epoch {self.state.epoch}"
        console.print_line(f"unfrozen   {where}: the body of the network learns too")

    def epoch(self, bar, stopped, steps: float) -> bool:
        """Train for an epoch, or for the rest of one.

        Args:
            bar: the progress bar of `progress.bar`.
            stopped: a threading.Event that is set to stop the training.
            steps: the number of steps, counted from the start of the run, after which to return.

        Returns:
            False if the epoch was stopped before its end, or ended with the last of `steps`.
        """
        state, start, count, seconds_before = self.state, self.clock.now(), 0, self.state.seconds
        with feeder(self) as feed:
            batches = iter(feed)
            while chunk := list(itertools.islice(batches, len(plan := self.plan(steps)))):
                self.take(chunk, plan := plan[: len(chunk)])
                count += sum(len(keras.tree.flatten(targets)[0]) for _, targets in chunk)
                left = processes.agreed(self.clock.steps_left(state), stopped)
                state.progress = plan[-1] + (1 - plan[-1]) / (left + 1)
                elapsed = self.clock.now() - start
                state.seconds = seconds_before + elapsed
                self.row = messages.row(self, count / elapsed, feed.waited / elapsed)
                bar.advance(state.progress - plan[0], messages.epoch_line(self))
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

    def plan(self, steps: float) -> list[float]:
        """The steps of the next chunk, between which nothing else is to be done.

        Args:
            steps: the number of steps, counted from the start of the run, after which to return.

        Returns:
            The fraction of the run that is done before each step.
        """
        state, seconds = self.state, self.clock.steps
        if self.chunks is None or not seconds:  # the first step includes compilation
            return [state.progress]
        looks = [watcher.next_look for watcher in self.watchers]
        most = min([steps, *looks]) - self.steps_done
        count = self.chunks.count(min(most, self.clock.steps_left(state)), seconds[-1])
        end = next(until for until, _ in self.stages if state.progress < until)
        plan = self.clock.plan(state, count)
        return processes.of_first([progress for progress in plan if progress < end])

    def take(self, batches: Sequence[tuple], plan: Sequence[float]) -> None:
        """Take a step down the gradient for each batch of a chunk.

        Args:
            batches: (inputs, targets) of each step.
            plan: the fraction of the run that is done before each step.

        Raises:
            UserError: if the loss becomes NaN or infinite.
        """
        start, model, step = self.clock.now(), self.model, self.steps_done
        switches = self.programs.before_step(step, model, *batches[0])
        if switches or model is not self.trained:
            begin(self, *batches[0] if self.resident is None else self.resident.whole(*batches[0]))
        rates = [self.settings.peak_rate * self.schedule(progress) for progress in plan]
        if self.chunks is not None:
            logs = self.chunks.take(batches, rates, self.resident)
        else:
            ((inputs, targets),), model.optimizer.learning_rate = batches, rates[0]
            with layers.compiled(self.programs.are_used(step)):
                logs = [self.step(inputs, targets)]
        self.clock.steps += [(self.clock.now() - start) / len(batches)] * len(batches)
        for (_, targets), rate, each in zip(batches, rates, logs, strict=True):
            self.rate = rate
            self.record(targets, each)

    def record(self, targets, logs: dict[str, float]) -> None:
        """Count a step that was taken, and show it to the watchers.

        Args:
            targets: its batch of targets.
            logs: its loss and metrics by name.

        Raises:
            UserError: if the loss is NaN or infinite.
        """
        if not math.isfinite(logs["loss"]):
            self.checkpoints.write()
            raise UserError(messages.divergence(self, logs["loss"], self.rate))
        self.state.count(self.steps_done, logs)
        for watcher in self.watchers:
            watcher.after_step(self, targets, float(logs["loss"]))

    def end_epoch(self, bar) -> bool:
        """Validate, save a checkpoint and the history, and print one line about the epoch.

        Args:
            bar: the progress bar of `progress.bar`.

        Returns:
            Whether it was the last epoch, which is written immediately.
        """
        state, start = self.state, self.clock.now()
        with layers.compiled(self.programs.are_used(self.steps_done - 1)):
            metrics = processes.of_first(self.validate(self.model))
        state.seconds += self.clock.now() - start
        validation = {f"val_{name}": value for name, value in metrics.items()}
        self.row |= {"seconds": state.seconds, **validation}
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
        console.note(f"{messages.epoch_line(self)}  | {bar.time_left} left")
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

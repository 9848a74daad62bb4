"""The files of one training run, written so that a crash loses nothing.

    settings.json            every setting resolved, versions, machine, git commit, command line
    history.csv              one row an epoch
    last.keras               weights, optimizer state, and where training stood
    best.keras               weights of the best epoch; of the last one a second name of last.keras
    initial.keras            a network that was handed to `fit`, before its first step
    pictures/*.png  report.html  log.txt  and, if asked for, tensorboard/

Every file is written beside its place and renamed into it, so a reader, or a run that goes
on, finds either the old file or the new one. `last.keras` is a zip, and the training state
is one more member of it: weights and state cannot disagree.
"""

import contextlib
import json
import os
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tinyconv.errors import UserError
from tinyconv.runs.schema import read_history
from tinyconv.system import archives, files

STATE_MEMBER = "tinyconv-training-state.json"


class RunFolder:
    """A run's folder at `path`: its settings, history, models and training state.

    `path` is None before there is a folder, and then nothing is written.
    """

    def __init__(self, path: Path | None = None, settings: dict[str, Any] | None = None):
        self.path = path
        self.settings = {} if settings is None else settings
        self.saves_always = False  # so that no checkpoint waits until it is cheap

    def add(self, **facts) -> None:
        """Keep more facts in settings.json, such as the final metrics, once there is a folder."""
        self.settings.update(facts)
        if self.path is not None:
            with self._disk_errors():
                self._write_settings()

    def _write_settings(self) -> None:
        text = json.dumps(self.settings, indent=2, ensure_ascii=False) + "\n"
        files.write(self.path / "settings.json", text.encode())

    # History ------------------------------------------------------------------------------

    @property
    def history(self) -> list[dict[str, float]]:
        """One dict an epoch, in order; the keys are history.csv's columns."""
        path = self.path / "history.csv"
        if not path.exists():
            return []
        return read_history(path)

    def write_history(self, rows: list[dict[str, float]]) -> None:
        """Replace history.csv."""
        lines = [",".join(rows[0])]
        lines += [",".join(f"{value:.6g}" for value in row.values()) for row in rows]
        with self._disk_errors():
            files.write(self.path / "history.csv", ("\n".join(lines) + "\n").encode())

    # Model and training state -------------------------------------------------------------

    def save(self, model, state: dict, is_best: bool) -> None:
        """Write last.keras with the training state inside it, and best.keras if it is.

        best.keras comes first: a run killed between the two does that epoch again.
        """
        with self._beside("last.keras") as temporary:
            model.save(temporary)
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(STATE_MEMBER, json.dumps(state))
            files.sync(temporary)
            if is_best:
                self._link_best(temporary)

    def save_best(self, model) -> None:
        """Write best.keras alone, of an earlier epoch than the last.keras that comes next."""
        with self._beside("best.keras") as temporary:
            model.save(temporary)
            files.sync(temporary)

    @contextlib.contextmanager
    def _beside(self, name: str) -> Iterator[Path]:
        """Where the block writes the file `name`, which then is renamed."""
        temporary = self.path / f".{name}"
        try:
            with self._disk_errors():
                temporary.unlink(missing_ok=True)  # a killed run's may be best.keras' other name
                yield temporary
                files.replace(temporary, self.path / name)
        except UserError:
            with contextlib.suppress(OSError):
                temporary.unlink()  # half a file that only takes room
            raise

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """A disk that cannot be written inside the block becomes a sentence."""
        try:
            yield
        except OSError as error:
            raise UserError(
                f"The run cannot be saved in {self.path} ({error.strerror or error}); mend that, "
                f"then go on from its last save with: tinyconv fit --resume {self.path}"
            ) from error

    def _link_best(self, saved: Path) -> None:
        """best.keras as a second name of `saved`: a rename never changes what it holds."""
        temporary = self.path / ".best.keras"
        temporary.unlink(missing_ok=True)
        try:
            os.link(saved, temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(saved, temporary)
            files.sync(temporary)
        files.replace(temporary, self.path / "best.keras")

    def state(self) -> dict | None:
        """Where training stood at the last save; None before the first."""
        if self.path is None or not (self.path / "last.keras").exists():
            return None
        path = self.path / "last.keras"
        try:
            with archives.open_zip(path) as archive:
                return json.loads(archives.read_member(archive, STATE_MEMBER))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} does not say where training stood: {error}") from error

    def model_file(self, which: str = "best") -> Path:
        """best.keras or last.keras; UserError before it is first saved."""
        path = self.path / f"{which}.keras"
        if not path.exists():
            raise UserError(
                f"The run {self.path} has no {path.name}: nothing of it has been saved as yet; "
                f"wait, or go on with: tinyconv fit --resume {self.path}"
            )
        return path

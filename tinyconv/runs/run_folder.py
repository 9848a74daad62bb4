"""The files of one training run, written so that a crash loses nothing.

    settings.json            every setting resolved, versions, machine, git commit, command line
    history.csv              one row an epoch
    last.keras               weights, optimizer state and training state
    best.keras               weights of the best epoch; a hard link to last.keras if that is it
    initial.keras            a network that was passed to `fit`, before its first step
    pictures/*.png  report.html  log.txt  and, if requested, tensorboard/

Every file is written under a temporary name and then renamed, so a reader, or a resumed run, meets
either the old file or the new one. `last.keras` is a zip with the training state as one more
member: weights and state cannot disagree.
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
    """The folder of a run: its settings, history, models and training state.

    Args:
        path: of the folder; None before it exists, and then nothing is written.
        settings: the content of settings.json.
    """

    def __init__(self, path: Path | None = None, settings: dict[str, Any] | None = None):
        self.path = path
        self.settings = {} if settings is None else settings
        self.saves_always = False  # write each checkpoint at once, however much that costs

    def add(self, **facts) -> None:
        """Add facts to the settings, such as the final metrics; rewrite settings.json if it exists.

        Args:
            facts: values for JSON, by name.

        Raises:
            UserError: the disk cannot be written.
        """
        self.settings.update(facts)
        if self.path is not None:
            with self._disk_errors():
                self._write_settings()

    def _write_settings(self) -> None:
        text = json.dumps(self.settings, indent=2, ensure_ascii=False) + "\n"
        files.write_text(self.path / "settings.json", text)

    # History ------------------------------------------------------------------------------

    @property
    def history(self) -> list[dict[str, float]]:
        """A dict for each epoch, in order; the keys are the columns of history.csv."""
        path = self.path / "history.csv"
        if not path.exists():
            return []
        return read_history(path)

    def write_history(self, rows: list[dict[str, float]]) -> None:
        """Replace history.csv.

        Args:
            rows: one dict an epoch, with the columns as keys.

        Raises:
            UserError: the disk cannot be written.
        """
        lines = [",".join(rows[0])]
        lines += [",".join(f"{value:.6g}" for value in row.values()) for row in rows]
        with self._disk_errors():
            files.write(self.path / "history.csv", ("\n".join(lines) + "\n").encode())

    # Model and training state -------------------------------------------------------------

    def save(self, model, state: dict, is_best: bool) -> None:
        """Write last.keras with the training state, and best.keras if this epoch is the best.

        best.keras is written first: a run killed between the two writes repeats that epoch.

        Args:
            model: a keras.Model.
            state: the training state, for JSON.
            is_best: whether this is the best epoch so far.

        Raises:
            UserError: the disk cannot be written.
        """
        with self._beside("last.keras") as temporary:
            model.save(temporary)
            with zipfile.ZipFile(temporary, "a") as archive:
                archive.writestr(STATE_MEMBER, json.dumps(state))
            files.sync(temporary)
            if is_best:
                self._link_best(temporary)

    def save_best(self, model) -> None:
        """Write best.keras alone: the best epoch is older than the next last.keras.

        Args:
            model: a keras.Model.

        Raises:
            UserError: the disk cannot be written.
        """
        with self._beside("best.keras") as temporary:
            model.save(temporary)
            files.sync(temporary)

    @contextlib.contextmanager
    def _beside(self, name: str) -> Iterator[Path]:
        """A temporary path for the block to write; it is then renamed to `name`."""
        temporary = self.path / f".{name}"
        try:
            with self._disk_errors():
                temporary.unlink(missing_ok=True)  # a killed run's may be a link to best.keras
                yield temporary
                files.replace(temporary, self.path / name)
        except UserError:
            with contextlib.suppress(OSError):
                temporary.unlink()  # half a file
            raise

    @contextlib.contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Turn an error of the disk inside the block into a UserError."""
        try:
            yield
        except OSError as error:
            raise UserError(
                f"The run cannot be saved in {self.path} ({error.strerror or error}); fix that, "
                f"then resume from its last save with: tinyconv fit --resume {self.path}"
            ) from error

    def _link_best(self, target: Path) -> None:
        """Make best.keras a hard link to `saved`; a later rename does not change best.keras."""
        temporary = self.path / ".best.keras"
        temporary.unlink(missing_ok=True)
        try:
            os.link(target, temporary)
        except OSError:  # a file system without hard links
            shutil.copyfile(target, temporary)
            files.sync(temporary)
        files.replace(temporary, self.path / "best.keras")

    def state(self) -> dict | None:
        """The training state of the last save; None before the first."""
        if self.path is None or not (self.path / "last.keras").exists():
            return None
        path = self.path / "last.keras"
        try:
            with archives.open_zip(path) as archive:
                return json.loads(archives.read_member(archive, STATE_MEMBER))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise UserError(f"{path} has no readable training state: {error}") from error

    def model_file(self, which: str = "best") -> Path:
        """The path of best.keras or last.keras; UserError before the first checkpoint."""
        path = self.path / f"{which}.keras"
        if not path.exists():
            raise UserError(
                f"The run {self.path} has no {path.name} yet, because no checkpoint has been "
                "written; wait for the first one, or resume with: "
                f"tinyconv fit --resume {self.path}"
            )
        return path

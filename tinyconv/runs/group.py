"""A folder with several runs of one task: the seeds of a fit, or the trials of a sweep.

    group.json               the kind of group, and what its runs have in common
    seed-0/  seed-1/ …       the runs, each as any other
    comparison.html

The command that made a group finds it again by that content and continues it. A process works on a
run while it holds the lock of its folder, which ends with the process, however that ends: several
processes share a group, and what one leaves another resumes.
"""

import contextlib
import datetime
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tinyconv.data import selection
from tinyconv.errors import UserError
from tinyconv.runs import GROUP as FILE
from tinyconv.runs import plain, runs_folder
from tinyconv.runs.schema import read_settings
from tinyconv.system import console, files
from tinyconv.system.paths import expanded, on_disk

SEEDS, SWEEP = "seeds", "sweep"  # kinds of group
GROWS = ("count", "created")  # fields in which two records of one group may differ
PAUSE = 0.5  # seconds between two looks at runs that other processes train


def find(path: str | os.PathLike) -> Path | None:
    """The folder of the group: a path, or a name in the folder of runs; None for anything else."""
    path = expanded(path)
    for folder in (path, on_disk(runs_folder() / path)):
        if (folder / FILE).is_file():
            return folder
    return None


def read(folder: Path) -> dict[str, Any]:
    """The content of a group's group.json."""
    file = folder / FILE
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file} cannot be read as the record of a group: {error}") from error
    fields = {"kind": str, "task": str, "settings": dict, "plugins": dict, "count": int}
    for name, kind in fields.items():
        if not isinstance(content, dict) or type(content.get(name)) is not kind:
            raise UserError(f"{file} cannot be read as the record of a group: it lacks its {name}.")
    return content


def members(folder: Path) -> list[Path]:
    """The folders of the group's runs that have begun, by name."""
    return sorted(file.parent for file in folder.glob("*/settings.json"))


def every_member() -> list[Path]:
    """The settings.json of the runs of all groups in the folder of runs."""
    groups = [file.parent for file in runs_folder().glob(f"*/{FILE}")]
    return [folder / "settings.json" for path in groups for folder in members(path)]


def is_finished(folder: Path) -> bool:
    """Whether a run has its result."""
    return (folder / "settings.json").is_file() and "result" in read_settings(folder)


def opened(
    record: dict,
    name: str | None,
    default_name: str,
    initial_files: Mapping[str, Path] | None = None,
) -> Path:
    """The folder of the group with this record, which is made unless there is one.

    Args:
        record: the content of its group.json. A greater `count` extends a group that exists.
        name: of the folder, in the folder of runs; None for the newest group with the record, or
            a new one named after the date.
        default_name: completes the date.
        initial_files: copied into a new group, by their names there; None for none.

    Raises:
        UserError: the folder called `name` holds something else.
    """
    record = json.loads(json.dumps(record))
    files.make_folder(runs_folder())
    with files.only_writer(runs_folder(), wait=True):  # no second process makes the group, too
        folder = _folder_of(record, name)
        if folder is None:
            today = datetime.date.today().isoformat()
            folder = files.new_folder(runs_folder(), name or f"{today}-{default_name}")
        if (folder / FILE).exists():
            recorded = read(folder)
            if recorded["count"] >= record["count"]:
                return folder
            record = recorded | {"count": record["count"]}
        for file, source in (initial_files or {}).items():
            files.write(folder / file, source.read_bytes())
        created = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        record = {**record, "created": record.get("created", created)}
        files.write_text(folder / FILE, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    return folder


def _folder_of(record: dict, name: str | None) -> Path | None:
    """The folder that has the record, or that is called `name`; None if there is none."""
    if name is None:
        paths = [file.parent for file in runs_folder().glob(f"*/{FILE}")]
        paths = [path for path in paths if not difference(record, read(path))]
        return max(paths, key=lambda path: read(path)["created"], default=None)
    folder = runs_folder() / files.folder_name(name)
    if not folder.is_dir() or not any(folder.iterdir()):
        with contextlib.suppress(OSError):
            folder.rmdir()  # made by a process that was killed before it wrote the record
        return None
    if not (folder / FILE).is_file():
        raise UserError(
            f"{folder} exists, and is not the folder of several runs; choose another --name."
        )
    if other := difference(record, read(folder)):
        raise UserError(
            f"{folder} belongs to another command, whose {other}; choose another --name, or leave "
            "it out."
        )
    return folder


def portable(catalogue, values: Mapping) -> dict[str, Any]:
    """The settings for a record: paths that exist are absolute, so that any folder will do."""

    def anywhere(name, value):
        if name == "data" and isinstance(value, str) and selection.is_folder(catalogue, value):
            return str(expanded(value).resolve())
        if isinstance(value, Path):
            return plain(value) if value.exists() else value.as_posix()
        return value

    return {name: anywhere(name, value) for name, value in values.items()}


def difference(record: Mapping, recorded: Mapping) -> str | None:
    """A clause about the first field in which two records differ; None for the same group."""
    both = (record, recorded)
    here, there = ({**each, **each["settings"], **each.get("space", {})} for each in both)
    for name in dict.fromkeys((*here, *there)):
        one, other = here.get(name), there.get(name)
        if name not in (*GROWS, "settings", "space", "plugins") and one != other:
            return f"{name} is {other!r:.60} and not {one!r:.60}"
    return None


@contextlib.contextmanager
def claim(folder: Path) -> Iterator[bool]:
    """Lock a run's folder, which is made if needed; yields whether it was free."""
    folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.only_writer(folder))
        except files.Locked:
            yield False
        else:
            yield True


def work(
    folders: Sequence[Path], train: Callable[[Path], None], is_done=is_finished, pause=PAUSE
) -> None:
    """Call `train(folder)` for each folder that is not done and that no other process works on.

    Returns when all are done; until then it waits for the other processes, and takes over what they
    leave.
    """
    is_reported = False
    while rest := [folder for folder in folders if not is_done(folder)]:
        for folder in rest:
            with claim(folder) as is_free:
                if is_free and not is_done(folder):
                    train(folder)
                    break
        else:
            if not is_reported:
                names = ", ".join(folder.name for folder in rest)
                console.print_line(f"waiting    for other processes, which train {names}")
                is_reported = True
            time.sleep(pause)

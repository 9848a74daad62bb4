"""A task's run in another process, which has imported nothing of the task before."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence

from tinyconv.checks.subject import Subject, agree
from tinyconv.checks.task_runs import assert_close, complete_run, files, usual_answers

# For folders of runs: the metrics and answers of each in a new process.
ELSEWHERE = """
import json, pathlib, sys, traceback
from tinyconv.system.start_keras import start; start()
from tinyconv import verbs
for folder in map(pathlib.Path, sys.argv[1:]):
    result, inputs = {}, json.loads((folder / "inputs.json").read_text(encoding="utf-8"))
    try:
        run = verbs.load(folder / "runs/elsewhere")
        result["metrics"] = run.evaluate()
        result["answers"] = {each.input: each.answers for each in run.predict(*inputs)}
    except Exception as error:
        result["error"] = traceback.format_exception_only(error)[-1].strip().splitlines()[-1]
    (folder / "elsewhere.json").write_text(json.dumps(result), encoding="utf-8")
"""


def answers_in_another_process(subject: Subject) -> None:
    """A process that imports only the entry opens the run: same metrics and predictions."""
    save(subject)
    (error,) = errors_elsewhere([subject])
    assert error is None, f"another process cannot use its run: {error}"


def save(subject: Subject) -> None:
    """Write the complete run, three inputs, and its predictions into the subject's folder."""
    run = complete_run(subject)
    place = subject.folder / "runs" / "elsewhere"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(run.path, place)
    (subject.folder / "elsewhere.json").unlink(missing_ok=True)
    inputs = json.dumps(list(map(str, files(subject))))
    (subject.folder / "inputs.json").write_text(inputs, encoding="utf-8")
    usual_answers(subject)


def errors_elsewhere(subjects: Sequence[Subject]) -> list[str | None]:
    """Why another process cannot use the run of each saved subject; None where it can."""
    command = [sys.executable, "-c", ELSEWHERE, *(str(subject.folder) for subject in subjects)]
    process = subprocess.run(command, capture_output=True, text=True)
    last = (process.stderr.strip().splitlines() or [""])[-1]
    return [_error_elsewhere(subject, last) for subject in subjects]


def _error_elsewhere(subject: Subject, last: str) -> str | None:
    file = subject.folder / "elsewhere.json"
    result = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"error": last}
    if "error" in result:
        return result["error"]
    with contextlib.suppress(AssertionError):
        assert_close(result["metrics"], complete_run(subject).settings["result"]["metrics"])
        same = agree(json.loads(json.dumps(usual_answers(subject))), result["answers"])
        return None if same else "it has other predictions there"
    return f"it has other numbers there: {result['metrics']}"

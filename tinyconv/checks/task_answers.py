"""The promises of a task about the verbs of a run: evaluate, predict, explain and the rest."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
from PIL import Image

from tinyconv import settings, verbs
from tinyconv.checks.subject import Skipped, Subject, alike
from tinyconv.checks.task_runs import (
    altered,
    another,
    answers,
    assert_close,
    by_input,
    content,
    evaluated,
    explained,
    files,
    is_close,
    opened,
    own_runs,
    reads_text,
    trained,
    usual_answers,
)
from tinyconv.data.decode import decode
from tinyconv.data.selection import own
from tinyconv.errors import UserError
from tinyconv.plugins import Averages, Explains, ExportsSeveral
from tinyconv.results import Picture, Prediction

BY_HEART = {"limit": 32, "batch_size": 8, "epochs": 30}  # to know the pictures of `examples`
DRAWN = (".png", ".gif")  # what predict may add to a run's folder
# For folders of runs: the numbers and answers of each, as another day has them.
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


def evaluates_a_run_of_before(subject: Subject) -> None:
    """A run that is opened again gives the numbers that were kept."""
    assert_close(evaluated(subject), trained(subject).settings["result"]["metrics"])


def answers_in_another_process(subject: Subject) -> None:
    """A process that imports only the entry opens the run, and has its numbers and answers."""
    save(subject)
    (error,) = errors_elsewhere([subject])
    assert error is None, f"another process cannot use its run: {error}"


def evaluates_the_best(subject: Subject) -> None:
    """Other weights in best.keras give other numbers; last.keras is none of evaluate's."""
    numbers = evaluated(subject, altered(subject))
    same = _are_close(numbers, trained(subject).settings["result"]["metrics"])
    assert not same, "evaluate does not measure best.keras: other weights there change no number"


def evaluates_what_is_asked(subject: Subject) -> None:
    """`split` and `data` are honoured: training has other numbers; an unknown one is refused."""
    names = settings.names(subject.found.Evaluate)
    if not {"split", "data"} & set(names):
        raise Skipped("its evaluate takes neither split nor data")
    run = opened(subject)
    if "split" in names:
        measured = run.measure()
        other = "validation" if measured.split == "train" else "train"
        with own_runs(subject):
            numbers = run.measure(split=other)
        assert numbers.split in (None, other), f"it says {numbers.split}, asked for {other}"
        different = not _are_close(numbers.metrics, measured.metrics)
        assert different, f"{other} has the numbers of {measured.split}"
    for name in {"split", "data"} & set(names):
        try:
            evaluated(subject, **{name: "no-such-name"})
        except UserError:
            continue
        raise AssertionError(f"evaluate takes the {name} no-such-name")


def leaves_the_run_as_it_is(subject: Subject) -> None:
    """evaluate changes no file of the run's folder, and predict adds drawings at most."""
    path = trained(subject).path
    before = content(path)
    evaluated(subject)
    assert content(path) == before, f"evaluate changes {_differences(before, content(path))}"
    usual_answers(subject)
    before, after = subject.results["changed by predict"]
    added = [name for name in after if name not in before and not name.endswith(DRAWN)]
    changed = {name: after.get(name) for name in before}
    assert changed == before, f"predict changes {_differences(before, changed)}"
    assert not added, f"predict adds {added[0]}"


def predicts(subject: Subject) -> None:
    """An answer to each input that it is asked about, fit for JSON."""
    usual_answers(subject)
    inputs, predictions = files(subject), subject.results["predictions"]
    assert len(predictions) == 3, f"it gives {len(predictions)} answers about three inputs"
    for prediction, file in zip(predictions, inputs):
        assert isinstance(prediction, Prediction), f"an answer is a {type(prediction).__name__}"
        assert prediction.input == str(file), f"an answer names {prediction.input}, not {file}"
        assert prediction.answers, "a prediction has no answer"
        json.dumps(prediction.answers)


def predicts_by_the_best(subject: Subject) -> None:
    """Other weights in best.keras give other answers."""
    others = by_input(answers(subject, files(subject), altered(subject)))
    same = alike(usual_answers(subject), others)
    assert not same, "predict does not ask best.keras: other weights there change no answer"


def predicts_each_by_itself(subject: Subject) -> None:
    """An input's answer is its own: the same in other company, and unlike others'."""
    inputs, together = files(subject), usual_answers(subject)
    fewer = answers(subject, [inputs[2], inputs[0]])  # so that no shift by one brings the same
    names = [prediction.input for prediction in fewer]
    assert names == [str(inputs[2]), str(inputs[0])], "answers do not come in the order of inputs"
    for prediction in fewer:
        same = alike(together.get(prediction.input), prediction.answers)
        assert same, f"{prediction.input} has another answer in other company"
    first, *others = together.values()
    assert not all(alike(first, other) for other in others), "three unlike inputs have one answer"


def predicts_from_any_file(subject: Subject) -> None:
    """A folder stands for its pictures, a missing file is named, `resize` takes other sizes."""
    inputs, asked, options = files(subject), [], {}
    if reads_text(subject):
        _predicts_lines(subject, inputs)
        return
    asked = [inputs[0].parent]
    if "resize" in settings.names(subject.found.Predict):
        asked.append(subject.folder / "another-size.png")
        options = {"resize": True}
        with Image.open(inputs[1]) as picture:
            picture.resize((picture.width * 2 + 3, picture.height * 2 + 1)).save(asked[1])
    names = {prediction.input for prediction in answers(subject, asked, **options)}
    unread = sorted({str(file) for file in (*inputs, *asked[1:])} - names)
    assert not unread, f"asked about a folder and another size it has no answer for {unread[0]}"
    try:
        answers(subject, [subject.folder / "missing.png"])
    except UserError as error:
        assert "missing.png" in str(error), f"the error does not name the missing file: {error}"
    else:
        raise AssertionError("it answers for a file that is not there")


def _predicts_lines(subject: Subject, texts) -> None:
    """A file stands for its lines: of a task that reads text."""
    file = subject.folder / "texts.txt"
    file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    expected = list(usual_answers(subject).values())
    lines = [prediction.answers for prediction in answers(subject, [file])]
    assert alike(lines, expected), "the lines of a file have other answers than the same texts"


def explains(subject: Subject) -> None:
    """A drawing of each picture that it is asked about, with a name, a title and a caption."""
    if not isinstance(subject.found(), Explains):
        raise Skipped("it does not explain its answers")
    shown = explained(subject)
    assert shown, "it draws nothing"
    for picture in shown:
        assert isinstance(picture, Picture), f"it gives a {type(picture).__name__}, no Picture"
        assert picture.name and picture.title, "a drawing has no name or no title"
        assert decode(picture.png, 3).std() > 0, f"{picture.name} shows nothing"


def averages(subject: Subject) -> None:
    """A run's mean with itself is the run; one Evaluation for each, and one for the mean."""
    if not isinstance(subject.found(), Averages):
        raise Skipped("its runs have no mean answer")
    numbers = trained(subject).settings["result"]["metrics"]
    with own_runs(subject):
        each = verbs.ensemble(opened(subject), opened(subject))
    assert len(each) == 3, f"of two runs it gives {len(each)} measurements, not three"
    assert_close(dict(each[0].metrics), numbers)
    for name, value in each[-1].metrics.items():
        assert is_close(value, numbers[name]), (
            f"{name} is {value:.6g}, and {numbers[name]:.6g} alone"
        )


def exports_several(subject: Subject) -> None:
    """Its `networks` are Keras models, by names that files can have."""
    import keras

    if not isinstance(subject.found(), ExportsSeveral):
        raise Skipped("it answers with one network")
    run = opened(subject)
    networks = run.task.networks(run)
    assert networks, "it names no network"
    for name, network in networks.items():
        assert isinstance(network, keras.Model), f"{name} is a {type(network).__name__}, no Model"
        assert name and not set(name) & set("/\\:"), f"{name!r} cannot be the name of a file"


def answers_its_examples(subject: Subject) -> None:
    """After 30 epochs on 32 pictures it has the answers of `examples`, (split, number) each."""
    examples = subject.examples
    may = set(settings.names(subject.found.Settings))
    run = another(subject, "by-heart", **{k: v for k, v in BY_HEART.items() if k in may})
    splits = own(run).splits if any(isinstance(each[0], tuple) for each in examples) else {}
    for source, answer in examples:
        file = source
        if isinstance(source, tuple) and reads_text(subject):
            file = splits[source[0]].rows[source[1]]
        elif isinstance(source, tuple):
            split, number = source
            picture = np.asarray(splits[split].rows[number])
            file = subject.folder / f"{split}-{number}.png"
            Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file)
        (prediction,) = answers(subject, [file], run.path)
        best = prediction.answers[0]
        right = answer(prediction.answers) if callable(answer) else alike(answer, best)
        wanted = "another answer" if callable(answer) else f"{answer}"
        said = json.dumps(best)[:80]
        assert right, (
            f"of {source} ({file}) it says {said}, and its example another thing: {wanted}"
        )


PROMISES = (
    evaluates_a_run_of_before,
    answers_in_another_process,
    evaluates_the_best,
    evaluates_what_is_asked,
    leaves_the_run_as_it_is,
    predicts,
    predicts_by_the_best,
    predicts_each_by_itself,
    predicts_from_any_file,
    explains,
    averages,
    exports_several,
    answers_its_examples,
)


def save(subject: Subject) -> None:
    """Have the whole run, three pictures, and its answers about them in the subject's folder."""
    run = trained(subject)
    place = subject.folder / "runs" / "elsewhere"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(run.path, place)
    (subject.folder / "elsewhere.json").unlink(missing_ok=True)
    inputs = json.dumps(list(map(str, files(subject))))
    (subject.folder / "inputs.json").write_text(inputs, encoding="utf-8")
    usual_answers(subject)


def errors_elsewhere(subjects: Sequence[Subject]) -> list[str | None]:
    """Why one other process cannot use the run of each saved subject; None where it can."""
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
        assert_close(result["metrics"], trained(subject).settings["result"]["metrics"])
        same = alike(json.loads(json.dumps(usual_answers(subject))), result["answers"])
        return None if same else "it has other answers there"
    return f"it has other numbers there: {result['metrics']}"


def _are_close(one: dict, other: dict) -> bool:
    return set(one) == set(other) and all(is_close(one[name], other[name]) for name in one)


def _differences(before: dict, after: dict) -> str:
    names = [name for name in before | after if before.get(name) != after.get(name)]
    return ", ".join(names)

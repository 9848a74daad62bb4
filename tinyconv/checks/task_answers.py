"""The promises of a task about the verbs of a run: evaluate, predict, explain and others."""

import json

import numpy as np
from PIL import Image

from tinyconv import settings, verbs
from tinyconv.checks.subject import Skipped, Subject, agree
from tinyconv.checks.task_elsewhere import answers_in_another_process
from tinyconv.checks.task_runs import (
    altered_copy,
    answers,
    assert_close,
    by_input,
    complete_run,
    content,
    explanations,
    files,
    is_close,
    loaded_run,
    metrics_of,
    other_run,
    own_runs,
    usual_answers,
)
from tinyconv.data.decode import decode
from tinyconv.data.selection import own
from tinyconv.data.text import reads_text
from tinyconv.errors import UserError
from tinyconv.plugins import Averages, Compares, Explains, ExportsSeveral
from tinyconv.results import Picture, Prediction

BY_HEART = {"limit": 32, "batch_size": 8, "epochs": 30}  # enough to memorise `examples`
FIGURES = (".png", ".gif")  # files that predict may add to a run's folder


def evaluates_a_run_of_before(subject: Subject) -> None:
    """A run that is loaded again has the recorded metrics."""
    assert_close(metrics_of(subject), complete_run(subject).settings["result"]["metrics"])


def evaluates_the_best(subject: Subject) -> None:
    """Changing the weights in best.keras changes the metrics; last.keras is not read."""
    numbers = metrics_of(subject, altered_copy(subject))
    same = _are_close(numbers, complete_run(subject).settings["result"]["metrics"])
    assert not same, (
        "evaluate does not measure best.keras: changing the weights there changes no metric"
    )


def evaluates_what_is_asked(subject: Subject) -> None:
    """`split` and `data` are honoured: another split has other metrics; an unknown one fails."""
    names = settings.names(subject.target.Evaluate)
    if not {"split", "data"} & set(names):
        raise Skipped("its evaluate takes neither split nor data")
    run = loaded_run(subject)
    if "split" in names:
        measured = run.measure()
        other = "validation" if measured.split == "train" else "train"
        with own_runs(subject):
            numbers = run.measure(split=other)
        assert numbers.split in (None, other), (
            f"it reports {numbers.split}, but {other} was requested"
        )
        different = not _are_close(numbers.metrics, measured.metrics)
        assert different, f"{other} has the metrics of {measured.split}"
    for name in {"split", "data"} & set(names):
        try:
            metrics_of(subject, **{name: "no-such-name"})
        except UserError:
            continue
        raise AssertionError(f"evaluate accepts the {name} no-such-name")


def leaves_the_run_as_it_is(subject: Subject) -> None:
    """evaluate changes no file of the run's folder, and predict adds only figures."""
    path = complete_run(subject).path
    before = content(path)
    metrics_of(subject)
    assert content(path) == before, f"evaluate changes {_differences(before, content(path))}"
    usual_answers(subject)
    before, after = subject.results["changed by predict"]
    added = [name for name in after if name not in before and not name.endswith(FIGURES)]
    changed = {name: after.get(name) for name in before}
    assert changed == before, f"predict changes {_differences(before, changed)}"
    assert not added, f"predict adds {added[0]}"


def predicts(subject: Subject) -> None:
    """One prediction for each input, with answers that JSON can hold."""
    usual_answers(subject)
    inputs, predictions = files(subject), subject.results["predictions"]
    assert len(predictions) == 3, f"it gives {len(predictions)} predictions for three inputs"
    for prediction, file in zip(predictions, inputs):
        assert isinstance(prediction, Prediction), f"a prediction is a {type(prediction).__name__}"
        assert prediction.input == str(file), f"a prediction names {prediction.input}, not {file}"
        assert prediction.answers, "a prediction has no answers"
        json.dumps(prediction.answers)


def predicts_by_the_best(subject: Subject) -> None:
    """Changing the weights in best.keras changes the predictions."""
    others = by_input(answers(subject, files(subject), altered_copy(subject)))
    same = agree(usual_answers(subject), others)
    assert not same, (
        "predict does not use best.keras: changing the weights there changes no prediction"
    )


def predicts_each_by_itself(subject: Subject) -> None:
    """An input's prediction does not depend on the other inputs, and differs from theirs."""
    inputs, together = files(subject), usual_answers(subject)
    fewer = answers(subject, [inputs[2], inputs[0]])  # so that no shift by one gives the same
    names = [prediction.input for prediction in fewer]
    assert names == [str(inputs[2]), str(inputs[0])], (
        "predictions are not in the order of the inputs"
    )
    for prediction in fewer:
        same = agree(together.get(prediction.input), prediction.answers)
        assert same, f"{prediction.input} has another prediction together with other inputs"
    first, *others = together.values()
    assert not all(agree(first, other) for other in others), (
        "three different inputs have the same prediction"
    )


def predicts_from_any_file(subject: Subject) -> None:
    """A folder stands for its pictures, an error names a missing file, `resize` scales others."""
    inputs, options = files(subject), {}
    if reads_text(subject.target):
        _predicts_lines(subject, inputs)
        return
    paths = [inputs[0].parent]
    if "resize" in settings.names(subject.target.Predict):
        paths.append(subject.folder / "another-size.png")
        options = {"resize": True}
        with Image.open(inputs[1]) as picture:
            picture.resize((picture.width * 2 + 3, picture.height * 2 + 1)).save(paths[1])
    names = {prediction.input for prediction in answers(subject, paths, **options)}
    unread = sorted({str(file) for file in (*inputs, *paths[1:])} - names)
    assert not unread, f"for a folder and another size it has no prediction for {unread[0]}"
    try:
        answers(subject, [subject.folder / "missing.png"])
    except UserError as error:
        assert "missing.png" in str(error), f"the error does not name the missing file: {error}"
    else:
        raise AssertionError("it gives a prediction for a missing file")


def _predicts_lines(subject: Subject, texts) -> None:
    """For a task that reads text: a file stands for its lines."""
    file = subject.folder / "texts.txt"
    file.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    expected = list(usual_answers(subject).values())
    lines = [prediction.answers for prediction in answers(subject, [file])]
    assert agree(lines, expected), "the lines of a file have other predictions than the same texts"


def explains(subject: Subject) -> None:
    """A figure for each picture, with a name, a title and a caption."""
    if not isinstance(subject.target(), Explains):
        raise Skipped("it does not explain its predictions")
    pictures = explanations(subject)
    assert pictures, "it draws nothing"
    for picture in pictures:
        assert isinstance(picture, Picture), f"it gives a {type(picture).__name__}, no Picture"
        assert picture.name and picture.title, "a figure has no name or no title"
        assert decode(picture.png, 3).std() > 0, f"{picture.name} shows nothing"


def averages(subject: Subject) -> None:
    """A run averaged with itself has its own metrics; one Evaluation per run, one for the mean."""
    if not isinstance(subject.target(), Averages):
        raise Skipped("its runs cannot be averaged")
    numbers = complete_run(subject).settings["result"]["metrics"]
    with own_runs(subject):
        each = verbs.ensemble(loaded_run(subject), loaded_run(subject))
    assert len(each) == 3, f"for two runs it gives {len(each)} evaluations, not three"
    assert_close(dict(each[0].metrics), numbers)
    for name, value in each[-1].metrics.items():
        assert is_close(value, numbers[name]), (
            f"{name} is {value:.6g}, and {numbers[name]:.6g} alone"
        )


def compares(subject: Subject) -> None:
    """Figures and tables of a run beside itself."""
    if not isinstance(subject.target(), Compares):
        raise Skipped("it has no figures of several runs")
    with own_runs(subject):
        run = loaded_run(subject)
        content = run.comparison({"one": run, "other": loaded_run(subject)})
    assert content, "it shows nothing"
    for each in content:
        if isinstance(each, Picture):
            assert decode(each.png, 3).std() > 0, f"{each.name} shows nothing"


def exports_several(subject: Subject) -> None:
    """Its `networks` are Keras models, under valid file names."""
    import keras

    if not isinstance(subject.target(), ExportsSeveral):
        raise Skipped("it has one network")
    run = loaded_run(subject)
    networks = run.task.networks(run)
    assert networks, "it has no network"
    for name, network in networks.items():
        assert isinstance(network, keras.Model), f"{name} is a {type(network).__name__}, no Model"
        assert name and not set(name) & set("/\\:"), f"{name!r} cannot be the name of a file"


def answers_its_examples(subject: Subject) -> None:
    """After 30 epochs on 32 examples it predicts the answers of `examples`."""
    examples = subject.examples
    may = set(settings.names(subject.target.Settings))
    run = other_run(subject, "by-heart", **{k: v for k, v in BY_HEART.items() if k in may})
    splits = own(run).splits if any(isinstance(each[0], tuple) for each in examples) else {}
    for source, answer in examples:
        file = source
        if isinstance(source, tuple) and reads_text(subject.target):
            file = splits[source[0]].rows[source[1]]
        elif isinstance(source, tuple):
            split, number = source
            picture = np.asarray(splits[split].rows[number])
            file = subject.folder / f"{split}-{number}.png"
            Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(file)
        (prediction,) = answers(subject, [file], run.path)
        best = prediction.answers[0]
        right = answer(prediction.answers) if callable(answer) else agree(answer, best)
        expected = "another answer" if callable(answer) else f"{answer}"
        assert right, (
            f"for {source} ({file}) it gives {json.dumps(best)[:80]}, and its example {expected}"
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
    compares,
    exports_several,
    answers_its_examples,
)


def _are_close(one: dict, other: dict) -> bool:
    return set(one) == set(other) and all(is_close(one[name], other[name]) for name in one)


def _differences(before: dict, after: dict) -> str:
    names = [name for name in before | after if before.get(name) != after.get(name)]
    return ", ".join(names)

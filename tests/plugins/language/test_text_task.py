"""The verbs of a run of a language model, its figures, and its errors."""

import json

import numpy as np
import pytest

import tinyconv
from tests.helpers.command import run as command
from tests.helpers.languages import text_lines
from tinyconv import runs, verbs
from tinyconv.errors import UserError
from tinyconv.plugins.language.text import copy_figures
from tinyconv.results import Picture, Table

pytestmark = pytest.mark.tensorflow
SMALL = {
    "task": "text", "limit": 200, "epochs": 3, "units": 32, "embedding": 16, "batch_size": 16,
    "window": 32, "learning_rate": 0.02,
}  # fmt: skip
COPY = {"task": "text", "data": "copy", "limit": 64, "epochs": 2, "units": 8, "slots": 8}


@pytest.fixture(scope="module")
def shared_run(make_run):
    """A GRU on a seventh of the dictionary; tests do not change it."""
    return make_run(name="shared_run", pages=True, **SMALL)


def test_it_learns_more_than_the_frequency_of_letters(shared_run):
    metrics = shared_run.settings["result"]["metrics"]
    assert {"loss", "bits", "bits_order0", "bits_ngram", "bits_bz2", "ngram", "unknown"} == set(
        metrics
    )
    assert metrics["bits_ngram"] < metrics["bits"] < metrics["bits_order0"] - 0.5
    assert metrics["bits"] >= metrics["loss"] / np.log(2)
    history = shared_run.history
    assert history[-1]["loss"] < history[0]["loss"]


def test_predict_writes_on(shared_run, tmp_path, capsys):
    (one,) = shared_run.predict("The devil", length=40)
    (same, *others) = shared_run.predict("The devil", "A cat", length=40)
    assert one.answers == same.answers and len(one.answers[0]["text"]) == 40
    assert {*one.answers[0]["text"]} <= {*shared_run.settings["symbols"]}
    (again,) = shared_run.predict("The devil", length=40, seed=1)
    assert again.answers != one.answers
    best = [next(shared_run.predict("The", length=30, temperature=0, seed=k)) for k in (0, 1)]
    assert best[0].answers == best[1].answers
    code, out, err = command(
        capsys, "predict", shared_run.path, "To \u65e5\u672c\u65e5", "--length", "60",
        "--temperature", "0.8", "--json",
    )  # fmt: skip
    assert code == 0 and len(json.loads(out)[0]["answers"][0]["text"]) == 60
    assert "3 characters that the network has not learnt: \u65e5, \u672c" in err
    with pytest.raises(UserError, match="predict needs the beginning of a text"):
        list(shared_run.predict())


def test_evaluate_takes_other_texts(shared_run, tmp_path):
    own = shared_run.settings["result"]["metrics"]
    validation = shared_run.measure(split="validation")
    assert validation.metrics["loss"] == pytest.approx(
        min(row["val_loss"] for row in shared_run.history), rel=1e-4
    )
    (tmp_path / "other.txt").write_text("Wörter, die er nicht kennt.\n\n" * 100, encoding="utf-8")
    other = shared_run.measure(data="plain-text", root=tmp_path / "other.txt")
    assert other.metrics["unknown"] == pytest.approx(1 / 29, abs=0.005)
    assert other.metrics["bits"] > own["bits"] + 20 / 29
    with pytest.raises(UserError, match="was trained on devils-dictionary, and cannot be measured"):
        shared_run.evaluate(data="copy")
    with pytest.raises(UserError, match="world is no text in its order"):
        shared_run.evaluate(data="world")


def test_the_report_and_explain(shared_run, tmp_path):
    shown = list(shared_run.pictures())
    names = ["curves", "loss-by-place", "unit", "gates", "gradients", "samples"]
    assert [each.name for each in shown] == names
    assert all(isinstance(each, Table if each.name == "samples" else Picture) for each in shown)
    assert [row[0] for row in shown[-1].rows] == ["0.3", "0.6", "0.9", "1.2"]
    text = 'He said: "The line\nis (not) long."'
    (path,) = verbs.explain(shared_run, text, output=tmp_path)
    assert path.name == "unit.png"
    (figure,) = shared_run.explain(text, unit=3)
    assert figure.title == "Unit 3"
    with pytest.raises(UserError, match="--unit 32 does not exist: a layer has units 0 to 31"):
        list(shared_run.explain(text, unit=32))


def test_runs_are_compared_by_place_and_by_distance(shared_run):
    losses, gradients = shared_run.comparison({"one": shared_run, "other": shared_run})
    metrics = shared_run.settings["result"]["metrics"]
    label = f"one, bits {metrics['bits']:.3g}: "
    carried, fresh = map(float, losses.alt.split("; ")[0].removeprefix(label).split(" and "))
    assert carried == pytest.approx(metrics["loss"], abs=0.03)
    assert fresh == pytest.approx(carried, abs=0.1)  # after 28 symbols and more
    one, other = gradients.alt.split("; ")
    assert one.startswith(label) and one.removeprefix("one") == other.removeprefix("other")
    assert 0 < float(one.removeprefix(label)) < 1


# Ten lines that need neither Keras nor tinyconv: the metadata of the file names what it holds.
PROGRAM = """
import json, sys, numpy as np, onnxruntime
step = onnxruntime.InferenceSession(sys.argv[1])
symbols = ["\\ufffd", *json.load(open(sys.argv[2], encoding="utf-8"))["symbols"]]
symbol, *names = [(each.name, each.shape) for each in step.get_inputs()]
states = [np.zeros((1, *shape[1:]), "float32") for _, shape in names]
written = sys.argv[3]
for place in range(len(sys.argv[3]) + 30 - 1):
    ids = np.array([symbols.index(written[place])], "int32")
    feed = dict(zip([name for name, _ in names], states), **{symbol[0]: ids})
    scores, *states = step.run(None, feed)
    written += symbols[1 + scores[0, 1:].argmax()] if place == len(written) - 1 else ""
print(json.dumps(written[len(sys.argv[3]):]))
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("model", ["gru", "lstm"])
def test_an_exported_step_writes_without_tinyconv(shared_run, model, tmp_path):
    import subprocess
    import sys

    pytest.importorskip("onnxruntime")
    run = shared_run
    if model != "gru":
        run = tinyconv.fit(name="other", **SMALL | {"model": model, "layers": 2, "epochs": 1})
    folder = verbs.export(run, "onnx", tmp_path / "exported")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder / "step.onnx", run.path / "settings.json", "The d"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (own,) = run.predict("The d", length=30, temperature=0)
    assert json.loads(done.stdout) == own.answers[0]["text"]


def test_words_have_a_perplexity(tmp_path):
    run = tinyconv.fit(name="words", **SMALL | {"level": "word", "model": "rnn", "window": 16})
    metrics = run.settings["result"]["metrics"]
    assert set(metrics) == {
        *("loss", "perplexity", "perplexity_order0", "perplexity_ngram", "ngram", "unknown"),
    }
    assert metrics["perplexity"] == pytest.approx(np.exp(metrics["loss"]), rel=1e-4)
    assert 0 < metrics["unknown"] < 0.5
    (one,) = run.predict("The devil", length=8)
    assert 4 <= len(one.answers[0]["text"].split()) <= 8
    assert [each.name for each in run.pictures()] == [
        "curves", "loss-by-place", "gradients", "samples",
    ]  # fmt: skip
    with pytest.raises(UserError, match="this run has --level word and --model rnn"):
        list(run.explain("The devil"))


def test_your_own_text_and_the_grammar(shared_run, tmp_path):
    text_lines(tmp_path)
    run = tinyconv.fit(
        name="own", **SMALL | {"data": "plain-text", "root": tmp_path, "model": "lstm"}
    )
    metrics = run.settings["result"]["metrics"]
    assert metrics["bits"] < metrics["bits_order0"]
    run = tinyconv.fit(name="grammar", **SMALL | {"data": "grammar", "limit": 40})
    metrics = run.settings["result"]["metrics"]
    assert 0 < metrics["excess"] < metrics["bits"]
    entropy = metrics["bits"] - metrics["excess"]
    assert entropy < metrics["bits_ngram"] and 3 < entropy < 3.5
    both = run.comparison({"grammar": run, "another text": shared_run})
    assert len(both) == 2 and not any("another text" in each.alt for each in both)


@pytest.mark.parametrize("model", ["ntm", "gru"])
def test_copies_are_measured_by_length(shared_run, model):
    run = tinyconv.fit(name="copy", **COPY | {"model": model})
    metrics = run.settings["result"]["metrics"]
    names = {f"{name}_{length}" for name in ("sequence_accuracy", "bit_error")
             for length in (8, 12, 16, 24, 32)}  # fmt: skip
    assert set(metrics) == names | {"loss", "sequence_accuracy", "bit_error"}
    assert 0.3 < metrics["bit_error_32"] < 0.7 and metrics["sequence_accuracy_32"] == 0
    (one,) = run.predict("AbC9")
    assert len(one.answers[0]["text"]) == 4 and 0 <= one.answers[0]["bit_error"] <= 1
    shown = [each.name for each in run.pictures()]
    assert shown == ["curves", "by-length", "copy", *(["heads"] if model == "ntm" else [])]
    if model == "ntm":
        weights = copy_figures.head_weights(run.model(), "ABC")
        assert weights.shape == (2, 8, 8)
        np.testing.assert_allclose(weights.sum(axis=2), 1, rtol=1e-5)
    (figure,) = run.explain("AbC9")
    assert figure.name == ("heads" if model == "ntm" else "copy")
    both = run.comparison({"text": shared_run, "copy": run, "other": run})
    assert [each.name for each in both] == ["losses-by-place", "gradients", "by-length"]
    by_length = ", ".join(f"{metrics[f'sequence_accuracy_{k}']:.2f}" for k in (8, 12, 16, 24, 32))
    assert both[-1].alt == f"copy: {by_length}; other: {by_length}"
    with pytest.raises(UserError, match="'a_b' has '_', but this run copies letters"):
        list(run.predict("a_b"))
    assert [each.shape for each in run.task.networks(run)["step"].inputs][0] == (None, 8)


def test_a_run_that_is_stopped_ends_like_one_that_is_not(at_step):
    """The state and the place in the text are those of the step where it stopped."""
    import signal

    options = SMALL | {"model": "lstm", "limit": 60, "deterministic": True, "units": 8}
    whole = tinyconv.fit(name="whole", **options)
    at_step(13, lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit(name="stopped", **options)
    resumed = verbs.resume("stopped")
    for which in ("best", "last"):
        one, other = (each.model(which).get_weights() for each in (whole, resumed))
        assert all(map(np.array_equal, one, other))
    layer = resumed.model("last").get_layer("layer1")
    assert any(np.abs(np.asarray(state)).max() > 0.01 for state in layer.carried)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"data": "digits"}, "digits has pictures, which this task cannot use"),
        ({"data": "world"}, "world is no text in its order; choose devils-dictionary"),
        ({"model": "gur"}, "did you mean gru"),
        ({"least": 1_000_000}, "No symbol occurs 1000000 times; --min-count 1"),
        ({"window": 100_000}, "16 readers of 100,000 symbols need 1,600,000; choose a smaller"),
        ({"data": "copy", "root": "."}, "copy is generated; leave out --root"),
        ({"data": "grammar", "root": "."}, "grammar is generated; leave out --root"),
        ({"slots": 2}, "slots"),
    ],
)
def test_invalid_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        tinyconv.fit(**SMALL | settings)
    assert not runs.runs_folder().exists()

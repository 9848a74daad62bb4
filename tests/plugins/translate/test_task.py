"""The verbs of a translating run, its figures, its export, and its errors."""

import dataclasses
import json
import re

import numpy as np
import pytest
from matplotlib.axes import Axes

import tinyconv
from tests.helpers.languages import multi30k_folder, translations
from tinyconv import runs, verbs
from tinyconv.__main__ import main
from tinyconv.errors import UserError
from tinyconv.plugins.translate.languages import words
from tinyconv.plugins.translate.translation import TranslationModel, bleu, bleu_detokenised
from tinyconv.results import Picture, Table
from tinyconv.text.vocabulary import END, START

pytestmark = pytest.mark.tensorflow
pytest.importorskip("sacrebleu")
SMALL = {
    "limit": 128, "epochs": 1, "batch_size": 32, "units": 16, "embedding": 8, "maxout": 8,
    "alignment_units": 8, "longest": 60, "least": 1, "precision": "float32",
}  # fmt: skip
SENTENCES = ("the old king sees two red houses", "a cat never likes the bird")


@pytest.fixture(scope="module")
def shared_run(make_run):
    """A run on generated sentences; tests do not change it."""
    return make_run(task="translate", name="shared_run", pages=True, **SMALL)


def test_it_learns_words():
    """From a few hundred sentences: the loss falls."""
    run = tinyconv.fit("translate", **{**SMALL, "limit": 512, "epochs": 5})
    assert run.history[-1]["loss"] < 0.92 * run.history[0]["loss"]


def test_evaluate_measures_what_scripts_rely_on(shared_run, capsys):
    metrics = shared_run.settings["result"]["metrics"]
    names = {"loss", "bleu", "chrf", "exact_match", "bleu_trained_lengths", "bleu_longer"}
    names |= {"aer", "pointing", "mass", "bleu_3_to_9", "bleu_10_to_19", "bleu_60_and_more"}
    assert names <= set(metrics)
    assert 0 <= metrics["aer"] <= 1 and 0 <= metrics["bleu"] <= 100
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(shared_run.path), "--beam", "1", "--split", "validation", "--json"])
    assert not stop.value.code
    output = capsys.readouterr()
    document = json.loads(output.out)
    assert document["split"] == "validation" and document["count"] == 128
    assert "sacreBLEU nrefs:1|case:mixed|eff:no|tok:none" in output.err  # its signature


def test_predict_reads_the_command_line_files_and_standard_input(
    shared_run, tmp_path, monkeypatch, capsys
):
    file = tmp_path / "lines.txt"
    file.write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    direct = [prediction.answers for prediction in shared_run.predict(*SENTENCES)]
    assert direct == [prediction.answers for prediction in shared_run.predict(file)]
    assert all(len(answers) == 3 for answers in direct)
    assert {frozenset(answer) for answers in direct for answer in answers} <= {
        frozenset({"translation", "log_probability"}),
        frozenset({"translation", "log_probability", "replaced"}),
    }
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(SENTENCES)))
    assert direct == [prediction.answers for prediction in shared_run.predict("-")]
    (one,) = shared_run.predict(SENTENCES[0], beam=1)
    assert len(one.answers) == 1
    list(shared_run.predict("zyx zyxx", beam=1))
    assert "no word of 'zyx zyxx' is in the vocabulary" in capsys.readouterr().err
    for inputs, message in (
        ((), "predict needs sentences"),
        (("lines.tx.txt",), "There is no file lines.tx.txt"),
        (("  ",), "An input is empty"),
        (("the king", "\ufeff"), "has no word to translate"),
    ):
        with pytest.raises(UserError, match=message):
            list(shared_run.predict(*inputs))
    with pytest.raises(UserError, match="beam"):
        list(shared_run.predict(SENTENCES[0], beam=0))


def test_an_unknown_word_is_replaced_by_the_source_word_it_attends_to(shared_run):
    """A network that says <unknown> at each step, and looks where it is made to look."""
    model = TranslationModel(shared_run)
    decoder = model.model.get_layer("decoder")
    bias = np.zeros(decoder.vocabulary, "float32")
    bias[3] = 99
    decoder.b_v.assign(bias)
    source = words(SENTENCES[0])
    ((best, *_),) = model.translate([source], beam=1)
    (weights,), _ = model.align([source], [[START, *[3] * len(best.tokens), END]])
    expected = [source[row[: len(source)].argmax()] for row in weights[: len(best.tokens)]]
    assert best.tokens == expected and best.marks == tuple(range(len(expected)))
    from tinyconv.plugins.translate.task import _answer

    answer = _answer(model.target, best)
    assert answer["replaced"] == expected
    assert answer["translation"].startswith(f"[{expected[0]}] [")


def test_explain_draws_a_matrix(shared_run, tmp_path, capsys):
    (path,) = verbs.explain(shared_run, SENTENCES[0], output=tmp_path)
    lines = tmp_path / "lines.txt"
    lines.write_text(f"{SENTENCES[0]}\n{SENTENCES[1]}\n")
    first, _ = shared_run.explain(lines)
    assert first.png == path.read_bytes()
    target = "le vieux roi voit deux maisons rouges"
    (forced,) = shared_run.explain(SENTENCES[0], target=target)
    assert path.read_bytes() != forced.png and forced.title == target
    model = TranslationModel(shared_run)
    (weights,), (log_p,) = model.align([words(SENTENCES[0])], [words(target)])
    assert weights.shape == (8, 8) and log_p < 0  # seven words and the end, both ways
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-4)
    with pytest.raises(UserError, match="--target has no word"):
        list(shared_run.explain(SENTENCES[0], target=" "))
    with pytest.raises(UserError, match="explain needs sentences"):
        list(shared_run.explain())
    list(shared_run.explain(SENTENCES[0], target="le zzz roi"))
    assert "zzz: not in the vocabulary of translations" in capsys.readouterr().err
    blind = tinyconv.load(shared_run.path)
    blind.options = dataclasses.replace(blind.options, attention="none")
    with pytest.raises(UserError, match="no alignment to draw"):
        list(blind.explain(SENTENCES[0]))


def test_the_report_shows_length_alignment_and_the_worst(shared_run):
    shown = list(shared_run.pictures())
    assert [each.name for each in shown] == [
        "curves", "bleu-by-length", "alignment-1", "alignment-2", "alignment-3", "worst",
    ]  # fmt: skip
    assert all(isinstance(each, Picture) for each in shown[:-1]) and isinstance(shown[-1], Table)
    shares = [int(row[0].rstrip("%")) for row in shown[-1].rows]
    assert shares == sorted(shares)


@pytest.mark.pages
def test_several_runs_are_compared_by_length_and_by_a_sentence(shared_run, tmp_path, monkeypatch):
    drawn = []
    plot = Axes.plot
    monkeypatch.setattr(Axes, "plot", lambda *a, **k: drawn.append(a[2]) or plot(*a, **k))
    other = tinyconv.load(shared_run.path)
    by_length, alignments = shared_run.comparison({"one": shared_run, "other": other})
    metrics = shared_run.settings["result"]["metrics"]
    bands = [value for name, value in metrics.items() if re.fullmatch(r"bleu_\d+_.*", name)]
    assert drawn == [bands, bands] and "one: 3–9 words" in by_length.alt
    assert alignments.alt.count("(end): ") == 2  # each run's matrix of one sentence
    other.options = dataclasses.replace(other.options, attention="none")
    assert len(shared_run.comparison({"one": shared_run, "other": other})) == 1
    page = verbs.report(shared_run, other, output=tmp_path / "page.html").read_text()
    assert "BLEU by length" in page


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_exported_networks_translate_without_tinyconv(shared_run, tmp_path):
    """Greedy search by hand with onnxruntime, from the two files and the run's words."""
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = verbs.export(shared_run, "onnx", tmp_path / "exported")
    begin, step = (
        onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("begin", "step")
    )
    settings = json.loads((shared_run.path / "settings.json").read_text(encoding="utf-8"))
    ids = {word: 4 + i for i, word in enumerate(settings["source_words"])}
    source = np.array([[*(ids[word] for word in SENTENCES[0].split()), 2]], "int32")
    (name,) = (each.name for each in begin.get_inputs())
    state = dict(zip(("annotations", "keys", "padding", "hidden"), begin.run(None, {name: source})))
    translation, word, total = [], 1, 0.0
    while len(translation) < shared_run.options.longest:
        inputs = {**state, "word": np.array([word], "int32")}
        log_p, state["hidden"], weights = step.run(None, inputs)
        log_p[0, [0, 1]] = -np.inf
        word = int(log_p[0].argmax())
        total += float(log_p[0, word])
        assert weights.sum() == pytest.approx(1, abs=1e-4)
        if word == 2:
            break
        translation.append(settings["target_words"][word - 4])
    (own,) = shared_run.predict(SENTENCES[0], beam=1)
    assert " ".join(translation) == own.answers[0]["translation"]
    assert total == pytest.approx(own.answers[0]["log_probability"], abs=1e-3)


@pytest.mark.parametrize(
    "form",
    [
        {"preset": "paper"},
        pytest.param({"attention": "none"}, marks=pytest.mark.slow),
        pytest.param({"reverse": True}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_other_forms_train_and_measure(form):
    run = tinyconv.fit("translate", name="form", **SMALL, **form)
    options = run.options
    if "preset" in form:
        assert (options.start, options.annotation, options.query) == ("backward", "states", "state")
    metrics = run.settings["result"]["metrics"]
    assert ("aer" in metrics) == ("attention" not in form)
    (prediction,) = run.predict("le roi voit la maison" if "reverse" in form else SENTENCES[0])
    assert prediction.answers


def test_a_setting_beside_a_preset_counts():
    run = verbs.new("translate", {**SMALL, "preset": "paper", "query": "state+word"})
    assert (run.options.start, run.options.query) == ("backward", "state+word")


def test_your_own_sentences_in_pieces(tmp_path):
    pytest.importorskip("sentencepiece")
    root = translations(tmp_path)
    options = SMALL | {"data": "sentence-pairs", "root": root, "subword": 100, "limit": 100}
    run = tinyconv.fit("translate", name="pieces", **options)
    assert {"bleu", "bleu_detokenised", "aer_model1"} <= set(run.settings["result"]["metrics"])
    assert (run.path / "source.sentencepiece").is_file()
    (prediction,) = tinyconv.load(run.path).predict("sentence 3 here")
    assert "\u2581" not in prediction.answers[0]["translation"]


def test_case_and_punctuation_count_in_text_as_it_is_written():
    """By hand: all 5, 4, 3 and 2 n-grams match but those with the capital letter."""
    texts = ["die Katze sieht mich."], ["Die Katze sieht mich."]
    score = bleu_detokenised(texts[0], [{"text": texts[1][0]}])
    assert score == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    assert bleu(*([" ".join(words(text)) for text in side] for side in texts)) == pytest.approx(100)


@pytest.mark.slow
def test_multi30k_in_either_direction(tmp_path):
    root = multi30k_folder(tmp_path, ("en", "de"))
    options = SMALL | {"data": "multi30k-de", "root": root, "reverse": True}
    run = tinyconv.fit("translate", name="german", **options)
    assert run.settings["source_words"][0] in ("de", "train")
    assert "en" in run.settings["target_words"] and "en" not in run.settings["source_words"]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"data": "digits"}, "digits has pictures, which this task cannot use"),
        ({"data": "phrase"}, "did you mean phrases"),
        ({"attention": "nine"}, "no attention 'nine'; did you mean none"),
        ({"preset": "papers"}, "did you mean paper"),
        ({"least": 10_000}, "No word occurs 10000 times in the source sentences; --min-count 1"),
        ({"longest": 2}, "No training pair has at most 2 words; raise --max-length"),
        ({"limit": 2}, "2 pairs to train on; 4 is the least"),
    ],
)
def test_invalid_settings_are_refused_before_anything_is_written(settings, message):
    with pytest.raises(UserError, match=message):
        tinyconv.fit("translate", **{**SMALL, **settings})
    assert not runs.runs_folder().exists()


def test_a_missing_package_is_named(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(UserError, match=r"sacrebleu, which is not installed.*translate"):
        tinyconv.fit("translate", **SMALL)

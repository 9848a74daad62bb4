"""The verbs of a run of word vectors, its figures, and its errors."""

import json

import numpy as np
import pytest

import tinyconv
from tests.helpers.command import run as command
from tests.helpers.languages import text_lines
from tinyconv import runs, verbs
from tinyconv.errors import UserError
from tinyconv.plugins.language.words import vector_files
from tinyconv.plugins.language.words.task import space_of
from tinyconv.results import Picture, Table

pytestmark = pytest.mark.tensorflow
SMALL = {
    "limit": 12_000, "epochs": 4, "size": 16, "batch_size": 1024, "precision": "float32",
    "learning_rate": 0.02,
}  # fmt: skip
FEWER = SMALL | {"limit": 6000, "epochs": 3}


@pytest.fixture
def own_text(tmp_path):
    """A folder with two files of text, and nothing else."""
    (tmp_path / "text").mkdir()
    return text_lines(tmp_path / "text")


@pytest.fixture(scope="module")
def shared_run(make_run):
    """A run on a tenth of the world; tests do not change it."""
    return make_run(task="words", name="shared_run", pages=True, **SMALL)


def test_it_learns_more_than_neighbours(shared_run):
    metrics = shared_run.settings["result"]["metrics"]
    kinds = {"capital", "nationality", "gender", "comparative", "superlative", "past", "gerund"}
    assert {f"analogy_{kind}" for kind in kinds | {"plural"}} <= set(metrics)
    assert metrics["known"] == 1 and metrics["analogy"] > 0.2 + metrics["analogy_nearest"]
    history = shared_run.history
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["val_analogy"] > 0.2


def test_words_come_back_with_their_counts(shared_run):
    rows = (shared_run.path / "words.tsv").read_text(encoding="utf-8").splitlines()
    word, count = rows[0].split("\t")
    assert word == "the" and int(count) > 1000
    assert len(rows) == len(space_of(shared_run).lexicon)


def test_predict_answers_analogies_and_lists_neighbours(shared_run, tmp_path, capsys):
    (one,) = shared_run.predict("france", "paris", "germany", top=3)
    (text,) = shared_run.predict("france paris germany", top=3)
    assert one == text and len(one.answers) == 3
    assert {"word", "cosine"} == set(one.answers[0])
    assert not {"france", "paris", "germany"} & {each["word"] for each in one.answers}
    several = list(shared_run.predict("King", "queen"))
    assert [each.input for each in several] == ["King", "queen"]
    file = tmp_path / "lines.txt"
    file.write_text("france paris germany\nking\n")
    assert [each.answers for each in shared_run.predict(file, top=3)][0] == one.answers
    for words, message in (
        (("kingg",), "'kingg' is not one of the .* words of this run; did you mean king"),
        (("king queen",), "has 2 words; pass one word for its neighbours, or three"),
        ((), "predict needs one word"),
    ):
        with pytest.raises(UserError, match=message):
            list(shared_run.predict(*words))
    code, out, _ = command(capsys, "predict", shared_run.path, "man", "king", "woman", "--json")
    assert code == 0 and json.loads(out)[0]["input"] == "man king woman"


def test_evaluate_takes_other_questions_and_judgements(shared_run, tmp_path, capsys):
    questions = tmp_path / "questions.txt"
    questions.write_text(": gender\nking queen man woman\n: places\nParis France Berlin Germany\n")
    judgements = tmp_path / "judgements.csv"
    judgements.write_text("king,queen,9\nking,river,1\nparis,france,8\nmoon,sun,3\n")
    code, out, _ = command(
        capsys, "evaluate", shared_run.path, "--questions", questions, "--similarity", judgements,
        "--json",
    )  # fmt: skip
    document = json.loads(out)
    assert code == 0 and document["count"] == 2 and document["data"] == "questions.txt"
    names = {"analogy_gender", "analogy_places", "similarity", "similarity_known", "known"}
    assert names <= set(document["metrics"])
    questions.write_text("Atlantis Poseidonis Lemuria Mu")
    with pytest.raises(UserError, match="None of the 1 questions of .* has four of this run's"):
        shared_run.evaluate(questions=questions)
    own = shared_run.settings["result"]["metrics"]
    assert shared_run.evaluate(among=400)["known"] < 1 == own["known"]
    assert shared_run.evaluate(split="validation") != own
    # Of training sentences there are no questions: their loss is measured.
    assert set(shared_run.evaluate(split="train")) == {"loss", "coverage"}


def test_vectors_go_out_and_in(shared_run, own_text, tmp_path, capsys):
    file = tmp_path / "vectors.txt"
    code, _, _ = command(
        capsys, "predict", shared_run.path, "--vectors", "word2vec", "--output", file
    )
    space = space_of(shared_run)
    lexicon, vectors = vector_files.read(file, 1000)
    assert code == 0 and lexicon.words == space.lexicon.words
    np.testing.assert_allclose(vectors, space.vectors, rtol=1e-4, atol=1e-6)
    run = tinyconv.fit("words", name="read", vectors=file)
    own, read = (each.settings["result"]["metrics"] for each in (shared_run, run))
    assert read["analogy"] == pytest.approx(own["analogy"], abs=0.005)
    one, other = (each.predict("king", top=3) for each in (shared_run, run))
    assert [a["word"] for a in next(one).answers] == [a["word"] for a in next(other).answers]
    assert "ratios" not in [each.name for each in run.pictures()]
    with pytest.raises(UserError, match="this run's vectors come from a file"):
        list(run.explain("king queen"))
    few = list(shared_run.predict("king queen", vectors="glove"))
    assert [each.line.split()[0] for each in few] == ["king", "queen"]
    with pytest.raises(UserError, match="has finished training"):
        verbs.resume(run.path)
    with pytest.raises(UserError, match="is no file of word vectors"):
        tinyconv.fit("words", vectors=own_text / "one.txt")


@pytest.mark.parametrize("model", ["cbow", "glove", "counts"])
def test_other_models_train_and_measure(model):
    run = tinyconv.fit("words", name="other", **FEWER, model=model)
    metrics = run.settings["result"]["metrics"]
    assert metrics["known"] > 0.9 and 0 <= metrics["analogy"] <= 1
    assert next(run.predict("king")).answers
    if model != "counts":
        assert run.history[-1]["loss"] < run.history[0]["loss"]
        return
    again = tinyconv.fit("words", name="again", **FEWER, model=model)
    assert again.settings["result"]["metrics"] == metrics


def test_your_own_text_has_a_held_out_loss(own_text):
    options = {"data": "text-files", "root": own_text, "window": 2, "size": 8}
    for model in ("skip-gram", "glove"):
        run = tinyconv.fit("words", model=model, epochs=3, batch_size=256, **options)
        metrics = run.settings["result"]["metrics"]
        assert metrics["coverage"] == 1 and metrics["loss"] > 0
        assert len(space_of(run).lexicon) == 10
        best = min(row["val_loss"] for row in run.history)
        assert metrics["loss"] == pytest.approx(best, rel=1e-3)
    names = [each.name for each in run.pictures()]
    assert names == ["curves", "map-tsne", "map-pca", "neighbours", "ratios"]


def test_the_held_out_loss_of_untrained_vectors_is_known(own_text, at_step):
    """Output vectors begin at zero: ln 2 for the pair and, on the mean, k (1 - P(target)) ln 2."""
    losses = []

    def measure(loop, *_):
        losses.append(loop.validate(loop.model)["loss"])

    at_step(1, measure)
    options = {"data": "text-files", "root": own_text, "window": 2, "size": 8}
    run = tinyconv.fit("words", epochs=1, batch_size=256, negative=5, **options)
    noise = space_of(run).lexicon.counts ** 0.75
    least, most = (6 - 5 * (noise / noise.sum()).max()) * np.log(2), 6 * np.log(2)
    assert least < losses[0] < most


def test_the_report_and_explain_draw_words(shared_run, tmp_path):
    shown = list(shared_run.pictures())
    names = ["curves", "map-tsne", "map-pca", "arrows", "neighbours", "ratios"]
    assert [each.name for each in shown] == names
    assert all(isinstance(each, Table if each.name == "neighbours" else Picture) for each in shown)
    for inputs, name in ((("king",), "neighbours"), (("king queen",), "ratios")):
        (path,) = verbs.explain(shared_run, *inputs, output=tmp_path)
        assert path.name == f"{name}.png"
    (figure,) = shared_run.explain("france", "paris", "germany")
    assert figure.title.startswith("france : paris = germany : ")
    (figure,) = shared_run.explain("king queen", probes="crown, river")
    assert figure.alt.startswith(("crown", "river")) and figure.alt.count(",") == 1
    with pytest.raises(UserError, match="explain needs words"):
        list(shared_run.explain())


def test_ratios_are_those_of_the_counts():
    from scipy import sparse

    from tinyconv.plugins.language.words import figures
    from tinyconv.plugins.language.words.lexicon import Lexicon

    words = ("ice", "steam", "solid", "gas", "water")
    counts = np.zeros((5, 5))
    counts[0, 2:], counts[1, 2:] = (19, 1, 40), (1, 19, 40)
    lexicon = Lexicon(words, np.ones(5, int))
    figure = figures.ratios(lexicon, sparse.csr_matrix(counts), 0, 1, [2, 3, 4])
    # (19 + 1/2) / (1 + 1/2), of rows with the same sum
    assert figure.alt == "gas 0.077, water 1, solid 13"


def test_a_run_that_is_stopped_ends_like_one_that_is_not(at_step):
    import signal

    options = {**SMALL, "limit": 1000, "batch_size": 512, "deterministic": True}
    whole = tinyconv.fit("words", name="whole", **options)
    at_step(13, lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit("words", name="stopped", **options)
    resumed = verbs.resume("stopped")
    one, other = (each.model().get_weights() for each in (whole, resumed))
    assert all(map(np.array_equal, one, other))


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"data": "digits"}, "digits has pictures, which this task cannot use"),
        ({"model": "skipgram"}, "did you mean skip-gram"),
        ({"least": 10_000}, "occur 10000 times or more, and 2 are the least; --min-count 1"),
        ({"subsample": 1e-9}, "--subsample 1e-09 discards all words but single ones"),
        ({"window": 60}, "--window 60 reaches beyond the longest sentence"),
        ({"vectors": "missing.txt"}, "missing.txt cannot be read"),
        ({"model": "counts", "size": 2000}, "--size 2000 needs more than 2000 words"),
    ],
)
def test_invalid_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        tinyconv.fit("words", **{**SMALL, "limit": 500, **settings})
    assert not runs.runs_folder().exists()

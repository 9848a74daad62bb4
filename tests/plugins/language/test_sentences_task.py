"""The verbs of a run on sentences, its figures, and its errors."""

import json

import numpy as np
import pytest

import tinyconv
from tests.helpers.command import run as command
from tinyconv import runs, verbs
from tinyconv.errors import UserError
from tinyconv.plugins.language.sentences import opinions
from tinyconv.plugins.language.sentences.labelled_phrases import phrases, trees_of
from tinyconv.plugins.language.sentences.treebank import LABELS, parsed
from tinyconv.results import Picture

pytestmark = pytest.mark.tensorflow
SMALL = {"task": "sentences", "limit": 150, "epochs": 3, "units": 16, "batch_size": 16}
MEASURES = {"loss", "accuracy", "binary_accuracy", "node_accuracy", "negated_positive",
            "negated_negative"}  # fmt: skip
TREE = "(1 (2 (2 the) (2 film)) (1 (2 is) (1 (2 not) (3 good))))"


@pytest.fixture(scope="module")
def shared_run(make_run):
    """A tree-LSTM on a few opinions; tests do not change it."""
    return make_run(name="shared_run", pages=True, **SMALL)


def test_it_learns_and_is_measured_by_depth(shared_run):
    metrics = shared_run.settings["result"]["metrics"]
    depths = {name for name in metrics if name.startswith("accuracy_depth_")}
    assert set(metrics) - depths == MEASURES
    assert depths == {f"accuracy_depth_{band}" for band in (3, 6, 9, 12)}
    history = shared_run.history
    assert history[-1]["loss"] < history[0]["loss"]
    deeper = shared_run.measure(split="deeper")
    assert (deeper.split, deeper.count) == ("deeper", 150)
    assert "accuracy_depth_15" in deeper.metrics or "accuracy_depth_12" in deeper.metrics
    validation = shared_run.measure(split="validation")
    best = max(row["val_accuracy"] for row in history)
    assert validation.metrics["accuracy"] == pytest.approx(best, abs=1e-5)


def test_predict_reads_sentences_and_trees(shared_run, capsys):
    (tree,) = shared_run.predict(TREE)
    assert len({each["label"] for each in tree.answers}) == 5
    assert sum(each["probability"] for each in tree.answers) == pytest.approx(1, abs=1e-5)
    read = parsed(tree.answers[0]["tree"])
    assert read.words == parsed(TREE).words and LABELS[read.labels[-1]] == tree.answers[0]["label"]
    assert np.array_equal(read.children, parsed(TREE).children)
    capsys.readouterr()
    code, out, err = command(
        capsys, "predict", shared_run.path, "the film is superlative", "--json"
    )
    assert code == 0 and "1 sentence without brackets" in err and "right-branching" in err
    assert "1 word that the network has not learnt: superlative" in err
    answer = json.loads(out)[0]["answers"][0]
    assert answer["tree"].count("(") == 7 and answer["tree"].endswith("superlative))))")
    with pytest.raises(UserError, match="predict needs a sentence"):
        list(shared_run.predict())
    with pytest.raises(UserError, match="Column 1: a node has one child"):
        list(shared_run.predict("(3 (2 good))"))


def test_the_report_explain_and_comparison(shared_run, tmp_path):
    shown = list(shared_run.pictures())
    names = [each.name for each in shown]
    assert names[0] == "curves" and names[-1] == "depth" and "tree-wrong" in names
    assert all(isinstance(each, Picture) for each in shown)
    (path,) = verbs.explain(shared_run, TREE, output=tmp_path)
    assert path.name == "tree.png"
    (figure,) = shared_run.explain(TREE)
    assert "of 9 are wrong" in figure.caption
    other = tinyconv.fit(name="other", **SMALL | {"model": "cnn"})
    assert {"curves", "ngrams", "depth"} < {each.name for each in other.pictures()}
    (figure,) = other.explain("the film is good")
    assert figure.name == "sentence"
    (depth,) = shared_run.task.comparison({"tree": shared_run, "filters": other})
    assert "tree " in depth.alt and "filters " in depth.alt


@pytest.mark.parametrize("model", ["bag", "lstm", "gru", "recursive", "rntn"])
def test_every_model_trains(model):
    run = tinyconv.fit(name="run", **SMALL | {"model": model, "limit": 40, "epochs": 2})
    assert set(run.settings["result"]["metrics"]) >= MEASURES
    assert run.history[-1]["loss"] < run.history[0]["loss"]


def test_chains_train_on_each_different_phrase_once_or_on_sentences():
    split = opinions.opinions().splits["train"].take(np.arange(40))
    trees = trees_of(split)
    pairs = dict(phrases(trees))
    assert {tree.words for tree in trees} < set(pairs) and pairs[("not",)] == 2
    assert len(pairs) < sum(len(tree.labels) for tree in trees) / 2
    for tree in trees:
        assert all(pairs[tree.phrase(i)] == label for i, label in enumerate(tree.labels))
    loops = {}
    for supervision in ("phrases", "sentences"):
        settings = SMALL | {"model": "bag", "supervision": supervision, "epochs": 1}
        run = tinyconv.fit(name=supervision, **settings)
        loops[supervision] = len(run.state()["step_losses"])
    assert loops["sentences"] == 10 < loops["phrases"]


def test_settings_of_another_model_are_named(capsys):
    tinyconv.fit(**SMALL | {"model": "bag", "epochs": 1, "hops": 2, "linear_start": 0.0})
    assert "--hops, --linear-start: of --model memory, without effect on bag" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"data": "digits"}, "digits has pictures, which this task cannot use"),
        ({"data": "world"}, "world has no labelled sentences; choose opinions"),
        ({"data": "phrases"}, "phrases has no labelled sentences"),
        ({"model": "tree"}, "did you mean tree-lstm"),
        ({"least": 1_000_000}, "No word occurs 1000000 times; --min-count 1"),
        ({"data": "opinions", "root": "."}, "opinions is generated; leave out --root"),
    ],
)
def test_invalid_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        tinyconv.fit(**SMALL | settings)
    assert not runs.runs_folder().exists()

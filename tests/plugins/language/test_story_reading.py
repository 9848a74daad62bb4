"""A run of the memory network: its measures, answers, figures and errors."""

import io
import json

import numpy as np
import pytest

import tinyconv
from tests.helpers.command import run as command
from tinyconv import runs, verbs
from tinyconv.errors import UserError
from tinyconv.plugins.language.sentences import memory_network, story_measures, story_reading

pytestmark = pytest.mark.tensorflow
SMALL = {
    "task": "sentences", "model": "memory", "tasks": "1", "hops": 2, "units": 20, "epochs": 20,
}  # fmt: skip
TINY = SMALL | {"limit": 60, "epochs": 3, "units": 6, "tasks": None}
STORY = "Mary went to the kitchen. John moved to the garden. Mary travelled to the office."


@pytest.fixture(scope="module")
def shared_run(make_run):
    """Task 1 with two hops; tests do not change it."""
    return make_run(name="shared_run", pages=True, **SMALL)


def test_it_answers_and_looks_at_the_fact(shared_run):
    metrics = shared_run.settings["result"]["metrics"]
    assert set(metrics) == {
        *("loss", "answer_accuracy", "attention_on_fact", "attention_on_fact_chance"),
        *("attention_on_fact_hop_1", "attention_on_fact_hop_2"),
    }
    assert metrics["answer_accuracy"] > 0.9 and metrics["attention_on_fact"] > 0.8
    assert metrics["attention_on_fact_chance"] == pytest.approx(0.21, abs=0.02)
    both = metrics["attention_on_fact_hop_1"] + metrics["attention_on_fact_hop_2"]
    assert metrics["attention_on_fact"] == pytest.approx(both / 2)
    deeper = shared_run.measure(split="deeper")
    assert deeper.count == 1000 and deeper.metrics["attention_on_fact_chance"] < 0.1
    optimizer = shared_run.model("last", compiled=True).optimizer
    assert optimizer.clipnorm == 1.25 and optimizer.global_clipnorm is None


def test_measures_are_counts_of_the_outputs(shared_run):
    """The same numbers, counted story by story."""
    split = story_reading.of_tasks(tinyconv.data.selection.own(shared_run), "1").splits["test"]
    few = split.take(np.arange(40))
    stories = story_measures.stories_of(shared_run, few)
    model = memory_network.with_weights(shared_run.model())
    right = looks = chance = 0
    for row, (text, target) in enumerate(zip(few.rows, few.targets)):
        scores, weights = model.predict_on_batch(stories.inputs([row]))
        words = ["", "", "", "", *shared_run.settings["words"]]
        best = max(range(4, len(words)), key=lambda i: scores[0, i])
        right += words[best] == target["answer"]
        looks += sum(int(hop.argmax() in target["facts"]) for hop in weights[0])
        chance += len(target["facts"]) / text.count("\n")
    metrics = story_reading.measure(shared_run, few)
    assert metrics["answer_accuracy"] == pytest.approx(right / 40)
    assert metrics["attention_on_fact"] == pytest.approx(looks / 80)
    assert metrics["attention_on_fact_chance"] == pytest.approx(chance / 40)


def test_predict_answers_questions(shared_run, tmp_path, capsys, monkeypatch):
    text = f"{STORY} Where is Mary?"
    code, out, err = command(capsys, "predict", shared_run.path, text, "--json")
    (one,) = json.loads(out)
    best, *others = one["answers"]
    assert code == 0 and one["input"] == text and best["answer"] == "office" and len(others) == 2
    assert best["looks_at"].split(" / ")[-1] == "Mary travelled to the office."
    assert best["probability"] > max(each["probability"] for each in others)
    # The same as arguments, as a file, and on standard input.
    sentences = [f"{each}." for each in STORY.rstrip(".").split(". ")]
    (same,) = shared_run.predict(*sentences, "Where is Mary?")
    (tmp_path / "story.txt").write_text("\n".join([*sentences, "Where is Mary?", "Where is John?"]))
    in_file, other = shared_run.predict(str(tmp_path / "story.txt"))
    assert same.answers == in_file.answers == one["answers"]
    (short,) = shared_run.predict("Mary went to the office. Where is Mary?")  # one memory
    assert short.answers[0]["looks_at"].split(" / ")[-1] == "Mary went to the office."
    assert other.input.endswith("story.txt:5") and other.answers[0]["answer"] == "garden"
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join([*sentences, "Where is John?"])))
    code, out, _ = command(capsys, "predict", shared_run.path, "-", "--json")
    assert code == 0 and json.loads(out)[0]["answers"] == other.answers


@pytest.mark.parametrize(
    "words, message",
    [
        ((), "predict needs a story with a question"),
        (("Where is Mary?",), "is a question without a story; put sentences before it"),
        ((STORY,), "has no question, which ends in a question mark"),
        ((f"{STORY} Quo vadis?",), "No word of 'Quo vadis\\?' occurs in the training stories"),
    ],
)
def test_what_cannot_be_answered(shared_run, words, message):
    for verb in (shared_run.predict, shared_run.explain):
        with pytest.raises(UserError, match=message.replace("predict", verb.__name__)):
            list(verb(*words))


def test_unknown_words_are_counted_aloud(shared_run, capsys):
    list(shared_run.predict(f"{STORY} Zoe flew to the attic. Where is Mary?"))
    assert "3 words that the network has not learnt: attic, flew, zoe" in capsys.readouterr().err


def test_the_report_and_explain(shared_run, tmp_path):
    names = [each.name for each in shared_run.pictures()]
    assert names[:2] == ["curves", "attention-task-1"] and names[-2:] == ["hops", "by-length"]
    (both,) = shared_run.task.comparison({"one": shared_run, "_two": shared_run})
    one, two = both.alt.split("; ")
    assert both.name == "by-length" and two == f"_two{one.removeprefix('one')}"
    (path,) = verbs.explain(shared_run, f"{STORY} Where is Mary?", output=tmp_path)
    assert path.name == "attention.png"
    (figure,) = shared_run.explain(f"{STORY} Where is Mary?")
    assert figure.title == "Where is Mary?" and "hop 2 looks at: Mary travelled" in figure.alt


def test_several_tasks_and_old_sentences_that_are_cut(capsys):
    run = tinyconv.fit(name="several", memories=6, **TINY)
    assert "training stories cut to the last 6 sentences" in capsys.readouterr().err
    metrics = run.settings["result"]["metrics"]
    for task in (1, 2, 3):
        assert {f"answer_accuracy_task_{task}", f"attention_on_fact_task_{task}"} <= set(metrics)
    assert len(run.settings["words"]) > 20
    assert run.model().get_layer("memory").memories == 6
    assert len(list(run.predict(f"{STORY} {STORY} {STORY} Where is Mary?"))) == 1


def test_stories_in_the_form_of_babi(tmp_path, capsys):
    story = "1 Mary moved to the {0}.\n2 John went to the {1}.\n3 Where is Mary?\t{0}\t1\n"
    places = ("hall", "attic", "garden")
    lines = [story.format(places[i % 3], places[i % 2]) for i in range(60)]
    for name in ("train", "test"):
        (tmp_path / f"qa1_where_{name}.txt").write_text("".join(lines))
    run = tinyconv.fit(
        task="sentences", data="babi", root=tmp_path, name="own", epochs=2, units=6, hops=1
    )
    assert run.options.model == "memory"  # what stories need
    metrics = run.settings["result"]["metrics"]
    assert metrics["attention_on_fact_chance"] == 0.5 and 0 <= metrics["answer_accuracy"] <= 1
    assert set(run.settings["words"]) >= {*places, "mary", "where"}
    with pytest.raises(UserError, match="babi has no split 'deeper'; it has train, validation"):
        run.measure(split="deeper")
    other = run.measure(data="stories").metrics
    assert "answer_accuracy_task_3" in other


def test_a_run_that_is_stopped_ends_like_one_that_is_not(at_step):
    """In the linear start, with the noise and the order of its epoch."""
    import signal

    options = TINY | {"linear_start": 0.7, "deterministic": True, "batch_size": 8}
    whole = tinyconv.fit(name="whole", **options)
    at_step(10, lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit(name="stopped", **options)
    resumed = verbs.resume("stopped")
    one, other = (each.model("last").get_weights() for each in (whole, resumed))
    assert all(map(np.array_equal, one, other))
    assert [row["loss"] for row in whole.history] == [row["loss"] for row in resumed.history]


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"data": "opinions"}, "memory needs a story for each example, and opinions has none"),
        ({"model": "tree-lstm", "data": "stories"}, "stories has none; choose --model memory"),
        ({"model": "cnn", "data": "stories"}, "stories has none; choose --model memory"),
        ({"tasks": "4"}, "stories has no task '4'; it has 1, 2, 3"),
        ({"tasks": "1;2"}, "stories has no task '1;2'; it has 1, 2, 3"),
        ({"data": "babi"}, "babi needs --root: a folder with files such as qa1_single"),
        ({"hops": 0}, "hops"),
    ],
)
def test_invalid_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        tinyconv.fit(**TINY | settings)
    assert not runs.runs_folder().exists()

"""The verbs of a run that looks: numbers, figures, export, and errors."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import tinyconv
from tests.helpers.sources import idx_files
from tinyconv import runs, verbs
from tinyconv.errors import UserError
from tinyconv.plugins.glimpse import figures, looking, looks
from tinyconv.plugins.glimpse.task import Glimpse

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("few_scenes")]
SMALL = Glimpse.small | {"epochs": 1}
DRAM = {"model": "dram", "limit": 64, "batch_size": 32, "epochs": 1, "units": 16, "glimpses": 1}


@pytest.fixture(scope="module")
def ram_run(make_run):
    """A run of RAM; tests do not change it."""
    return make_run(task="glimpse", name="ram_run", pages=True, **SMALL)


@pytest.fixture(scope="module")
def dram_run(make_run):
    """A run of DRAM on numbers; tests do not change it."""
    return make_run(task="glimpse", name="dram_run", pages=True, known_places=0.5, **DRAM)


def test_ram_measures_what_scripts_rely_on(ram_run):
    metrics = ram_run.settings["result"]["metrics"]
    assert set(metrics) == {
        "loss", "error", "error_by_glimpse_1", "error_by_glimpse_2", "error_by_glimpse_3",
        "on_digit", "on_digit_chance", "pixels_seen", "multiply_adds",
    }  # fmt: skip
    assert metrics["error"] == metrics["error_by_glimpse_3"]
    assert metrics["pixels_seen"] == 3 * 3 * 8 * 8
    assert metrics["on_digit_chance"] == pytest.approx((28 / 59 / 2) ** 2, abs=0.01)
    several = ram_run.evaluate(paths=3)
    assert several["error"] == metrics["error"]  # the deterministic path, beside the average
    assert {"error_mean_of_3_paths", "loss_mean_of_3_paths"} == set(several) - set(metrics)


def test_dram_measures_what_scripts_rely_on(dram_run):
    metrics = dram_run.settings["result"]["metrics"]
    names = {"loss", "sequence_error", "length_accuracy", "digit_error", "on_digit"}
    names |= {f"sequence_error_by_digits_{k}" for k in (1, 2, 3)}
    names |= {f"on_digit_by_turn_{k}" for k in (1, 2, 3)}
    assert names | {"on_digit_chance", "pixels_seen", "multiply_adds"} == set(metrics)
    assert dram_run.settings["known_places"] == 0.5  # which the result discloses


def test_on_digit_is_counted_by_hand(ram_run):
    model = looking.GlimpseModel(ram_run)
    places = np.array([[[0.0, 0.0]], [[0.5, 0.5]]])
    near, far = 28 / 60 / 2 - 0.01, 28 / 60 / 2 + 0.01  # a quarter of the digit's side, times 2
    locations = np.array([[[9, 9], [near, 0], [0, far]], [[0.5, 0.5], [0.5, 0.5 - near], [9, 9]]])
    assert model.is_on_digit(locations, places).tolist() == [
        [False, True, False],
        [True, True, False],
    ]
    assert model.on_digit(locations, places) == {"on_digit": 0.5}  # without the first of each
    unknown = np.full((2, 1, 2), np.nan)
    assert model.on_digit(locations, unknown) == {}
    random = np.random.default_rng(0).uniform(-1, 1, (100_000, 1, 2))
    everywhere = np.repeat([[[0.7, -0.2]]], 100_000, axis=0)
    share = model.is_on_digit(random, everywhere).mean()
    assert model.chance(everywhere[:1]) == pytest.approx(share, abs=0.003)


def test_turns_after_the_last_digit_do_not_count(dram_run):
    """Of four turns of one glimpse each, two have a digit; the others are for the end."""
    model = looking.GlimpseModel(dram_run)
    places = np.array([[[-0.5, 0.0], [0.5, 0.0], [np.nan, np.nan]]])
    locations = np.array([[[-0.5, 0.0], [0.0, 0.9], [0.0, 0.9], [0.0, 0.9]]])
    assert model.glimpses == 4 and model.on_digit(locations, places) == {"on_digit": 0.5}


def test_runs_are_compared_by_glimpse_and_numbers_by_digits(ram_run, dram_run):
    (by_glimpse,) = ram_run.comparison({"one": ram_run, "other": ram_run})
    metrics = ram_run.settings["result"]["metrics"]
    errors = ", ".join(f"{100 * metrics[f'error_by_glimpse_{k}']:.1f}" for k in (1, 2, 3))
    assert by_glimpse.alt == f"one: {errors}; other: {errors}"
    both = ram_run.comparison({"one": ram_run, "other": dram_run})
    assert [each.name for each in both] == ["errors-by-glimpse", "errors-by-digits"]


def test_training_canvases_are_drawn_afresh_in_each_epoch(ram_run):
    training = verbs.new("glimpse", SMALL).prepare()
    first, second = ([x["pictures"] for x, _ in training.batches(epoch, 0)] for epoch in (0, 1))
    assert len(first) == 2 and not np.array_equal(first[0], second[0])
    stored = verbs.new("glimpse", SMALL | {"image_size": 40}).prepare()
    (pictures, *_) = (x["pictures"] for x, _ in stored.batches(0, 0))
    assert pictures.shape == (32, 40, 40, 1)  # those of the data set, scaled
    resumed = [x["looks"] for x, _ in training.batches(1, 1)]
    np.testing.assert_array_equal(resumed[0], list(training.batches(1, 0))[1][0]["looks"])


def test_predict_takes_pictures_of_any_size(ram_run, picture, capsys):
    (one,) = ram_run.predict(picture)
    assert len(one.answers) == 3 and set(one.answers[1]) == {"label", "probability"}
    assert np.shape(one.answers[0]["path"]) == (3, 2)
    (scaled,) = ram_run.predict(picture, resize=True)
    assert scaled.answers != one.answers
    files = sorted(path.name for path in (ram_run.path / "paths").iterdir())
    assert {"seven.png", "seven.gif"} <= set(files)
    with Image.open(ram_run.path / "paths" / "seven.gif") as animation:
        assert animation.n_frames == 3
    Image.new("L", (200, 150)).save(picture.with_name("large.png"))
    list(ram_run.predict(picture.with_name("large.png")))
    assert (
        "large.png has 150x200 grey pixels; the network was trained on" in capsys.readouterr().err
    )
    with pytest.raises(UserError, match="predict needs pictures"):
        list(ram_run.predict())


def test_dram_predicts_numbers(dram_run, picture):
    (one,) = dram_run.predict(picture)
    (answer,) = one.answers
    assert set(answer) == {"number", "probability", "path"} and answer["number"].isdigit() | (
        not answer["number"]
    )
    turns = min(len(answer["number"]) + 1, 4)  # of one glimpse each, the last one for the end
    assert 0 < answer["probability"] <= 1 and np.shape(answer["path"]) == (turns, 2)


def test_a_run_that_reads_numbers_needs_their_digits(dram_run):
    with pytest.raises(UserError, match="digits does not say which digits its pictures show"):
        dram_run.evaluate(data="digits")


def test_a_path_ends_where_the_number_does():
    """Turns of two glimpses: 3 1 end and another, no end at all, the end at once."""
    best = np.array([[3, 1, looks.END, 5], [1, 2, 3, 4], [looks.END, 1, looks.END, 2]])
    paths = looking.Paths(np.eye(11)[best], np.zeros((3, 8, 2)), objects=4)
    assert paths.counts.tolist() == [6, 8, 2]
    assert looking.Paths(np.zeros((2, 5, 10)), np.zeros((2, 5, 2))).counts.tolist() == [5, 5]


def test_frames_after_the_end_are_not_drawn(dram_run):
    """A picture whose scores say that it ends after one digit has two turns."""
    shown = np.zeros((60, 60, 1), "uint8")
    paths = looking.Paths(
        np.eye(11)[[[7, looks.END, 3, 3]]] * 9.0, np.zeros((1, 4, 2), "float32"), objects=4
    )
    classes = [*map(str, range(10)), "end"]
    with Image.open(io.BytesIO(figures.moving(shown, paths, classes, dram_run.options))) as gif:
        assert gif.n_frames == 2
    strip = figures.strip("one", shown, paths, 0, classes, dram_run.options)
    assert strip.alt == "A path of 2 glimpses, after which the picture is taken for 7."


def test_explain_and_report_draw_paths(ram_run, dram_run, picture, tmp_path):
    for run in (ram_run, dram_run):
        (path,) = verbs.explain(run, picture, output=tmp_path)
        assert path.stat().st_size > 5000
    names = [each.name for each in ram_run.pictures()]
    assert names == ["curves", "error-by-glimpse", *(f"path-{k}" for k in range(1, 7)), "where"]
    names = [each.name for each in dram_run.pictures()]
    assert names == ["curves", *(f"path-{k}" for k in range(1, 7)), "where"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("kind", ["ram", "dram"])
def test_one_glimpse_can_be_exported(kind, request, tmp_path):
    """The path by hand with onnxruntime, on a canvas of another size."""
    onnxruntime = pytest.importorskip("onnxruntime")
    run = request.getfixturevalue(f"{kind}_run")
    folder = verbs.export(run, "onnx", tmp_path / "exported")
    begin, glimpse = (
        onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("begin", "glimpse")
    )
    pictures = np.random.default_rng(0).integers(0, 256, (1, 70, 80, 1)).astype("uint8")
    model = looking.GlimpseModel(run)
    expected = model.paths(pictures)
    *states, location = begin.run(None, {"pictures": pictures})
    if kind == "ram":  # which starts anywhere
        places = np.full((1, 1, 2), np.nan)
        location = looks.fixed_looks(model.layer, pictures, places, 3)[:, 0]
    names = [each.name for each in glimpse.get_inputs() if each.name.startswith("state")]
    scores = []
    for t in range(model.glimpses):
        np.testing.assert_allclose(location[0], expected.locations[0, t], atol=1e-4)
        inputs = {"pictures": pictures, "location": location} | dict(zip(sorted(names), states))
        after, location, *states = glimpse.run(None, inputs)
        scores.append(after)
    np.testing.assert_allclose(np.concatenate(scores), expected.scores[0], atol=1e-3)


@pytest.mark.parametrize("policy", ["random", "centre", "oracle"])
def test_other_policies_train_by_the_same_code(policy, picture):
    run = tinyconv.fit("glimpse", name=policy, policy=policy, **SMALL)
    metrics = run.settings["result"]["metrics"]
    if policy == "oracle":
        assert metrics["on_digit"] > 0.6
        with pytest.raises(UserError, match="where the data say that the digit is"):
            list(run.predict(picture))
    if policy == "random":
        assert metrics["on_digit"] == pytest.approx(metrics["on_digit_chance"], abs=0.06)


def test_colour_pictures_of_a_folder(tmp_path, capsys):
    for label, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (tmp_path / "colours" / label).mkdir(parents=True)
        for i in range(12):
            noise = np.random.default_rng(i).integers(0, 50, (32, 32, 3)) + np.array(colour) - 25
            Image.fromarray(np.clip(noise, 0, 255).astype("uint8")).save(
                tmp_path / "colours" / label / f"{i}.png"
            )
    run = tinyconv.fit("glimpse", name="colours", data=str(tmp_path / "colours"), **SMALL)
    assert "576 numbers" not in capsys.readouterr().err  # three times as many
    assert run.settings["result"]["metrics"]["pixels_seen"] == 3 * 576
    assert "on_digit" not in run.settings["result"]["metrics"]


@pytest.mark.slow
@pytest.mark.parametrize("data", ["mnist-pairs", "mnist-addition"])
def test_dram_reads_pairs_of_mnist(data, tmp_path):
    run = tinyconv.fit("glimpse", name=data, data=data, root=idx_files(tmp_path), **DRAM)
    metrics = run.settings["result"]["metrics"]
    assert "error" in metrics and "sequence_error" not in metrics


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"patch": 64}, r"--patch 64 is wider than the pictures of cluttered-digits, 60x60 grey"),
        ({"scales": 5}, "The widest patch of --patch 8 and --scales 5 is 128 pixels, over twice"),
        ({"glimpses": 0}, "glimpses"),
        ({"deviation": 0.0}, "deviation"),
        ({"deviation": 2.0}, "deviation"),
        ({"policy": "learnt"}, "no policy 'learnt'; did you mean learned"),
        ({"data": "phrases"}, "phrases has sentences, which this task cannot use"),
        ({"data": "number-digits"}, "number-digits has no class for each picture"),
        ({"context": "none"}, "--context is of --model dram, and this is ram; leave it out"),
        ({"model": "dram", "loss": "last"}, "--loss is of --model ram"),
        ({"precision": "mixed_float16", "force": True}, "choose from float32"),
    ],
    ids=str,
)
def test_invalid_settings_are_refused_before_anything_is_written(settings, message):
    with pytest.raises(UserError, match=message):
        tinyconv.fit("glimpse", **{**SMALL, **settings})
    assert not runs.runs_folder().exists()


def test_evaluate_names_another_split_and_json(ram_run, capsys):
    from tinyconv.__main__ import main

    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(ram_run.path), "--split", "validation", "--paths", "2", "--json"])
    assert not stop.value.code
    document = json.loads(capsys.readouterr().out)
    assert document["split"] == "validation" and document["pictures"] == 64
    assert "error_mean_of_2_paths" in document["metrics"]

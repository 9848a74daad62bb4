"""The verbs of a run that draws: numbers, figures, export, and errors."""

import json
import math

import numpy as np
import pytest
from PIL import Image
from scipy.special import expit

import tinyconv
from tests.helpers.sources import idx_files
from tinyconv import runs, verbs
from tinyconv.__main__ import main
from tinyconv.data.digits import digits
from tinyconv.errors import UserError
from tinyconv.plugins.draw import bounds, figures, two_digits
from tinyconv.plugins.draw.noise import picture_noise
from tinyconv.plugins.draw.task import Draw, _half

pytestmark = [pytest.mark.tensorflow, pytest.mark.usefixtures("few_scenes")]
SMALL = Draw.small | {"epochs": 1}
VAE = {"model": "vae", "glimpses": 1}
PARTS = {"bound", "bits_per_pixel", "reconstruction", "kl", "log_likelihood_k50"}
PARTS |= {"bound_mean_picture"}
STEPS = {"kl_by_step_1", "kl_by_step_2"}


@pytest.fixture(scope="module")
def draw_run(make_run):
    """A run on digits; tests do not change it."""
    return make_run(task="draw", name="draw_run", **SMALL)


@pytest.fixture(scope="module")
def vae_run(make_run):
    """A run of the autoencoder; tests do not change it."""
    return make_run(task="draw", name="vae_run", **SMALL | VAE)


def test_it_measures_what_scripts_rely_on(draw_run):
    metrics = draw_run.settings["result"]["metrics"]
    assert set(metrics) == PARTS | STEPS
    assert metrics["bound"] == pytest.approx(metrics["reconstruction"] + metrics["kl"])
    assert metrics["kl"] == pytest.approx(sum(metrics[f"kl_by_step_{t}"] for t in (1, 2)))
    assert metrics["bits_per_pixel"] == pytest.approx(metrics["bound"] / 144 / math.log(2))
    assert -metrics["log_likelihood_k50"] < metrics["bound"]  # nearer to the true likelihood


def test_the_mean_picture_costs_what_a_sum_by_hand_says(draw_run):
    splits = digits(image_size=12).splits
    model = bounds.DrawModel(draw_run)
    chosen = {
        name: np.sort(np.random.default_rng(0).permutation(len(splits[name]))[:64])
        for name in ("train", "test")
    }
    train, test = (np.asarray(splits[k].pictures[chosen[k]]) >= 128 for k in ("train", "test"))
    p = (train.sum(axis=0) + 1) / (64 + 2)
    expected = -np.where(test, np.log(p), np.log(1 - p)).sum(axis=(1, 2, 3)).mean()
    metrics = draw_run.settings["result"]["metrics"]
    assert metrics["bound_mean_picture"] == pytest.approx(expected, rel=1e-6)
    assert model.binarised(splits["test"].pictures).dtype == np.uint8


def test_the_bound_is_the_mean_of_five_passes(draw_run):
    model = bounds.DrawModel(draw_run)
    pictures = model.binarised(digits(image_size=12).splits["test"].pictures[:20])
    values, log_weights = [], []
    for number in range(5):
        noise = picture_noise(pictures, 2, 3, number)
        outputs = model.model.predict_on_batch({"pictures": pictures, "noise": noise})
        p, x = expit(outputs["canvas"].astype(float)), pictures / 255
        log_p = (x * np.log(p) + (1 - x) * np.log(1 - p)).sum(axis=(1, 2, 3))
        values.append(outputs["kl"].sum(axis=1) - log_p)
        log_weights.append(log_p - outputs["log_ratio"].sum(axis=1))
    assert model.bound(pictures)["bound"] == pytest.approx(np.mean(values), rel=1e-5)
    weighted = np.log(np.exp(np.array(log_weights)).mean(axis=0)).mean()
    assert model.log_likelihood(pictures, samples=5) == pytest.approx(weighted, rel=1e-5)


def test_switches_are_counted_by_hand():
    """A window whose middle is far from both digits is on none."""
    places = np.array([[[-0.5, 0.0], [0.5, 0.0]]] * 3)
    x = np.array([[-1, -0.4, 0.4, 0.9], [0.1, -0.1, 0.1, -0.1], [0.2, 0.3, 0.9, 0.97]])
    middles = np.stack([x, np.zeros_like(x)], axis=-1)
    middles[1, 0, 1] = 0.9  # below both
    digits = bounds.on_digits(middles, places, digit=0.9)
    assert digits.tolist() == [[-1, 0, 1, 1], [-1, 0, 1, 0], [1, 1, 1, -1]]
    assert bounds.switches(digits).tolist() == [1, 2, 0]


def test_two_digits_have_their_switches():
    settings = SMALL | {"data": "two-digits", "image_size": None, "units": 4}
    run = verbs.new("draw", settings)
    model = bounds.DrawModel(run, run.prepare().model)
    split = two_digits.two_digits().splits["test"].take(np.arange(20))
    metrics = model.measure(split, np.full((36, 36, 1), 0.1))
    assert set(metrics) == PARTS | STEPS | {"one_switch", "one_switch_elsewhere"}
    np.testing.assert_allclose(model.places(np.array([1.0, 36.0, 1, 1, 1])), [-1, 1])
    pictures, places = model.binarised(split.pictures), bounds.places_of(split)
    digits_written = model.digits_written(pictures, places)
    counts = bounds.switches(digits_written["one_switch"])
    assert metrics["one_switch"] == (counts == 1).mean()
    moved = model.digits_written(pictures, np.roll(places, 10, axis=0))
    np.testing.assert_array_equal(moved["one_switch"], digits_written["one_switch_elsewhere"])
    figure = figures.switching(model, pictures, places, "test")
    assert figure.name == "switches" and f"{(counts == 1).mean():.0%} of them" in figure.caption


def test_predict_draws(draw_run, capsys):
    several = list(draw_run.predict())
    assert [each.input for each in several] == [f"drawing {i}" for i in range(1, 9)]
    one = list(draw_run.predict(count=2, seed=1))
    same, other = list(draw_run.predict(count=3, seed=1)), list(draw_run.predict(count=2, seed=2))
    assert [each.answers for each in same[:2]] == [each.answers for each in one]
    assert other[0].answers != one[0].answers
    cold = list(draw_run.predict(count=2, temperature=0.0))
    assert cold[0].answers == cold[1].answers  # the mean of the prior, twice
    with Image.open(draw_run.path / "drawings" / "drawings.gif") as animation:
        assert animation.n_frames == 2
    assert (draw_run.path / "drawings" / "drawings.png").exists()
    with pytest.raises(SystemExit) as stop:
        main(["predict", str(draw_run.path), "--count", "2", "--json"])
    assert not stop.value.code
    assert [each["input"] for each in json.loads(capsys.readouterr().out)] == [
        "drawing 1", "drawing 2"
    ]  # fmt: skip


def test_predict_reconstructs_and_completes(draw_run, picture):
    (one,) = draw_run.predict(picture, resize=True)
    (answer,) = one.answers
    assert set(answer) == {"bound", "reconstruction", "kl", "kl_by_step"}
    assert answer["bound"] == pytest.approx(answer["reconstruction"] + sum(answer["kl_by_step"]))
    (completed,) = draw_run.predict(picture, resize=True, hidden="left")
    assert set(completed.answers[0]) == {"white"}
    names = {path.name for path in (draw_run.path / "drawings").iterdir()}
    assert {"seven.png", "seven.gif", "seven-completed.png"} <= names
    (same,) = draw_run.predict(picture)  # scaled, since the digits of its training were
    assert same.answers == one.answers


def test_a_completion_keeps_the_half_that_is_shown(draw_run):
    model, mask = bounds.DrawModel(draw_run), _half((12, 12, 1), "bottom")
    assert mask[6:].all() and not mask[:6].any()
    np.testing.assert_array_equal(_half((12, 12, 1), "top"), ~mask)
    np.testing.assert_array_equal(_half((12, 12, 1), "right"), mask.T)
    np.testing.assert_array_equal(_half((12, 12, 1), "left"), ~mask.T)
    pictures = model.binarised(digits(image_size=12).splits["test"].pictures[:2])
    one = model.completed(pictures, mask, seed=0, rounds=2)
    np.testing.assert_array_equal(one[:, ~mask], pictures[:, ~mask] / 255)
    assert (one[:, mask] > 0).all() and (one[:, mask] < 1).all()
    covered = np.where(mask[..., None], 255 - pictures, pictures)  # what is hidden has no influence
    np.testing.assert_array_equal(model.completed(covered, mask, seed=0, rounds=2), one)


def test_the_report_draws(draw_run, vae_run):
    names = ["curves", "drawings", "nearest", "reconstructions", "kl-by-step", "between"]
    for run in (draw_run, vae_run):
        assert [each.name for each in run.pictures()] == names
    assert set(vae_run.settings["result"]["metrics"]) == PARTS | {"kl_by_step_1"}


def test_the_nearest_training_picture_is_that_of_a_search_by_hand(draw_run, grids):
    model = bounds.DrawModel(draw_run)
    train = digits(image_size=12).splits["train"]
    drawings = np.random.default_rng(0).random((3, 12, 12, 1))
    figures.nearest(model, drawings, train)
    ((pictures, _),) = grids
    known = model.binarised(train.pictures)
    for drawing, shown in zip(drawings, pictures[3:]):
        distances = ((known / 255 - drawing) ** 2).sum(axis=(1, 2, 3))
        np.testing.assert_array_equal(shown, known[distances.argmin()])


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_one_step_can_be_exported(draw_run, tmp_path):
    """A drawing and an inference by hand with onnxruntime, a step at a time."""
    onnxruntime = pytest.importorskip("onnxruntime")
    folder = verbs.export(draw_run, "onnx", tmp_path / "exported")
    begin, draw, infer = (
        onnxruntime.InferenceSession(folder / f"{name}.onnx") for name in ("begin", "draw", "infer")
    )
    model, z = bounds.DrawModel(draw_run), np.ones((2, 2, 3), "float32")
    canvas, _, _, h, cell = begin.run(None, {"z": z[:, 0]})
    expected = model.decoded(z)["canvas"]
    for t in range(2):
        inputs = {"z": z[:, t], "canvas": canvas, "h_dec": h, "cell_dec": cell}
        canvas, h, cell = draw.run(None, inputs)
        np.testing.assert_allclose(expit(canvas[:, 0]), expected[:, t, ..., 0], atol=1e-4)
    pictures = model.binarised(digits(image_size=12).splits["test"].pictures[:2])
    path = model.path(pictures, noise=z)
    states = begin.run(None, {"z": z[:, 0]})
    names = ("canvas", "h_enc", "cell_enc", "h_dec", "cell_dec")
    for t in range(2):
        inputs = {"pictures": pictures, "noise": z[:, t]} | dict(zip(names, states))
        one, kl, *states = infer.run(None, inputs)
        np.testing.assert_allclose(one, path["z"][:, t], atol=1e-3)
        np.testing.assert_allclose(kl, path["kl"][:, t], atol=1e-3)


def test_mnist_is_binarised_by_its_fixed_protocol(tmp_path, capsys):
    settings = SMALL | {"data": "mnist", "root": idx_files(tmp_path), "image_size": None}
    training = verbs.new("draw", settings).prepare()
    assert "drawn once by seed 2015" in capsys.readouterr().err
    inputs, _ = next(training.batches(0, 0))
    assert inputs["pictures"].shape[1:] == (28, 28, 1)
    assert set(np.unique(inputs["pictures"])) == {0, 255}


def colour_folder(folder, noise=60):
    for label, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (folder / label).mkdir(parents=True)
        for i in range(12):
            random = np.random.default_rng(i)
            pixels = random.integers(0, noise, (12, 12, 3)) + np.array(colour) - 25
            image = Image.fromarray(np.clip(pixels, 0, 255).astype("uint8"))
            image.save(folder / label / f"{i}.png")
    return str(folder)


@pytest.mark.usefixtures("no_measurement")
def test_colour_is_learnt_where_its_nats_are_said_to_be_no_likelihood(tmp_path, capsys):
    settings = SMALL | {"data": colour_folder(tmp_path / "colours"), "batch_size": 8}
    with pytest.raises(UserError, match=r"colour pictures.*--binarisation none .*no likelihood"):
        tinyconv.fit("draw", **settings)
    run = tinyconv.fit("draw", name="colours", binarisation="none", **settings)
    assert "the nats are no likelihood" in capsys.readouterr().err
    assert run.history[-1]["val_loss"] > 0 and len(list(run.predict(count=2))) == 2


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"read_size": 1}, "read_size"),
        ({"write_size": 13}, r"--write-size 13 is more than the pictures of digits have, 12x12"),
        ({"glimpses": 0}, "glimpses"),
        ({"latent": 0}, "latent"),
        ({"attention": "nine"}, "no attention 'nine'; did you mean none"),
        (VAE | {"read_size": 3}, "--read-size is of --model draw, and this is vae; leave it out"),
        (VAE | {"glimpses": 4}, "vae draws in one step, and --glimpses is 4; leave it out"),
        ({"precision": "mixed_bfloat16"}, "choose from float32"),
    ],
    ids=str,
)
def test_invalid_settings_are_refused_before_anything_is_written(settings, message):
    with pytest.raises(UserError, match=message):
        tinyconv.fit("draw", **{**SMALL, **settings})
    assert not runs.runs_folder().exists()


def test_constant_pictures_are_refused(tmp_path):
    for label in ("one", "other"):
        (tmp_path / "dark" / label).mkdir(parents=True)
        for i in range(12):
            Image.new("L", (12, 12), 10 + i).save(tmp_path / "dark" / label / f"{i}.png")
    settings = SMALL | {"data": str(tmp_path / "dark"), "binarisation": "threshold"}
    with pytest.raises(UserError, match="Every training picture of .* is black with --binaris"):
        tinyconv.fit("draw", **settings)


def test_a_loss_that_is_no_number_stops_with_its_step(at_step):
    def spoil(loop, inputs, targets):
        loop.model.set_weights([np.full_like(each, np.nan) for each in loop.model.get_weights()])

    at_step(2, spoil)
    with pytest.raises(UserError, match=r"(?i)step 2.*learning"):
        tinyconv.fit("draw", name="nan", **SMALL | VAE)


def test_evaluate_names_another_split_and_json(draw_run, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["evaluate", str(draw_run.path), "--split", "validation", "--json"])
    assert not stop.value.code
    output = capsys.readouterr()
    document = json.loads(output.out)
    assert document["split"] == "validation" and document["pictures"] == 64
    assert document["metrics"]["bound"] > 0
    assert "5 passes" in output.err and "grey 128 of 255" in output.err
    with pytest.raises(UserError, match="shapes has colour pictures"):
        draw_run.evaluate(data="shapes")

"""The metrics of attention on photographs, against cases worked by hand and finite differences."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.helpers.captioner import captioner, example
from tinyconv.errors import UserError
from tinyconv.plugins.caption import attention_metrics
from tinyconv.text.vocabulary import END, START


def test_entropy_is_a_fraction_of_that_of_uniform_weights():
    weights = np.array([[0.25] * 4, [1, 0, 0, 0], [0.5, 0.5, 0, 0]])
    np.testing.assert_allclose(attention_metrics.entropy(weights), [1, 0, 0.5], atol=1e-6)


def test_agreement_is_a_rank_correlation_word_by_word():
    """Ranks 1 to 4 against 1, 2, 4, 3: Spearman's 1 - 6 (0 + 0 + 1 + 1) / (4 x 15) = 0.8."""
    weights = np.array([[0.1, 0.2, 0.3, 0.4]])
    assert attention_metrics.agreement([weights], [weights**3]) == pytest.approx(1)
    assert attention_metrics.agreement([weights], [-weights]) == pytest.approx(-1)
    swapped = weights[:, [0, 1, 3, 2]]
    assert attention_metrics.agreement([weights], [swapped]) == pytest.approx(0.8)
    both = np.concatenate([weights, weights])
    assert attention_metrics.agreement([both], [np.concatenate([weights, -weights])]) == (
        pytest.approx(0, abs=1e-12)
    )
    # The second word has no partner, and the third caption's map has one value only.
    mean = attention_metrics.agreement([both, weights, weights], [weights, swapped, 0 * weights])
    assert mean == pytest.approx(0.9)


def test_cells_are_greyed_below_their_place():
    picture = np.arange(4 * 6 * 3, dtype="uint8").reshape(4, 6, 3)
    mask = np.array([False, True, False, False, False, True])  # 2 rows, 3 columns
    grey = attention_metrics.greyed(picture, mask, 2, 3)
    assert grey.dtype == np.uint8 and (grey[:2, 2:4] == 128).all() and (grey[2:, 4:] == 128).all()
    expected = picture.copy()
    expected[:2, 2:4] = expected[2:, 4:] = 128
    np.testing.assert_array_equal(grey, expected)


class Brightness:
    """Stands in for a CaptionModel: ln p of word t is the brightness of cell t, less 200, / 100."""

    grid = (5, 4)

    def encode(self, pictures):
        return pictures

    def attend(self, inputs, captions):
        cells = inputs.reshape(len(inputs), 5, 2, 4, 2, 3).mean(axis=(2, 4, 5)).reshape(-1, 20)
        log_p = [(row[: len(each.split())] - 200) / 100 for row, each in zip(cells, captions)]
        return [], [], log_p


def test_what_a_word_loses_without_its_attended_cells():
    """Cells of 160, 80 and 30: grey, 128, changes ln p by -0.32, 0.48 and 0.98.

    The weights of the first word lie on its own cell, the others' on a cell that does not matter.
    Two of 20 cells are grey, so that a random draw has a word's own in a tenth of the cases.
    """
    picture = np.full((10, 8, 3), 100, "uint8")
    for cell, brightness in enumerate((160, 80, 30)):
        picture[:2, 2 * cell : 2 * cell + 2] = brightness
    attention = np.zeros((3, 20))
    attention[0, 0], attention[1:, 19] = 1, 1
    attention[:, 10] = 0.5
    model = Brightness()
    _, _, log_p = model.attend(picture[None], ["a b c"])
    changes = [
        attention_metrics.changes_by_grey(model, picture[None], ["a b c"], [attention], log_p, seed)
        for seed in range(200)
    ]
    alone = np.array([-0.32, 0.48, 0.98])
    for each in changes:
        np.testing.assert_allclose(each[:, 0], alone, atol=1e-9)
        np.testing.assert_allclose(each[:, 1], [-0.32, 0, 0], atol=1e-9)
        is_drawn = np.isclose(each[:, 2], alone)
        np.testing.assert_allclose(each[:, 2], np.where(is_drawn, alone, 0), atol=1e-9)
    drawn = np.mean([each[:, 2] != 0 for each in changes], axis=0)
    assert (np.abs(drawn - 0.1) < 0.06).all()  # 200 draws: a standard deviation of 0.021


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_grad_cam_is_the_gradient_by_differences(kind):
    """ln p of each word, differentiated cell by cell and channel by channel."""
    network = captioner(kind)
    inputs, words = example(count=1)
    maps, before, after = inputs["pictures"], words[:, :-1], words[:, 1:]
    ids = [START, *words[0, 1:-1], END]
    model = SimpleNamespace(model=network, vocabulary=SimpleNamespace(encode=lambda _: ids))
    before, after = np.array([ids[:-1]], "int32"), np.array(ids[1:])

    def log_p(pictures):
        scores = network.predict_on_batch({"pictures": pictures, "words": before})["scores"]
        scores = np.float64(np.asarray(scores))[0]
        logs = scores - np.log(np.exp(scores).sum(axis=-1, keepdims=True))
        return logs[np.arange(len(after)), after]

    step, gradient = 2e-3, np.zeros((len(after), *maps.shape[1:]))
    for place in np.ndindex(maps.shape[1:]):
        up, down = maps.copy(), maps.copy()
        up[0][place] += step
        down[0][place] -= step
        gradient[(slice(None), *place)] = (log_p(up) - log_p(down)) / (2 * step)
    weights = gradient.mean(axis=(1, 2), keepdims=True)
    expected = np.maximum((weights * maps).sum(axis=-1), 0).reshape(len(after), -1)
    (cam,) = attention_metrics.grad_cam(model, maps, ["any"])
    assert expected.max() > 1e-3
    np.testing.assert_allclose(cam, expected, atol=0.02 * expected.max())


@pytest.mark.tensorflow
def test_evaluate_measures_them(few_scenes, make_run):
    small = {"limit": 32, "epochs": 1, "least": 1, "longest": 8, "batch_size": 32}
    run = make_run(task="caption", name="looks", **small)
    plain, more = run.evaluate(), run.evaluate(attention_metrics=True)
    assert more.keys() - plain.keys() == {
        *("attention_entropy", "gradcam_agreement", "gradcam_agreement_chance"),
        *("dependent_words", "grey_attended", "grey_random"),
    }
    assert 0 < more["attention_entropy"] <= 1 and -1 <= more["gradcam_agreement"] <= 1


def test_a_network_without_attention_has_none():
    model = SimpleNamespace(model=captioner("none"))
    with pytest.raises(UserError, match="needs a run with attention"):
        attention_metrics.measure(model, np.zeros((1, 64, 64, 3), "uint8"))

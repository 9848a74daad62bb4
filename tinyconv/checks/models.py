"""The promises of a model: build(input_shape, classes, **sizes) -> keras.Model."""

import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from tinyconv import precision
from tinyconv.checks.subject import Skipped, Subject
from tinyconv.errors import UserError

SHAPES = ((8, 8, 1), (33, 40, 3), (72, 72, 3))  # pixels high and wide, channels
CLASSES = 5
DEEP = 128  # side of the picture that passes all layers; padding weakens small feature maps
# Usual factor of the mean square per layer. The zoo's He networks have 0.83 (padding) to 1.36
# (max-pooling); half the variance brings all without normalisation below 0.73.
GAIN = (0.75, 1.6)
# Factors of pooling 2x2 over rectified independent Gaussians.
MAX_POOL_GAIN, AVERAGE_POOL_GAIN = 3.1, 0.49
# Of fewer He layers the gain depends on the draw of their weights: its mean over five is taken.
FEW, DRAWS = 9, 5
# For pairs of an entry's name and a folder: open the model, compare scores, write the result.
ELSEWHERE = """
import pathlib, sys, traceback
import numpy as np
from tinyconv.system.start_keras import start; start()
import keras, tinyconv.layers
from tinyconv import registry
for name, folder in zip(sys.argv[1::2], map(pathlib.Path, sys.argv[2::2])):
    answer = "the same scores"
    try:
        registry.find("models", name)
        model = keras.saving.load_model(folder / "model.keras")
        scores = keras.ops.convert_to_numpy(model(np.load(folder / "pictures.npy")))
        np.testing.assert_allclose(scores, np.load(folder / "scores.npy"), 1e-4, 1e-5)
    except Exception as error:
        answer = traceback.format_exception_only(error)[-1].strip().splitlines()[-1]
    (folder / "answer.txt").write_text(answer, encoding="utf-8")
"""


def builds_at_several_sizes(subject: Subject) -> None:
    """Grey and colour, square and not; pictures that are too small may be refused."""
    import keras

    built = 0
    for shape in SHAPES:
        try:
            model = build(subject, shape)
        except UserError:
            continue
        assert isinstance(model, keras.Model), f"{shape} gives a {type(model).__name__}, no Model"
        _check_scores(model, shape, CLASSES)
        built += 1
    assert built >= 2, f"it takes {built} of the picture sizes {SHAPES}"


def gives_as_many_scores_as_classes(subject: Subject) -> None:
    """float32 (B, classes), finite for black and for white pictures; the same once exported."""
    from tinyconv.runs.keras_layers import in_keras_layers

    shape = smallest(subject)
    for classes in (2, 17):
        model = build(subject, shape, classes)
        _check_scores(model, shape, classes)
    pictures = noise((2, *shape))
    scores = scores_of(model, pictures)
    exported = scores_of(in_keras_layers(model, float32=True), pictures)
    assert np.allclose(scores, exported, 1e-3, 1e-4), "`tinyconv export` changes its scores"


def saves_and_loads(subject: Subject) -> None:
    """The saved file gives the same scores in another process, which imports only the entry."""
    save(subject)
    (error,) = errors_elsewhere([subject])
    assert error is None, f"another process cannot use its file: {error}"


def learns_eight_pictures_by_heart(subject: Subject) -> None:
    """150 steps bring the loss of eight pictures of noise to a quarter."""
    import keras

    keras.utils.set_random_seed(1)
    shape = smallest(subject, channels=3)
    model = build(subject, shape, classes=2)
    pictures, labels = noise((8, *shape)), np.arange(8) % 2
    model.compile(
        keras.optimizers.Lion(2e-3),  # as robust as Adam, and traced in half the time
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=False if keras.config.backend() == "tensorflow" else "auto",
    )
    # Variables created in the first step would make TensorFlow trace that step twice.
    model.optimizer.build(model.trainable_variables)
    losses = []
    for _ in range(150):
        losses.append(float(model.train_on_batch(pictures, labels)))
        if losses[-1] < losses[0] / 4:
            return
    raise AssertionError(
        f"after 150 steps its loss is {losses[-1]:.3f}; it began at {losses[0]:.3f}"
    )


def same_seed_same_weights(subject: Subject) -> None:
    """All random numbers depend on Keras' seed alone."""
    import keras

    shape = smallest(subject)
    weights = []
    for seed in (7, 7, 8):
        keras.utils.set_random_seed(seed)
        weights.append(build(subject, shape).get_weights())
    one, same, other = weights
    pairs = zip(one, same, strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs), "two builds with one seed differ"
    pairs = zip(one, other, strict=True)
    assert not all(np.array_equal(a, b) for a, b in pairs), "another seed changes nothing"


def works_in_mixed_precision(subject: Subject) -> None:
    """bfloat16 and float16: weights and scores stay float32, and the scores are about the same."""
    import keras

    shape = smallest(subject)
    pictures = noise((4, *shape))
    model = build(subject, shape)
    plain = scores_of(model, pictures)
    for dtype in ("bfloat16", "float16"):
        with precision.policy(f"mixed_{dtype}"):
            mixed = build(subject, shape)
        computed = {str(layer.compute_dtype) for layer in mixed.layers}
        assert dtype in computed, f"no layer computes in {dtype}, only in {computed}"
        weights = {keras.backend.standardize_dtype(w.dtype) for w in mixed.trainable_weights}
        assert weights <= {"float32"}, f"its weights are {weights}"
        mixed.set_weights(model.get_weights())
        rounded = scores_of(mixed, pictures)
        assert rounded.dtype == np.float32, f"its scores in {dtype} are {rounded.dtype}"
        error = np.abs(rounded - plain).max() / max(np.abs(plain).max(), 1e-6)
        assert error < 0.2, f"its scores in {dtype} change by {error:.0%} of the largest"


def keeps_the_variance(subject: Subject) -> None:
    """He et al. 2015, equation 10: no layer shrinks or amplifies the signal."""
    import keras

    model = _drawn(subject, 1)
    count = len(_he_layers(model))
    if count < 3:
        raise Skipped(f"{count} layers claim He initialisation, too few to judge")
    seeds = range(2, DRAWS + 1) if count < FEW else ()
    models = [model, *(_drawn(subject, seed) for seed in seeds)]
    first, last = np.exp(np.mean([np.log(_mean_squares(each)) for each in models], axis=0))
    steps = count - 1
    gain = (last / first) ** (1 / steps)
    averages, maxima = (
        sum(isinstance(layer, pooling) for layer in model.layers)
        for pooling in (keras.layers.AveragePooling2D, keras.layers.MaxPooling2D)
    )
    low = GAIN[0] * AVERAGE_POOL_GAIN ** (averages / steps)
    high = GAIN[1] * MAX_POOL_GAIN ** (maxima / steps)
    assert low < gain < high, (
        f"from its first to its last of {count} He layers the mean square goes from "
        f"{first:.3g} to {last:.3g}"
    )


def _drawn(subject: Subject, seed: int):
    """The network for large pictures, with weights of a seed."""
    import keras

    keras.utils.set_random_seed(seed)
    return build(subject, (DEEP, DEEP, 3))


def _he_layers(model) -> list:
    return [layer for layer in model.layers if _claims_he(layer)]


def _mean_squares(model) -> list[float]:
    """Those of what the first and the last He layer return for noise."""
    import keras

    layers = _he_layers(model)
    try:
        outputs = keras.Model(model.input, [layers[0].output, layers[-1].output])
    except AttributeError as error:
        raise Skipped("it is not a functional model, so its layers cannot be inspected") from error
    return [
        float(np.mean(np.square(np.asarray(output, "float32"))))
        for output in outputs(noise((8, DEEP, DEEP, 3)), training=True)
    ]


def gives_scores_not_probabilities(subject: Subject) -> None:
    """The loss applies the softmax: for noise the scores are not all in 0..1 with a sum of one."""
    scores = scores_of(build(subject, smallest(subject)), noise((8, *smallest(subject))))
    sums = scores.sum(axis=1)
    are_probabilities = (
        (scores >= 0).all() and (scores <= 1).all() and np.allclose(sums, 1, atol=1e-3)
    )
    assert not are_probabilities, "its scores are probabilities: they lie in 0..1 and sum to one"


PROMISES = (
    builds_at_several_sizes,
    gives_as_many_scores_as_classes,
    saves_and_loads,
    learns_eight_pictures_by_heart,
    same_seed_same_weights,
    works_in_mixed_precision,
    keeps_the_variance,
    gives_scores_not_probabilities,
)


def save(subject: Subject) -> None:
    """Write a small model, pictures and its scores into the subject's folder."""
    shape = smallest(subject)
    pictures = noise((2, *shape))
    model = build(subject, shape)
    model.save(subject.folder / "model.keras")
    np.save(subject.folder / "pictures.npy", pictures)
    np.save(subject.folder / "scores.npy", scores_of(model, pictures))
    (subject.folder / "answer.txt").unlink(missing_ok=True)  # from an earlier check


def errors_elsewhere(subjects: Sequence[Subject]) -> list[str | None]:
    """Why another process cannot use the file of each saved subject; None where it can."""
    places = [part for s in subjects for part in (s.entry.full_name, str(s.folder))]
    command = [sys.executable, "-c", ELSEWHERE, *places]
    process = subprocess.run(command, capture_output=True, text=True)
    last = (process.stderr.strip().splitlines() or [""])[-1]
    answers = [subject.folder / "answer.txt" for subject in subjects]
    texts = [a.read_text(encoding="utf-8") if a.exists() else last for a in answers]
    return [None if text == "the same scores" else text for text in texts]


def build(subject: Subject, shape, classes=CLASSES):
    """The subject's model, built with `small`."""
    return subject.target(tuple(shape), classes, **subject.small)


def smallest(subject: Subject, channels: int = 1) -> tuple[int, int, int]:
    """The shape of the smallest square picture that the model takes, 8 to 224 pixels; cached."""
    if channels not in subject.sides:
        subject.sides[channels] = _smallest_side(subject, channels)
    side = subject.sides[channels]
    return side, side, channels


def _smallest_side(subject: Subject, channels: int) -> int:
    for side in (8, 16, 32, 64):
        try:
            build(subject, (side, side, channels))
        except UserError:
            continue
        return side
    return 224


def _claims_he(layer) -> bool:
    """Whether a layer initialises its kernel by fan-in with a variance of about 2 / n."""
    import keras

    initializer = getattr(layer, "kernel_initializer", None)
    if not isinstance(initializer, keras.initializers.VarianceScaling):
        return False
    return initializer.mode == "fan_in" and initializer.scale > 1.5


def _check_scores(model, shape, classes: int) -> None:
    pictures = np.stack([np.full(shape, value, "uint8") for value in (0, 255)])
    scores = scores_of(model, pictures)
    assert scores.shape == (2, classes), f"{shape} gives scores {scores.shape}"
    assert scores.dtype == np.float32, f"{shape} gives {scores.dtype}, not float32"
    assert np.isfinite(scores).all(), f"{shape} gives scores that are not finite"


def scores_of(model, pictures) -> np.ndarray:
    """The scores of one call, not compiled: tracing a deep network would take longer."""
    import keras

    return keras.ops.convert_to_numpy(model(pictures, training=False))


def noise(shape) -> np.ndarray:
    """Random uint8 pixels."""
    return np.random.default_rng(1).integers(0, 256, shape).astype("uint8")

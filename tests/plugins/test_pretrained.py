"""Models that come with weights: listed, checked by SHA-256, and where `--from` starts."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest

import tinyconv
from tests.helpers.command import run
from tests.helpers.incidents import ctrl_c
from tests.helpers.sources import class_folders
from tests.helpers.strangers import SOUND_MODEL, install
from tinyconv import checks, verbs
from tinyconv.errors import UserError

POINTS = "[tinyconv.models]\ntiny = tiny_nets:tiny\n"
SHAPES = {"kernel1": (3, 3, 1, 8), "bias1": (8,), "kernel2": (3, 3, 8, 16), "bias2": (16,)}
FEW = {"from_": "tiny", "limit": 100, "epochs": 2}

# A whole plugin: a model, and weights for it in a file of the package.
SOURCE = '''
"""A network that comes with weights."""

from pathlib import Path

import numpy as np

from tinyconv import UserError
from tinyconv.plugins import Pretrained

TINYCONV_API = 2


def tiny(input_shape, classes):
    """Two convolutions: 1,418 parameters at 8x8x1 and 10 classes."""
    import keras

    from tinyconv import layers

    body = features(input_shape)
    return keras.Model(body.input, layers.head(classes)(body.output), name="tiny")


def features(shape):
    import keras

    from tinyconv import layers

    inputs, x = layers.pixels(shape)
    for i, width in enumerate((8, 16), start=1):
        x = layers.conv(width, 3, "relu", name=f"conv{i}")(x)
        x = layers.rectifier("relu", name=f"rectifier{i}")(x)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x), name="tiny")


def trained(input_shape, file):
    if input_shape[-1] != 1:
        raise UserError("tiny was trained on grey pictures; take others in grey.")
    body = features(input_shape)
    with np.load(file, allow_pickle=False) as weights:
        body.set_weights([weights[name] for name in weights.files])
    return body


tiny.pretrained = Pretrained(
    accuracy="97.0% top-1 on digits",
    licence="MIT",
    size=SIZE,
    sha256="SHA256",
    weights=lambda: Path(__file__).with_name("tiny.npz"),
    body=trained,
)
'''


def weights_file(seed: int) -> bytes:
    """Weights of the body as an .npz file."""
    random, file = np.random.default_rng(seed), io.BytesIO()
    np.savez(file, **{name: random.normal(0, 0.2, shape) for name, shape in SHAPES.items()})
    return file.getvalue()


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Installs the plugin, with parts of its source replaced; returns the weights' file."""

    def installed(**replaced) -> Path:
        content, source = weights_file(0), SOURCE
        replaced = {"SIZE": len(content), "SHA256": hashlib.sha256(content).hexdigest()} | replaced
        for part, other in replaced.items():
            assert part in source
            source = source.replace(part, str(other))
        install(tmp_path / "tiny", monkeypatch, "tiny-nets", points=POINTS, tiny_nets=source)
        file = tmp_path / "tiny/tiny.npz"
        file.write_bytes(content)
        return file

    return installed


def test_it_is_listed_with_its_weights(plugin, capsys):
    file = plugin()
    code, out, _ = run(capsys, "models")
    shown = "tiny " in out and next(row for row in out.splitlines() if row.startswith("tiny "))
    assert code == 0 and "; pretrained: 97.0% top-1 on digits, MIT, 0 MB" in shown
    rows = {row["name"]: row for row in json.loads(run(capsys, "models", "--json")[1])}
    size = file.stat().st_size
    declared = {"accuracy": "97.0% top-1 on digits", "licence": "MIT", "size": size}
    assert rows["tiny"]["pretrained"] == declared and rows["linear"]["pretrained"] is None


@pytest.mark.parametrize("task", ["classify", "localise"])
def test_a_run_starts_from_its_weights(plugin, task):
    file = plugin()
    data = {"classify": "digits", "localise": "placed-digits"}[task]
    model = verbs.new(task, FEW | {"data": data}).prepare().whole
    with np.load(file, allow_pickle=False) as weights:
        for i in (1, 2):
            kernel, bias = model.get_layer(f"conv{i}").get_weights()
            np.testing.assert_array_equal(kernel, weights[f"kernel{i}"].astype("float32"))
            np.testing.assert_array_equal(bias, weights[f"bias{i}"].astype("float32"))


def test_every_verb_works_for_such_a_run(plugin, at_step):
    file = plugin()
    whole = tinyconv.fit(**FEW, freeze=1, name="whole")
    facts = json.loads((whole.path / "settings.json").read_text())
    assert (facts["model"], facts["from_"]) == ("tiny", "tiny")
    assert facts["from_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert facts["plugins"]["models"]["distribution"] == "tiny-nets"
    with np.load(file, allow_pickle=False) as weights:
        frozen = tinyconv.load("whole").model().get_layer("conv1")
        np.testing.assert_array_equal(frozen.get_weights()[0], weights["kernel1"].astype("float32"))
    at_step(1, ctrl_c)
    with pytest.raises(KeyboardInterrupt):
        tinyconv.fit(**FEW, freeze=1, name="stopped")
    file.unlink()  # a run that has a checkpoint needs no weights' file
    resumed = tinyconv.resume("stopped")
    assert resumed.evaluate() == pytest.approx(whole.evaluate(), rel=1e-4)
    second = tinyconv.fit(from_="whole", limit=100, epochs=1)
    assert second.settings["model"] == "tiny"


def torn(file):
    file.write_bytes(file.read_bytes()[:-7])


def of_another_version(file):
    file.write_bytes(weights_file(1))


@pytest.mark.parametrize(
    "damage, message",
    [
        (torn, r"are truncated: the file has [0-9,]+ bytes of"),
        (of_another_version, "are not those that tiny was published with: their SHA-256 is"),
        (Path.unlink, "The weights of tiny are missing: there is no file"),
    ],
)
def test_other_weights_are_refused(plugin, damage, message):
    damage(plugin())
    with pytest.raises(UserError, match=message):
        tinyconv.fit(**FEW)
    assert not Path("runs").exists()
    (check,) = [c for c in checks.of("tiny") if c.promise.__name__ == "comes_with_its_weights"]
    result = checks.run(check)
    assert result.outcome == "skipped" and "its weights are not here" in result.reason


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"model": "linear"}, "takes the model tiny as it is, whose model is tiny; leave out"),
        ({"activation": "prelu"}, "takes the model tiny as it is; leave out --activation prelu"),
        ({"from_": "linear"}, "The model linear has no pretrained weights; --from takes a run"),
        ({"from_": "tinny"}, "tinny does not exist"),
        ({"freeze": 9}, "the network of tiny has 2 layers with weights"),
    ],
)
def test_what_contradicts_is_refused(plugin, settings, message):
    plugin()
    with pytest.raises(UserError, match=message):
        tinyconv.fit(**FEW | settings)


def test_its_own_refusal_of_pictures_is_shown(plugin, capsys, tmp_path):
    plugin()
    (tmp_path / "photos").mkdir()
    photos = class_folders(tmp_path / "photos")
    code, _, err = run(capsys, "fit", "--from", "tiny", "--data", str(photos))
    assert code == 2 and "tiny was trained on grey pictures; take others in grey." in err


def test_the_full_name_is_taken_and_a_run_of_the_name_comes_first(plugin):
    plugin()
    first = tinyconv.fit(**FEW | {"from_": "tiny-nets/tiny"}, name="tiny")
    assert first.settings["model"] == "tiny-nets/tiny"
    second = tinyconv.fit(**FEW)
    assert second.settings["from_"] == str(first.path.resolve())


MAPS = "keras.layers.GlobalAveragePooling2D()(x)"
WEIGHTS = "body.set_weights([weights[name] for name in weights.files])"


@pytest.mark.parametrize(
    "replaced, reason",
    [
        ({'licence="MIT"': 'licence=""'}, "it declares no licence"),
        ({'licence="MIT"': 'licence="M" + "IT"'}, "its source says"),
        ({WEIGHTS: "pass"}, "another seed gives its body other weights"),
        ({MAPS: "x"}, "has a body from"),
    ],
)
def test_a_pretrained_model_that_breaks_its_promise(plugin, replaced, reason):
    plugin(**replaced)
    (check,) = [c for c in checks.of("tiny") if c.promise.__name__ == "comes_with_its_weights"]
    result = checks.run(check)
    assert result.outcome == "failed" and reason in result.reason, result


def test_a_sound_pretrained_model_keeps_every_promise_of_a_model(plugin):
    plugin()
    results = [checks.run(check) for check in checks.of("tiny")]
    broken = [result.line for result in results if result.outcome == "failed"]
    assert not broken, broken
    (own,) = [each for each in results if each.promise == "comes_with_its_weights"]
    assert own.outcome == "passed", own.line


@pytest.mark.parametrize(
    "declared, message",
    [
        ("{'accuracy': 'good'}", "its attribute pretrained is of type dict, not Pretrained"),
        (
            "__import__('tinyconv').plugins.Pretrained('1', 'MIT', 1, print, print)",
            "has one of weights and sha256",
        ),
    ],
)
def test_another_declaration_is_a_fault_of_the_plugin(
    tmp_path, monkeypatch, capsys, declared, message
):
    source = f"{SOUND_MODEL}\nimport tinyconv.plugins\nstrange.pretrained = {declared}\n"
    points = "[tinyconv.models]\nstrange = strange_nets:strange\n"
    install(tmp_path / "p", monkeypatch, "strange-nets", points=points, strange_nets=source)
    code, _, err = run(capsys, "fit", "--from", "strange")
    assert code == 3 and message in err, err


def test_a_body_that_is_none_is_a_fault_of_the_plugin(plugin, capsys):
    plugin(**{"    return body\n": "    return None\n"})
    code, _, err = run(capsys, "fit", "--from", "tiny")
    assert code == 3 and "gives a NoneType as its body, but should give a Keras model" in err, err

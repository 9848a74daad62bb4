"""Counts of promises, and what the command prints about them."""

import json

from tests.helpers.command import run
from tests.helpers.strangers import install
from tinyconv import checks, precision
from tinyconv.checks import models

POINTS = "[tinyconv.models]\nstrange = strange_nets:strange\n"
GREEDY_MODEL = '''
def strange(input_shape, classes):
    """A linear classifier: 650 parameters."""
    import keras
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, keras.layers.Dense(classes, kernel_initializer="zeros")(x))

strange.expected_failures = {
    "same_seed_same_weights": "all weights start at zero",
    "saves_and_loads": "nobody knows why",
}
'''


def test_counts_of_the_command(capsys, tmp_path, monkeypatch):
    install(tmp_path / "p", monkeypatch, "strange-nets", points=POINTS, strange_nets=GREEDY_MODEL)
    code, out, err = run(capsys, "plugins", "check", "strange", "--json")
    document = json.loads(out)
    # An expected failure that passes is a failure, and so are bfloat16 scores.
    assert document["expected_failures"] == 1 and document["skipped"] == 3
    failed = {c["promise"]: c["reason"] for c in document["checks"] if c["outcome"] == "failed"}
    assert "it is kept" in failed.pop("saves_and_loads")
    assert set(failed) == {"works_in_mixed_precision"}
    assert document["failed"] == 2 and document["passed"] == 5
    assert code == 3 and "fails 2 of its 11 checks" in err
    monkeypatch.setattr(models, "errors_elsewhere", lambda subjects: [None])  # as above
    code, out, err = run(capsys, "plugins", "check", "strange-nets")
    assert code == 3 and "5 passed, 2 failed, 1 expected failures, 3 skipped" in out
    assert "all weights start at zero" in err


def test_unknown_names(capsys):
    code, _, err = run(capsys, "plugins", "check", "convnett")
    assert code == 2 and "did you mean convnet?" in err


def test_a_dtype_policy_of_the_caller_changes_no_outcome():
    """A notebook that trains in bfloat16 also checks its plugins."""
    import keras

    checked = [c for c in checks.of("two_layer") if "many_scores" in str(c)]
    with precision.policy("mixed_bfloat16"):
        assert [checks.run(check).outcome for check in checked] == ["passed"]
        assert keras.config.dtype_policy().name == "mixed_bfloat16"

"""The task learns which numbers in words are even."""

import tinyconv


def test_it_learns():
    run = tinyconv.fit("my-plugin", epochs=10)
    assert run.evaluate()["top1"] > 0.95  # 0.5 by chance
    answers = [each.answers[0]["label"] for each in run.predict("four", "two hundred fifty-one")]
    assert answers == ["even", "odd"]

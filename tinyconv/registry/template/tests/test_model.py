"""The network learns real digits, and has the size that its docstring states."""

import tinyconv


def test_it_learns():
    run = tinyconv.fit(model="my-plugin", data="digits", epochs=8)
    assert run.evaluate()["top1"] > 0.9  # of ten classes


def test_its_size():
    from my_plugin.model import my_plugin

    count = f"{my_plugin((8, 8, 1), 10).count_params():,} parameters"
    assert count in my_plugin.__doc__

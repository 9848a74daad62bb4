"""my-plugin keeps every promise of a tinyconv plugin."""

import pytest

from tinyconv import checks


@pytest.mark.parametrize("check", checks.of("my-plugin"), ids=str)
def test_promise(check):
    check()

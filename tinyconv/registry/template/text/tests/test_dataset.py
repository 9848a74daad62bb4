"""The data set also reads a folder of files."""

import pytest
from my_plugin.dataset import in_words, my_plugin

import tinyconv
from tinyconv import checks


@pytest.fixture
def root(tmp_path):
    """Thirty numbers in words, in two files."""
    for remainder, name in enumerate(("even", "odd")):
        lines = [in_words(number) + "\n" for number in range(remainder, 30, 2)]
        (tmp_path / f"{name}.txt").write_text("".join(lines))
    return tmp_path


def test_numbers_in_words():
    assert [in_words(n) for n in (0, 17, 40, 300)] == [
        "zero",
        "seventeen",
        "forty",
        "three hundred",
    ]
    assert in_words(742) == "seven hundred forty-two"


def test_promises_about_files(root):
    for check in checks.of("my-plugin", root=root):
        if check.subject.entry.kind == "datasets":
            check()


def test_a_missing_file_is_refused(root):
    (root / "odd.txt").unlink()
    with pytest.raises(tinyconv.UserError, match=r"folder with even\.txt and odd\.txt"):
        my_plugin(root)

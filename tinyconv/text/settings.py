"""Settings of tasks on sentences, each written once; a task gives its default, and what is its own.

Nothing here imports Keras, so that `tinyconv fit --help` is instant.
"""

from tinyconv.settings import setting


def min_count(default: int, help: str = "Minimum count for a word to enter the vocabulary.") -> int:
    """The setting --min-count: how often a word must occur."""
    return setting(default, help, minimum=1, alias="min-count")


def vocabulary_size(default: int, words: str = "words", minimum: int = 1) -> int:
    """The setting --vocabulary-size: how many words there are at most."""
    return setting(
        default,
        f"Maximum number of {words}; the most frequent are used.",
        minimum=minimum,
        alias="vocabulary-size",
    )


def beam_width() -> int | None:
    """The option --beam of a verb, by default that of the run."""
    return setting(None, "Beam width.  [default: the run's --beam]", minimum=1)

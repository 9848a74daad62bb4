"""Stories with a question that someone types, as texts of the form of `stories`.

Sentences add up to a story, and a question, which ends in a question mark, is about those before
it. A text with a story and a question is a story of its own, and so is what follows an empty line
of a file, or a line numbered 1. Of a line in the form of bAbI, its number and what stands behind a
tab, the answer, are left out.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tinyconv.data.text import Text
from tinyconv.errors import UserError
from tinyconv.plugins.language.text_files import read_text

LINE = re.compile(r"\s*(?:(?P<number>\d+)\s+)?(?P<text>[^\t]*).*")
SENTENCE = re.compile(r"[^.!?\s][^.!?]*[.!?]*")
MARK = "?"
EXAMPLE = '"Mary went to the kitchen. Where is Mary?"'


def questions(inputs: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each question with its story.

    Args:
        inputs: Text, and paths of files and folders with .txt files.

    Yields:
        (source, text): the Text with the question, or "file:number"; and the sentences, one a line,
        of which the last one is the question.

    Raises:
        UserError: for a question without a story, or a story without a question.
    """
    texts = [(str(item), str(item)) for item in inputs if isinstance(item, Text)]
    if texts:
        yield from _questions_of(texts)
    for path in map(Path, (item for item in inputs if not isinstance(item, Text))):
        files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
        if not files:
            raise UserError(f"There is no .txt file in {path}.")
        for file in files:
            lines = read_text(file).splitlines() or [""]
            yield from _questions_of(
                [(f"{file}:{i}", line) for i, line in enumerate(lines, start=1)]
            )


def _questions_of(lines: Sequence[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The questions among lines, (source, line) each, as `questions`."""
    story: list[str] = []
    count = 0
    for source, line in lines:
        match = LINE.match(line)
        sentences = [each.strip() for each in SENTENCE.findall(match["text"])]
        is_whole = len(sentences) > 1 and sentences[-1].endswith(MARK)
        if not sentences or match["number"] == "1" or is_whole:
            story = []
        for sentence in sentences:
            if not sentence.endswith(MARK):
                story.append(sentence)
                continue
            if not story:
                raise UserError(
                    f"{sentence!r} is a question without a story; put sentences before it: "
                    f"{EXAMPLE}."
                )
            count += 1
            yield source, "\n".join([*story, sentence])
    if not count:
        raise UserError(
            f"{lines[0][0]!r} has no question, which ends in a question mark: {EXAMPLE}."
        )

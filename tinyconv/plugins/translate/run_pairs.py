"""The sentence pairs of a run and its two languages: opened, turned round, and as word ids."""

from dataclasses import replace

from tinyconv.data import Dataset, Split, selection
from tinyconv.errors import UserError
from tinyconv.plugins.translate.languages import Language
from tinyconv.results import plural
from tinyconv.system import console
from tinyconv.text.vocabulary import Vocabulary

FEWEST = 4  # pairs to train on
FILES = {"source": "source.sentencepiece", "target": "target.sentencepiece"}


def open_pairs(run, data=None, root=None) -> Dataset:
    """The run's own sentence pairs, or others; reversed if the run translates backwards.

    Raises UserError for a data set without translations.
    """
    options = run.options
    dataset = selection.named(run, data, root)
    train = dataset.splits["train"]
    if "text" not in train.target_fields:
        raise UserError(
            f"{dataset.name} has no translations; choose phrases, multi30k-fr, multi30k-de, "
            "gettext or sentence-pairs."
        )
    if len(train) < FEWEST:
        raise UserError(
            f"{dataset.name} has {plural(len(train), 'pair')} to train on; {FEWEST} is the least."
        )
    if options.reverse:
        splits = {name: _reversed(split) for name, split in dataset.splits.items()}
        dataset = replace(dataset, splits=splits)
    return dataset


def _reversed(split: Split) -> Split:
    """The split with sources and targets exchanged; known links turn round with them."""
    targets = []
    for text, target in zip(split.rows, split.targets, strict=True):
        other = {"text": text}
        for kind in ("sure", "possible"):
            if kind in target:
                links = {(s, t) for t, places in enumerate(target[kind]) for s in places}
                count = len(text.split())
                other[kind] = [sorted(t for s, t in links if s == k) for k in range(count)]
        targets.append(other)
    return replace(split, inputs=[target["text"] for target in split.targets], targets=targets)


def new_languages(run, train: Split) -> tuple[Language, Language]:
    """The two languages of a new run, from its training sentences; the run records them."""
    options, pair = run.options, []
    texts = {"source": list(train.rows), "target": [each["text"] for each in train.targets]}
    for side, file in FILES.items():
        language = Language.from_sentences(
            texts[side], options.least, options.vocabulary, options.subword, side
        )
        if language.model is not None:
            run.initial_files[file] = language.model
        run.add(**{f"{side}_words": language.vocabulary.words})
        pair.append(language)
    return pair[0], pair[1]


def saved_languages(run) -> tuple[Language, Language]:
    """The source and the target language of a run that has a folder."""
    pair = []
    for side, file in FILES.items():
        words = tuple(run.settings[f"{side}_words"])
        path = run.path / file
        pair.append(Language(Vocabulary(words), path.read_bytes() if path.exists() else None))
    return pair[0], pair[1]


def id_pairs(train: Split, pair: tuple[Language, Language], longest: int) -> list:
    """The training pairs as ids; longer ones are left out, and their number is printed."""
    source, target = pair
    rows = [
        (source.encode(source.split(one))[1:], target.encode(target.split(other["text"])))
        for one, other in zip(train.rows, train.targets, strict=True)
    ]
    short = [row for row in rows if max(map(len, row)) <= longest + 2]
    if len(short) < len(rows):
        console.print_line(
            f"data       {plural(len(rows) - len(short), 'pair')} of more than {longest} words "
            "left out (--max-length)"
        )
    if not short:
        raise UserError(f"No training pair has at most {longest} words; raise --max-length.")
    return short

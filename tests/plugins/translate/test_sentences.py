"""Data: the grammar by hand, files of every kind, and what is refused."""

import random
import tarfile

import numpy as np
import pytest

from tests.helpers.languages import catalogue, multi30k_folder, translations
from tinyconv.errors import UserError
from tinyconv.plugins.translate import corpora, phrases, sentence_files
from tinyconv.plugins.translate.languages import Language, labels, words
from tinyconv.plugins.translate.phrases import Word


def test_words():
    assert words("L'ami du roi, qu'il voit.") == [
        "l'",
        "ami",
        "du",
        "roi",
        ",",
        "qu'",
        "il",
        "voit",
        ".",
    ]
    assert words("the king's dog doesn't") == ["the", "king", "'s", "dog", "doesn't"]
    assert words("the king 's dog") == words("the king's dog")
    assert words("cafe\u0301") == words("\ufeffcafé") == ["café"]  # NFC, and no byte-order mark


def test_pieces_are_labelled_as_words_and_their_continuations():
    assert labels(["\u2581a", "\u2581play", "house", "."]) == ["a", "play", "-house", "."]
    assert labels(["a", "house"]) == ["a", "house"]


def test_the_text_of_phrases_splits_into_the_words_that_are_linked():
    split = phrases.phrases().splits["test"]
    for source, target in zip(split.rows, split.targets):
        assert words(source) == source.split() and words(target["text"]) == target["text"].split()
        count, places = len(target["text"].split()), len(source.split())
        assert len(target["sure"]) == len(target["possible"]) == count
        for sure, possible in zip(target["sure"], target["possible"]):
            assert sure and set(sure) <= set(possible) <= set(range(places))


def test_every_english_word_but_helpers_is_linked():
    """A word that nothing is linked to would be one that the translation leaves out."""
    split = phrases.phrases().splits["validation"]
    for source, target in zip(split.rows, split.targets):
        linked = {place for places in target["possible"] for place in places}
        assert linked == set(range(len(source.split())))


@pytest.mark.parametrize(
    "determiner, feminine, plural, vowel, article",
    [
        ("the", False, False, False, "le"), ("the", True, False, False, "la"),
        ("the", True, False, True, "l'"), ("the", False, True, True, "les"),
        ("a", True, False, False, "une"), ("this", False, False, True, "cet"),
        ("this", False, False, False, "ce"), ("this", True, False, True, "cette"),
        ("my", True, False, True, "mon"), ("my", True, False, False, "ma"),
        ("his", False, True, False, "ses"), ("three", True, True, False, "trois"),
    ],
)  # fmt: skip
def test_articles(determiner, feminine, plural, vowel, article):
    assert phrases.article(determiner, feminine, plural, vowel) == article


def test_contractions():
    def of(*texts):
        phrase = [Word(text, {7}) for text in texts]
        return [(word.text, word.sure) for word in phrases.contracted("de", {3}, phrase)]

    assert of("le", "roi") == [("du", {3, 7}), ("roi", {7})]
    assert of("les", "rois") == [("des", {3, 7}), ("rois", {7})]
    assert of("la", "reine") == [("de", {3}), ("la", {7}), ("reine", {7})]
    assert of("un", "roi") == [("d'", {3}), ("un", {7}), ("roi", {7})]


class Chooser(random.Random):
    """Chooses what a test wants: the next of its answers."""

    def __init__(self, choices, numbers):
        super().__init__(0)
        self.choices, self.numbers = iter(choices), iter(numbers)

    def choice(self, options):
        wish = next(self.choices)
        return next(
            option
            for option in options
            if option == wish or (option[0] == wish and len(option) > 1)
        )

    def random(self):
        return next(self.numbers)


def test_a_sentence_worked_out_by_hand():
    """the old king 's black dog does not see the apple: le chien noir du vieux roi ..."""
    chooser = Chooser(
        ["the", "king", "old", "dog", "black", "sees", "not", "the", "apple"],
        # owned; king: singular, before, no after; dog: singular, no before, after; no pronoun;
        # apple: not owned, singular, no adjectives; no preposition
        [0.1, 0.9, 0.1, 0.9, 0.9, 0.9, 0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9],
    )
    english, french = phrases.pair(chooser, 1)
    assert " ".join(english) == "the old king 's black dog does not see the apple"
    assert " ".join(word.text for word in french) == (
        "le chien noir du vieux roi ne voit pas la pomme"
    )
    links = [sorted(word.sure) for word in french]
    assert links == [[3], [5], [4], [0, 3], [1], [2], [7], [8], [7], [9], [10]]
    assert french[0].possible == {5} and french[7].possible == {6}


def test_lengths_of_the_splits():
    splits = phrases.phrases().splits
    lengths = {
        name: np.array([len(row.split()) for row in each.rows]) for name, each in splits.items()
    }
    assert {name: len(each) for name, each in lengths.items()} == phrases.COUNTS
    assert lengths["train"].max() == 40 and lengths["test"].max() > 70
    assert not set(splits["train"].rows) & set(splits["test"].rows)


def lines(count=120):
    return [(f"sentence {i} here", f"phrase {i} ici") for i in range(count)]


def test_two_files_of_lines(tmp_path):
    root = translations(tmp_path)
    dataset = sentence_files.sentence_pairs(root)
    assert {name: len(each) for name, each in dataset.splits.items()} == {
        "train": 120, "validation": 30, "test": 30,
    }  # fmt: skip
    train = dataset.splits["train"]
    assert train.rows[5] == "sentence 5 here" and train.targets[5] == {"text": "phrase 5 ici"}


def test_line_ends_marks_and_composed_accents(tmp_path):
    pairs = lines() + [("e\u0301cole", "x\u2028y"), ("", "empty"), ("empty", "  ")]
    for k, code in enumerate(("en", "fr")):
        text = "\ufeff" + "".join(pair[k] + "\r\n" for pair in pairs)
        (tmp_path / f"train.{code}").write_bytes(text.encode())
    dataset = sentence_files.sentence_pairs(tmp_path)
    rows = [row for split in dataset.splits.values() for row in split.rows]
    texts = [target["text"] for split in dataset.splits.values() for target in split.targets]
    assert len(rows) == 121 and "école" in rows and "sentence 0 here" in rows
    assert texts[rows.index("école")] == "x\u2028y"  # one line
    assert dataset.notes == ("2 pairs without text on one side left out of train.en",)


def test_columns_as_of_tatoeba_keep_the_translations_of_a_sentence_in_one_split(tmp_path):
    rows = [f"Go {i // 3}.\tVa {i}.\tCC-BY 2.0 (France) Attribution: x" for i in range(900)]
    file = tmp_path / "fra.txt"
    file.write_text("\n".join([*rows, "no tab here", "a\tb\tc\td"]), encoding="utf-8")
    dataset = sentence_files.sentence_pairs(file)
    sources = [set(split.rows) for split in dataset.splits.values()]
    assert sum(map(len, dataset.splits.values())) == 900
    assert (
        not sources[0] & sources[1] and not sources[0] & sources[2] and not sources[1] & sources[2]
    )
    assert set(dataset.splits) == {"train", "validation", "test"}
    assert dataset.notes == ("2 lines without two columns left out of fra.txt",)


def test_columns_with_the_numbers_of_tatoeba(tmp_path):
    rows = [f"{i}\tGo {i}.\t{7 * i}\tVa {i}." for i in range(200)]
    (tmp_path / "pairs.tsv").write_bytes(("\ufeff" + "\r\n".join(rows)).encode())
    train = sentence_files.sentence_pairs(tmp_path).splits["train"]
    assert train.rows[0] == "Go 0." and train.targets[0] == {"text": "Va 0."}


def write(folder, **files):
    for name, text in files.items():
        data = text if isinstance(text, bytes) else text.encode()
        (folder / name.replace("__", ".")).write_bytes(data)


MANY = "".join(f"line {i}\n" for i in range(120))


@pytest.mark.parametrize(
    "files, message",
    [
        ({"train__en": MANY, "train__fr": MANY + "1\n"}, "train.en has 120 lines and train.fr 121"),
        ({"train__en": MANY, "train__fr": MANY}, "no pair of languages: .* are their own"),
        ({"train__en": "a\nb\n", "train__fr": "c\nd\n"}, "2 sentence pairs; 100 is the least"),
        ({"train__en": MANY, "train__fr": MANY.encode() + b"\xe9\n"}, "line 121 has the byte 0xe9"),
        ({"train__en": MANY}, "holds no pair of files of training sentences"),
        ({"train__en": MANY, "train__fr": MANY, "train__de": MANY}, "more than two files of train"),
        ({"one__tsv": "a\tb\n", "two__txt": MANY}, "several tables; name one of one.tsv, two.txt"),
        ({"train__en": MANY, "train__fr": MANY, "val__en": MANY}, "val.en has no file of its tran"),
        ({"pairs__tsv": "a b\nc d\n"}, "has no line with two tab-separated columns"),
        ({"train__en__gz": b"\x1f\x8bnothing", "train__fr": MANY}, "is not a complete gzip file"),
    ],
)  # fmt: skip
def test_files_that_are_refused(tmp_path, files, message):
    write(tmp_path, **files)
    with pytest.raises(UserError, match=message):
        sentence_files.sentence_pairs(tmp_path)


def test_without_root_or_with_an_empty_one(tmp_path):
    with pytest.raises(UserError, match="sentence-pairs needs --root"):
        sentence_files.sentence_pairs()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="is an empty folder"):
        sentence_files.sentence_pairs(tmp_path / "empty")
    with pytest.raises(UserError, match="phrases are generated"):
        phrases.phrases(tmp_path)


def test_multi30k_from_a_folder_and_from_an_archive(tmp_path):
    (tmp_path / "multi30k").mkdir()
    folder = multi30k_folder(tmp_path / "multi30k", ("en", "de"))
    with tarfile.open(tmp_path / "files.tar.gz", "w:gz") as archive:
        archive.add(folder, "multi30k")
    for root in (folder, tmp_path / "files.tar.gz"):
        dataset = corpora.multi30k_de(root)
        assert [len(each) for each in dataset.splits.values()] == [120, 12, 12]
        assert dataset.splits["validation"].rows[3] == "en val 3"
        assert dataset.splits["test"].targets[8] == {"text": "de test_2016_flickr 8"}
    (tmp_path / "torn.tar.gz").write_bytes((tmp_path / "files.tar.gz").read_bytes()[:500])
    with pytest.raises(UserError, match="is not an archive of Multi30k"):
        corpora.multi30k_de(tmp_path / "torn.tar.gz")
    (folder / "val.de.gz").unlink()
    with pytest.raises(UserError, match=r"holds neither val\.de\.gz nor val\.de"):
        corpora.multi30k_de(folder)


@pytest.mark.parametrize("order", ["<", ">"])
def test_catalogues_of_messages(tmp_path, order):
    messages = {f"Open the file {i}": f"Ouvrir le fichier {i}" for i in range(120)}
    messages |= {
        "_Save the file now": "_Enregistrer le fichier maintenant",
        "menu\x04Close all of them": "Les fermer tous",
        "one more file\0%d more files": "encore un fichier\0encore %d fichiers",
        "Yes": "Oui",
        "two\nlines of text": "deux\nlignes de texte",
    }
    (tmp_path / "program.mo").write_bytes(catalogue(messages, order))
    (tmp_path / "torn.mo").write_bytes(catalogue(messages, order)[:60])
    dataset = corpora.gettext(tmp_path)
    pairs = {
        source: target["text"]
        for split in dataset.splits.values()
        for source, target in zip(split.rows, split.targets)
    }
    assert len(pairs) == 123
    assert pairs["Save the file now"] == "Enregistrer le fichier maintenant"
    assert pairs["Close all of them"] == "Les fermer tous"
    assert pairs["one more file"] == "encore un fichier"
    assert dataset.notes == (
        "2 messages left out that are shorter than 3 words, longer than 20 or not translated",
        "1 catalogue not readable or not in UTF-8",
    )
    with pytest.raises(UserError, match="There are no message catalogues"):
        corpora.gettext(tmp_path / "nowhere")


def test_pieces_of_words():
    pytest.importorskip("sentencepiece")
    texts = [f"the old house number {i} and the older houses" for i in range(50)]
    language = Language.from_sentences(texts, 1, 1000, pieces=60, name="source")
    tokens = language.split("the older house")
    assert language.join(tokens) == "the older house"
    assert len(language.split("house")) < len("house")
    ids = language.encode(language.split("the houses"))
    assert language.tokens(ids) == language.split("the houses")
    with pytest.raises(UserError, match="cannot be split into 100,000 pieces"):
        Language.from_sentences(texts, 1, 1000, pieces=100_000, name="source")

"""Small files of sentence pairs in the exact formats that data sets come in."""

import gzip
import struct


def translations(folder):
    """Two files of lines for each split, of which those for training are gzipped."""
    for stem, count in (("train", 120), ("val", 30), ("test", 30)):
        first = {"train": 0, "val": 1000, "test": 2000}[stem]
        for code, line in (("en", "sentence {} here\n"), ("fr", "phrase {} ici\n")):
            text = "".join(line.format(first + i) for i in range(count)).encode()
            name = f"{stem}.{code}" + (".gz" if stem == "train" else "")
            (folder / name).write_bytes(gzip.compress(text) if stem == "train" else text)
    return folder


def translation_columns(folder):
    """Tab-separated sentences, as of Tatoeba."""
    rows = [f"Sentence {i}.\tPhrase {i}.\tCC-BY 2.0 (France)" for i in range(300)]
    (folder / "fra.txt").write_text("\n".join(rows), encoding="utf-8")
    return folder


def multi30k_folder(folder, codes=("en", "fr")):
    """The files of Multi30k, with a few sentences."""
    for stem, count in (("train", 120), ("val", 12), ("test_2016_flickr", 12)):
        for code in codes:
            text = "".join(f"{code} {stem} {i}\n" for i in range(count))
            (folder / f"{stem}.{code}.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def catalogue(messages, order="<"):
    """A message catalogue (.mo) as GNU gettext writes it."""
    header = {b"": b"Content-Type: text/plain; charset=UTF-8\n"}
    pairs = sorted((header | {k.encode(): v.encode() for k, v in messages.items()}).items())
    start = 28 + 16 * len(pairs)
    tables, texts = [b"", b""], b""
    for side in (0, 1):
        for pair in pairs:
            tables[side] += struct.pack(f"{order}2I", len(pair[side]), start + len(texts))
            texts += pair[side] + b"\0"
    first = struct.pack(f"{order}7I", 0x950412DE, 0, len(pairs), 28, 28 + 8 * len(pairs), 0, 0)
    return first + tables[0] + tables[1] + texts


def catalogues(folder):
    """A folder with one catalogue of 300 messages."""
    messages = {f"Open the file {i}": f"Ouvrir le fichier {i}" for i in range(300)}
    (folder / "program.mo").write_bytes(catalogue(messages))
    return folder


def text_lines(folder):
    """Two files of text, of which one has a byte-order mark and an empty line."""
    numbers = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    lines = [" ".join(numbers[int(digit)] for digit in str(1000 + 7 * i)) for i in range(400)]
    (folder / "one.txt").write_text("\n".join(lines[:200]), encoding="utf-8-sig")
    (folder / "two.txt").write_text("\n\n".join(lines[200:]), encoding="utf-8")
    return folder


def tree_files(folder):
    """train.txt, dev.txt and test.txt as of the Stanford sentiment treebank."""
    adjectives = {"good": 3, "nice": 3, "great": 4, "bad": 1, "dull": 1, "awful": 0, "long": 2}
    for number, (name, count) in enumerate((("train", 60), ("dev", 14), ("test", 14))):
        trees = []
        for i in range(count):
            word, label = [*adjectives.items()][i % len(adjectives)]
            noun = f"(2 (2 the) (2 {name}{i}))"
            denied = f"({4 - label} (2 not) ({label} {word}))"
            adjective = denied if (i + number) % 2 else f"({label} {word})"
            root = adjective[1]
            trees.append(f"({root} {noun} ({root} (2 is) {adjective}))\n")
        (folder / f"{name}.txt").write_text("".join(trees), encoding="utf-8")
    return folder


def review_files(folder):
    """rt-polarity.neg and rt-polarity.pos, in the encoding of Pang and Lee."""
    for ending, word in (("neg", "dull"), ("pos", "clichéd but good")):
        lines = "".join(f"film number {i} is {word} . \n" for i in range(60))
        (folder / f"rt-polarity.{ending}").write_bytes(lines.encode("cp1252"))
    return folder


def story_files(folder):
    """Stories in the form of bAbI."""
    story = "1 {0} went to the {1}.\n2 Zoe slept {2} times.\n3 Where is {0}?\t{1}\t1\n"
    names, places = ("Ann", "Bob", "Eve"), ("attic", "garden")
    for stem, count in (("train", 60), ("test", 20)):
        lines = [
            story.format(names[i % 3], places[i // 3 % 2], stem[:2] + str(i)) for i in range(count)
        ]
        (folder / f"qa1_where_{stem}.txt").write_text("".join(lines), encoding="utf-8")
    return folder


def labelled_lines(folder):
    """A table of labels and sentences."""
    names = ("sports", "weather", "politics")
    rows = [f"{names[i % 3]}\t{names[i % 3]} news of day {i}" for i in range(120)]
    (folder / "news.tsv").write_text("\n".join(rows), encoding="utf-8")
    return folder

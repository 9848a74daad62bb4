"""Corpora that exist: Multi30k, and the message catalogues of this machine."""

import re
import struct
import tarfile
import zlib
from pathlib import Path

from tinyconv.data import Dataset
from tinyconv.data.download import download, existing
from tinyconv.errors import UserError
from tinyconv.plugins.translate.sentence_files import (
    Pairs,
    dataset,
    divided,
    parallel,
    read,
    unzipped,
)
from tinyconv.results import plural
from tinyconv.system import archives

URL = "https://raw.githubusercontent.com/multi30k/dataset/master/data/task1/raw"
SPLITS = {"train": "train", "validation": "val", "test": "test_2016_flickr"}
SHA256 = {  # of the gzipped files, at commit a3d2e0d (2026-07-07)
    "train.en": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "train.fr": "622e75069e9f4c577425c4f277116ce66e63a2401c0a2312d90073cb12379a3c",
    "train.de": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "val.en": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
    "val.fr": "ca3106f1a72390591d25f6c45cb4cd39dec4cd3f123e099748a3ce5256c160e9",
    "val.de": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "test_2016_flickr.en": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2016_flickr.fr": "6d326e188d259fb1d04ac19eae3af956559b3a0b93d7635e56c90987c40c8b90",
    "test_2016_flickr.de": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
}
CATALOGUES = Path("/usr/share/locale/fr")
FEWEST_WORDS, MOST_WORDS = 3, 20  # of a message: shorter ones are names, longer ones texts
MAGIC = 0x950412DE


def multi30k_fr(root: Path | None = None) -> Dataset:
    """Multi30k, English and French: descriptions of pictures, 29,000 for training."""
    return _multi30k(root, "fr")


def multi30k_de(root: Path | None = None) -> Dataset:
    """Multi30k, English and German: descriptions of pictures, 29,000 for training."""
    return _multi30k(root, "de")


def _multi30k(root: Path | None, language: str) -> Dataset:
    """Elliott et al. 2016 (arXiv 1605.00459); for research and education.

    `root` is an archive (.tar.gz) or a folder with train.en.gz and so on; without it the files
    are downloaded.
    """
    names = [f"{stem}.{code}" for stem in SPLITS.values() for code in ("en", language)]
    contents = _files(root, names)
    splits, notes = {}, []
    for split, stem in SPLITS.items():
        pair = f"{stem}.en", f"{stem}.{language}"
        pairs = parallel(contents[pair[0]], contents[pair[1]], pair)
        notes += pairs.notes(stem)
        splits[split] = pairs.split()
    return dataset(f"multi30k-{language}", splits, notes, root or "Multi30k")


def _files(root: Path | None, names: list[str]) -> dict[str, bytes]:
    """The content of each file, downloaded, or from a folder or an archive."""
    if root is None:
        return {name: read(download(f"{URL}/{name}.gz", SHA256[name])) for name in names}
    root = existing(root, "an archive of Multi30k, or a folder with train.en.gz and so on")
    if root.is_file():
        inside = {name: f"multi30k/{name}.gz" for name in names}
        try:
            content = archives.untar(root, set(inside.values()))
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise UserError(f"{root} is not an archive of Multi30k ({error}).") from error
        return {name: unzipped(content[path], path) for name, path in inside.items()}
    return {name: read(_file(root, name)) for name in names}


def _file(root: Path, name: str) -> Path:
    """The one file of this name below a folder, gzipped or not."""
    paths = sorted(path for path in root.rglob(f"{name}*") if path.name in (name, f"{name}.gz"))
    if not paths:
        raise UserError(f"--root {root} holds neither {name}.gz nor {name} of Multi30k.")
    return paths[0]


def gettext(root: Path | None = None) -> Dataset:
    """Messages of the programs on this machine, from English, read where they are installed.

    `root` is a folder of message catalogues (.mo) of one language, such as
    /usr/share/locale/de; by default the French one. Containers and other systems than Linux often
    have none.
    """
    folder = root or CATALOGUES
    files = sorted(folder.rglob("*.mo")) if folder.is_dir() else []
    if not files:
        raise UserError(
            f"There are no message catalogues (.mo) in {folder}; name a folder that has some with "
            "--root."
        )
    contents = [_messages(file) for file in files]
    pairs = list(dict.fromkeys(pair for each in contents for pair in each or ()))
    usual = Pairs.from_lines(pair for pair in pairs if _is_sentence(*pair))
    others = len(pairs) - len(usual.sources)
    notes = [
        f"{plural(others, 'message')} left out that are shorter than {FEWEST_WORDS} words, longer "
        f"than {MOST_WORDS} or not translated"
    ]
    if None in contents:
        notes.append(f"{plural(contents.count(None), 'catalogue')} not readable or not in UTF-8")
    return dataset("gettext", divided(usual), notes, folder)


def _messages(file: Path) -> list[tuple[str, str]] | None:
    """The messages of a catalogue and their translations, without menus' marks.

    The format is of GNU gettext: a header of seven numbers, two tables of (length, offset).
    None for a damaged catalogue, or one that is not in UTF-8.
    """
    data = read(file)
    order = "<" if data[:4] == struct.pack("<I", MAGIC) else ">"
    try:
        magic, _, count, sources, targets = struct.unpack_from(f"{order}5I", data)
        tables = [
            [struct.unpack_from(f"{order}2I", data, start + 8 * i) for i in range(count)]
            for start in (sources, targets)
        ]
    except struct.error:
        return None
    if magic != MAGIC:
        return None
    texts = [[data[start : start + length] for length, start in table] for table in tables]
    charset = next((t for s, t in zip(*texts) if not s), b"").lower()
    if charset and b"charset=utf-8" not in charset:
        return None
    return [(_plain(one), _plain(other)) for one, other in zip(*texts) if one]


def _plain(message: bytes) -> str:
    """A message without its context, its plural, the letter of a menu, and typographic quotes."""
    text = message.split(b"\0")[0].rpartition(b"\x04")[2].decode("utf-8", "replace")
    text = re.sub(r"[“”«»„]\s?|\s(?=»)", '"', text)
    return text.replace("_", "").replace("&", "")


def _is_sentence(one: str, other: str) -> bool:
    """Whether a pair is of the usual length, on one line, and translated."""
    lengths = [len(text.split()) for text in (one, other)]
    is_usual = all(FEWEST_WORDS <= length <= MOST_WORDS for length in lengths)
    return is_usual and one != other and "\n" not in one + other and "\ufffd" not in one + other

"""Text of the user in figures: drawn as it is, with an installed font for every character.

matplotlib takes what stands between two dollar signs for mathematics, leaves legend entries that
begin with "_" out, and draws a box for a character that its own font lacks.
"""

import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from functools import cache

import matplotlib
from matplotlib import font_manager
from matplotlib.artist import Artist
from matplotlib.category import StrCategoryFormatter
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

from tinyconv.system import console
from tinyconv.system.private import keep_title

WORDS = (FixedFormatter, FuncFormatter, StrCategoryFormatter)  # of ticks that have names
LAST_RESORT = "Last Resort"  # the font that has a box for every character
MAX_TEXTS = 5  # texts, at most, that the line about missing characters names

_reported: set[str] = set()  # characters that no font has, each reported once


def plain(text: str) -> str:
    """`text` as a font can draw it: controls as `console.visible` has them, no joiners.

    A byte of a file name that is no character (half a surrogate pair) becomes U+FFFD.
    """
    kinds = ((one, unicodedata.category(one)) for one in console.visible(text))
    visible = "".join(
        "\ufffd" if kind == "Cs" else one
        for one, kind in kinds
        if kind != "Cf" and not "\ufe00" <= one <= "\ufe0f"  # variants of the character before
    )
    return visible or "\ufffd"


def label(name: str) -> str:
    """`name` as a label that no legend leaves out: after a joiner, which `save` removes."""
    return f"\u200d{name}"


def save(figure: Figure, file, dpi: int) -> None:
    """Write `figure` as PNG to `file`, with every text as it is."""
    for axes in figure.axes:
        if not axes.axison:
            keep_title(axes)
    texts = _texts(figure)
    for text in texts:
        text.set(parse_math=False, usetex=False)
        lines = text.get_text().split("\n")
        if lines != [""]:
            text.set_text("\n".join(plain(line) if line else line for line in lines))
    _choose_fonts(texts)
    with matplotlib.rc_context({"text.usetex": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from")  # `_choose_fonts` reports it
        figure.savefig(file, format="png", dpi=dpi)


def _texts(figure: Figure) -> list[Text]:
    """Every text of the figure, except the numbers along an axis, which may hold a power.

    An axis that is not drawn is left out: making its ticks takes longer than drawing the rest.
    """
    passed_over = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            if not axes.axison:
                passed_over.add(axis)
                continue
            labels = axis.get_ticklabels(which="both")  # sets their texts
            if not isinstance(axis.get_major_formatter(), WORDS):
                passed_over |= {axis.offsetText, *labels}
    return [artist for artist in _artists(figure, passed_over) if isinstance(artist, Text)]


def _artists(artist: Artist, passed_over: set[Artist]) -> Iterator[Artist]:
    """What the artist consists of, without those that are passed over."""
    for child in artist.get_children():
        if child not in passed_over:
            yield child
            yield from _artists(child, passed_over)


def _choose_fonts(texts: Sequence[Text]) -> None:
    """Add installed fonts for the characters that matplotlib's own lacks; report the rest."""
    own = _characters(font_manager.findfont(font_manager.FontProperties()))
    lacking = {text: {*text.get_text()} - own - {"\n", " "} for text in texts}
    missing = frozenset().union(*lacking.values())
    if not missing:
        return
    families, rest = _fonts_for(missing)
    for text, characters in lacking.items():
        if characters:
            text.set_fontfamily([*text.get_fontfamily(), *families])
    new = rest - _reported
    _reported.update(new)
    names = list(dict.fromkeys(text.get_text() for text in texts if lacking[text] & new))
    if names:
        more = f" and {len(names) - MAX_TEXTS} more" if len(names) > MAX_TEXTS else ""
        listed = ", ".join(name.replace("\n", " ") for name in names[:MAX_TEXTS])
        console.print_line(
            f"fonts      no installed font has {' '.join(sorted(new)[:20])}, which figures show as "
            f"boxes: {listed}{more}; install one that has, such as Noto Sans"
        )


@cache
def _fonts_for(missing: frozenset[str]) -> tuple[list[str], frozenset[str]]:
    """(families that have the characters, the characters that no installed font has)."""
    families, rest = [], missing
    listed = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in set(font_manager.findSystemFonts()) - listed:  # newer than matplotlib's own list
        try:
            font_manager.fontManager.addfont(path)
        except Exception:  # FreeType raises many classes for a file that it cannot read
            continue
    fonts = {
        entry.name: entry.fname
        for entry in font_manager.fontManager.ttflist
        if entry.style == "normal" and LAST_RESORT not in entry.name
    }
    while rest and fonts:
        best = max(sorted(fonts), key=lambda name: len(rest & _characters(fonts[name])))
        had = rest & _characters(fonts.pop(best))
        if not had:
            break
        families.append(best)
        rest -= had
    return families, rest


@cache
def _characters(path: str) -> frozenset[str]:
    """The characters of a font file; none of one that cannot be read."""
    try:
        return frozenset(map(chr, font_manager.get_font(path).get_charmap()))
    except Exception:  # as above
        return frozenset()

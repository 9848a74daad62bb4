"""What a language model is measured by: bits a character, or the perplexity of words.

Bits are the mean of -log2 p over all characters, the first of which follows the end of a line. An
unknown one costs what the network gives the unknown symbol, and then what it takes to say which of
Unicode's other characters it is. The same holds for the baselines, which see the same symbols.
"""

import numpy as np

from tinyconv.plugins.language.text import ngrams, streams
from tinyconv.plugins.language.text.symbols import UNKNOWN, Symbols

LN2 = np.log(2)


def of_text(reader, symbols: Symbols, text: str) -> dict[str, float]:
    """The loss in nats, and bits (characters) or perplexity (words) of a text.

    Args:
        reader: a `language_model.Reader`.
        symbols: those of its network.
        text: of at least one symbol.
    """
    ids = symbols.encode(f"\n{text}")
    return _measures(streams.losses(reader, ids), ids, symbols)


def _measures(losses: np.ndarray, ids: np.ndarray, symbols: Symbols) -> dict[str, float]:
    loss = float(losses.mean())
    if symbols.level == "word":
        return {"loss": loss, "perplexity": float(np.exp(loss))}
    unknown = float((ids[1:] == UNKNOWN).mean())
    return {"loss": loss, "bits": loss / LN2 + unknown * symbols.unknown_bits}


def baselines(train: str, test: str, symbols: Symbols) -> dict[str, float]:
    """The same measure of counts alone: single symbols, and the best of 1- to 6-grams.

    For characters also bzip2's bits of the training and the test text together, and for words the
    fraction that is unknown.
    """
    ids = symbols.encode(f"\n{test}")
    table = ngrams.losses(symbols.encode(train), ids, len(symbols))
    best = int(table.mean(axis=1).argmin())
    name = "bits" if symbols.level == "char" else "perplexity"
    values = {
        f"{name}_order0": _measures(table[0], ids, symbols)[name],
        f"{name}_ngram": _measures(table[best], ids, symbols)[name],
        "ngram": best + 1,
        "unknown": float((ids[1:] == UNKNOWN).mean()),
    }
    if symbols.level == "char":
        values["bits_bz2"] = ngrams.compressed_bits(train + test)
    return values

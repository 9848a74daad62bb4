"""Learning to align and translate: Bahdanau, Cho and Bengio 2014 (arXiv 1409.0473), RNNsearch.

A recurrent network reads a sentence in both directions; another writes its translation and, before
each word, weighs the words of the source: the first attention of all.
"""

REGISTERING = ("tinyconv.plugins.translate.decoding", "tinyconv.plugins.translate.rnnsearch")

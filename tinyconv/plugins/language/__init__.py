"""Questions that a course on language asks, each as a task: `words`, what a word means, `text`,
what comes next, and `sentences`, what a sentence says."""

REGISTERING = (
    "tinyconv.plugins.language.words.embeddings",
    "tinyconv.plugins.language.text.language_model",
    "tinyconv.plugins.language.text.copying",
    "tinyconv.plugins.language.sentences.compositions",
    "tinyconv.plugins.language.sentences.sentence_networks",
    "tinyconv.plugins.language.sentences.memory_network",
)

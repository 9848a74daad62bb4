"""Questions that a course on language asks, each as a task: `words`, what a word means, and
`text`, what comes next."""

REGISTERING = (
    "tinyconv.plugins.language.words.embeddings",
    "tinyconv.plugins.language.text.language_model",
    "tinyconv.plugins.language.text.copying",
)

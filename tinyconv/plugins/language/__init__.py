"""Questions that a course on language asks, each as a task: `words`, what a word means."""

REGISTERING = ("tinyconv.plugins.language.words.embeddings",)

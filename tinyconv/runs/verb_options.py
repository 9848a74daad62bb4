"""The options of a task's verbs: which a task declares, and a verb called with them."""

from tinyconv import deprecated, settings
from tinyconv.errors import UserError

OPTIONS = {  # where a task declares the options of a verb
    "evaluate": "Evaluate",
    "ensemble": "Evaluate",
    "predict": "Predict",
    "explain": "Explain",
}


def call(task, verb: str, values: dict, *arguments):
    """Build the verb's options from `values`, call the task's verb, and return its result.

    Raises UserError for an option that the verb does not have, or a value that does not fit.
    """
    options = build_options(options_of(task, verb), values, "This run's task", verb)
    if not hasattr(task, OPTIONS[verb]):
        return deprecated.call(task, verb, arguments, values)
    return getattr(task, verb)(*arguments, options)


def build_options(Options: type, values: dict, who: str, verb: str):
    """`settings.build`, with an error that names the owner of a verb without such an option."""
    keywords = settings.keywords(Options)
    for name in settings.without_aliases(Options, values):
        if name not in settings.names(Options):
            others = f"it takes {', '.join(keywords)}." if keywords else "it takes no options."
            raise UserError(f"{who} has no option {name} for {verb}; {others}")
    return settings.build(Options, values)


def options_of(task, verb: str) -> type:
    """The dataclass of a verb's options that the task declares.

    Args:
        task: a task, or its class.
        verb: "evaluate", "ensemble", "predict" or "explain".

    Returns:
        A frozen dataclass.
    """
    declared = getattr(task, OPTIONS[verb], None)
    return deprecated.verb_options(task, verb) if declared is None else declared

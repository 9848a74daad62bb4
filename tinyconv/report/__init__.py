"""The HTML report: one self-contained page."""

import base64
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from tinyconv.results import Picture, Table, counted, rounded
from tinyconv.system.console import visible
from tinyconv.system.files import write

# Facts of settings.json that are shown elsewhere on the page, or are long and of little interest.
NOT_LISTED = {
    "classes",
    "words",
    "source_words",
    "target_words",
    "result",
    "coach",
    "versions",
    "machine",
    "command_line",
}

MEANINGS = {
    "loss": "loss is the quantity that training minimises",
    "top1": "top1 is the fraction of examples whose best label is right",
    "top5": "top5 is the fraction of examples whose five best labels include the right one",
    "balanced_accuracy": "balanced_accuracy is the mean of the classes' own top1",
    "iou": "iou is the mean overlap of the true and the predicted box",
    "iou50": "iou50 is the fraction of boxes with an overlap of a half or more",
    "localisation": "localisation is the fraction of pictures whose label and box are both right",
    "error": "error is the fraction of pictures whose best class is not the right one",
    "sequence_error": "sequence_error is the fraction of numbers that are not read to their end",
    "on_digit": "on_digit is the fraction of glimpses in the middle half of a digit",
}
EPOCHS = 100  # most rows of the history that are listed
LARGE = 100_000  # bytes of a PNG above which the page has it as WebP: it shows photographs
QUALITY = 90  # of that WebP, at which no difference is visible


def write_report(run) -> Path:
    """Write pictures/*.png and report.html into the run's folder; returns the page's path."""
    pictures = run.pictures()
    folder = run.path / "pictures"
    folder.mkdir(exist_ok=True)
    for picture in pictures:
        if isinstance(picture, Picture):
            write(folder / f"{picture.name}.png", picture.png)
    result, unit = run.settings.get("result"), run.settings.get("data_unit")
    sections = [
        *((section, True) for section in [*advice(run.settings), *pictures]),
        *((section, False) for section in facts(run)),
    ]
    path = run.path / "report.html"
    write(path, page(run.path.name, numbers(result, unit), [explanation(result)], sections))
    return path


def page(
    title: str,
    numbers: Iterable[tuple[str, str]],
    lead: Iterable[str],
    sections: Sequence[tuple[Picture | Table, bool]],
) -> bytes:
    """The page: `numbers` are (name, value), `sections` (content, whether it starts unfolded)."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tinyconv.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        finalize=lambda value: visible(value) if isinstance(value, str) else value,
    )
    template = environment.get_template("page.html")
    return template.render(
        title=title,
        numbers=list(numbers),
        lead=[sentence for sentence in lead if sentence],
        sections=sections,
        is_table=lambda section: isinstance(section, Table),
        as_data=as_data,
    ).encode("utf-8", "backslashreplace")  # a file's name may have bytes that are no UTF-8


def as_data(picture: Picture) -> str:
    """A picture as the address of an <img>: PNG, or a tenth as much WebP where that is large.

    Lines and letters stay PNG, which is exact and small for them.
    """
    from PIL import Image

    kind, content = "png", picture.png
    if len(content) > LARGE and not picture.plot:
        buffer = io.BytesIO()
        Image.open(io.BytesIO(content)).convert("RGB").save(buffer, "WEBP", quality=QUALITY)
        if buffer.tell() < len(content):
            kind, content = "webp", buffer.getvalue()
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def numbers(result, unit: str | None) -> Iterable[tuple[str, str]]:
    """The metrics at the top of the page, the number of examples, and the training time."""
    if not result:
        return
    yield from ((name, rounded(value)) for name, value in result["metrics"].items())
    if result.get("split"):
        count, _, what = counted(result, unit).partition(" ")
        yield what, count
    yield "of training", f"{result['seconds']:.0f} s"


def explanation(result) -> str:
    """The meaning of the metrics, for those that tasks share."""
    clauses = [MEANINGS[name] for name in (result or {}).get("metrics", {}) if name in MEANINGS]
    return f"{'; '.join(clauses)}.".capitalize() if clauses else ""


def advice(settings) -> Iterable[Table]:
    """The coach's advice on the run, if there is any."""
    sentences = settings.get("coach")
    if sentences:
        rows = [
            (each["epoch"] or "before", each["sentence"], f"tinyconv lesson {each['lesson']}")
            for each in sentences
        ]
        caption = "Problems noticed in training, what to do, and the lesson that explains each."
        yield Table(
            "coach", "Advice of the coach", caption, ("epoch", "sentence", "explained by"), rows
        )


def facts(run) -> Iterable[Table]:
    """Every epoch's numbers, the settings, and what is needed to reproduce the run."""
    history = run.history
    if history:
        stride = -(-len(history) // EPOCHS)
        rows = history[::-1][::stride][::-1]
        which = "Every row" if stride == 1 else f"Every {stride}th row, up to the last one,"
        yield Table(
            "history",
            "Numbers by epoch",
            f"{which} of history.csv. The column seconds is the training time since the start.",
            list(rows[0]),
            [[f"{value:.5g}" for value in row.values()] for row in rows],
        )
    settings = {k: v for k, v in run.settings.items() if k not in NOT_LISTED}
    yield Table(
        "settings",
        "Settings",
        "All settings of the run and facts about it, as in settings.json.",
        (),
        [(name, in_words(value)) for name, value in settings.items()],
    )
    origin = {"command": run.settings["command_line"]}
    origin |= run.settings["versions"] | run.settings["machine"]
    yield Table(
        "versions",
        "How to reproduce it",
        "The command, and the versions and the machine that it ran on.",
        (),
        [(name, in_words(value)) for name, value in origin.items()],
    )


def in_words(value) -> str:
    """A value of settings.json in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict) and set(value) == {"name", "distribution", "version"}:
        return f"{value['name']} ({value['distribution']} {value['version']})"
    if isinstance(value, dict):
        return ", ".join(f"{name} {in_words(each)}" for name, each in value.items())
    if isinstance(value, list):
        return " ".join(map(in_words, value))
    return str(value)

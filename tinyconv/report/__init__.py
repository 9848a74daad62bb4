"""The HTML report: one page with everything in it, which needs no network to be read."""

import base64
from collections.abc import Iterable, Sequence
from pathlib import Path

from tinyconv.results import Picture, Table, counted
from tinyconv.system.files import write

# Facts of settings.json that are told elsewhere on the page, or are long and dull.
NOT_LISTED = {"classes", "result", "coach", "versions", "machine", "command_line"}

READS = {
    "loss": "loss is what training makes small",
    "top1": "top1 is the share of pictures whose best label is right",
    "top5": "top5 is the share of pictures whose five best labels hold the right one",
    "iou": "iou is the mean overlap of the true and the predicted box",
    "iou50": "iou50 is the share of boxes that overlap by a half or more",
    "localisation": "localisation is the share of pictures whose label and box are both right",
}
EPOCHS = 100  # rows of the history that are listed


def write_report(run) -> Path:
    """Write pictures/*.png and report.html into the run's folder; returns the page's path."""
    shown = run.pictures()
    folder = run.path / "pictures"
    folder.mkdir(exist_ok=True)
    for picture in shown:
        if isinstance(picture, Picture):
            write(folder / f"{picture.name}.png", picture.png)
    result = run.settings.get("result")
    sections = [
        *((section, True) for section in [*advice(run.settings), *shown]),
        *((section, False) for section in facts(run)),
    ]
    path = run.path / "report.html"
    write(path, page(run.path.name, numbers(result), [reads(result)], sections))
    return path


def page(
    title: str,
    numbers: Iterable[tuple[str, str]],
    lead: Iterable[str],
    sections: Sequence[tuple[Picture | Table, bool]],
) -> bytes:
    """The page: `numbers` are (name, value), `sections` are each with whether it is unfolded."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tinyconv.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    template = environment.get_template("page.html")
    return template.render(
        title=title,
        numbers=list(numbers),
        lead=[sentence for sentence in lead if sentence],
        sections=sections,
        is_table=lambda section: isinstance(section, Table),
        as_data=lambda png: base64.b64encode(png).decode(),
    ).encode()


def numbers(result) -> Iterable[tuple[str, str]]:
    """What stands above everything: the metrics, and what they were measured on."""
    if not result:
        return
    yield from ((name, f"{value:.4f}") for name, value in result["metrics"].items())
    if result.get("split"):
        count, _, what = counted(result).partition(" ")
        yield what, count
    yield "of training", f"{result['seconds']:.0f} s"


def reads(result) -> str:
    """How the metrics are read, of those that every task shares."""
    told = [READS[name] for name in (result or {}).get("metrics", {}) if name in READS]
    return f"{'; '.join(told)}.".capitalize() if told else ""


def advice(settings) -> Iterable[Table]:
    """What the coach said of the run, if it said anything."""
    said = settings.get("coach")
    if said:
        rows = [
            (each["epoch"] or "before", each["sentence"], f"tinyconv lesson {each['lesson']}")
            for each in said
        ]
        caption = (
            "What was noticed in training, what to do about it, and the lesson that explains it."
        )
        yield Table(
            "coach", "What the coach says", caption, ("epoch", "sentence", "explained by"), rows
        )


def facts(run) -> Iterable[Table]:
    """Every epoch's numbers, the settings, and what it takes to make the run again."""
    history = run.history
    if history:
        every = -(-len(history) // EPOCHS)
        rows = history[::-1][::every][::-1]
        which = "Every row" if every == 1 else f"Every {every}th row, up to the last one,"
        yield Table(
            "history",
            "Numbers by epoch",
            f"{which} of history.csv. seconds are of training since its start.",
            list(rows[0]),
            [[f"{value:.5g}" for value in row.values()] for row in rows],
        )
    settings = {k: v for k, v in run.settings.items() if k not in NOT_LISTED}
    yield Table(
        "settings",
        "Settings",
        "All that the run was told, and what it found; settings.json holds them too.",
        (),
        [(name, told(value)) for name, value in settings.items()],
    )
    made = {"command": run.settings["command_line"]}
    made |= run.settings["versions"] | run.settings["machine"]
    yield Table(
        "versions",
        "How to make it again",
        "The command, and the versions and the machine that it ran with.",
        (),
        [(name, told(value)) for name, value in made.items()],
    )


def told(value) -> str:
    """A value of settings.json in words."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict) and set(value) == {"name", "distribution", "version"}:
        return f"{value['name']} ({value['distribution']} {value['version']})"
    if isinstance(value, dict):
        return ", ".join(f"{name} {told(each)}" for name, each in value.items())
    if isinstance(value, list):
        return " ".join(map(told, value))
    return str(value)

"""Several runs beside each other on one page: their numbers, their curves, and what differs."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tinyconv import report
from tinyconv.report import lettering
from tinyconv.report.figures import finish, png
from tinyconv.results import Picture, Table, counted, rounded
from tinyconv.system.files import write

# Columns of a history about time and speed, not about quality.
PACE = {"epoch", "frames", "seconds", "learning_rate", "pictures_per_second", "waiting"}
# Paul Tol's bright scheme, which colour-blind people can distinguish; then the same with dots.
COLOURS = ("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777")
MISSING = "–"


def write_comparison(runs: Sequence, path: Path, figures: Iterable[Picture | Table] = ()) -> Path:
    """Write the page that compares the runs to `path`; returns `path`.

    `figures` are what their task adds to what is compared of all runs.
    """
    names = distinct_names(runs)
    sections = [
        (numbers(names, runs), True),
        *((section, True) for section in figures),
        *((picture, True) for picture in curves(names, runs)),
        *((table, table.name == "differ") for table in settings(names, runs)),
    ]
    title = f"{len(runs)} runs side by side"
    write(path, report.page(title, (), cautions(names, runs), sections))
    return path


def distinct_names(runs: Sequence) -> list[str]:
    """A name for each run: its folder's, or the whole path if several folders have that name."""
    count = Counter(run.path.name for run in runs)
    return [run.path.name if count[run.path.name] == 1 else str(run.path) for run in runs]


def cautions(names: Sequence[str], runs: Sequence) -> Iterable[str]:
    """Why the numbers cannot be compared, if they cannot; and what they mean."""
    results = [run.settings.get("result") for run in runs]
    for name, result in zip(names, results):
        if not result:
            yield f"{name} has no result: it stopped before its end."
    tasks = _unique(run.settings["task"] for run in runs)
    measured = _unique(_measured_on(run) for run in runs if run.settings.get("result"))
    trained_on = _unique(run.settings.get("data_sha256") for run in runs)
    if len(tasks) > 1:
        yield (
            f"The runs are of different tasks ({', '.join(tasks)}), whose numbers cannot be "
            "compared: their curves are not plotted together."
        )
    elif len(measured) > 1:
        yield (
            f"The runs were evaluated on different data ({'; '.join(measured)}): these numbers do "
            "not show which run is better."
        )
    elif len(trained_on) > 1:
        yield "The runs were trained on different data, which may be why their numbers differ."
    metrics = {name: None for result in results if result for name in result["metrics"]}
    yield report.explanation({"metrics": metrics})


def numbers(names: Sequence[str], runs: Sequence) -> Table:
    """The metrics of each run, one column per run."""
    results = [run.settings.get("result") or {} for run in runs]
    metrics = _unique(name for result in results for name in result.get("metrics", ()))
    rows = [
        (name, *(_cell(result.get("metrics", {}).get(name), rounded) for result in results))
        for name in metrics
    ]
    rows += [
        ("evaluated on", *(_measured_on(run) or MISSING for run in runs)),
        (
            "seconds of training",
            *(_cell(result.get("seconds"), "{:.0f}".format) for result in results),
        ),
        ("started", *(run.settings.get("created", MISSING)[:16].replace("T", " ") for run in runs)),
    ]
    caption = (
        "The result of each run. One seed is weak evidence: another seed changes these numbers too."
    )
    return Table("numbers", "Numbers", caption, ("", *names), rows)


def curves(names: Sequence[str], runs: Sequence) -> Iterable[Picture]:
    """Plots of the histories by epoch or frame, and by time; none for runs of different tasks."""
    histories = {name: run.history for name, run in zip(names, runs) if run.history}
    if not histories or len({run.settings["task"] for run in runs}) > 1:
        return
    steps = "frames" if all("frames" in rows[0] for rows in histories.values()) else "epoch"
    for x, title in ((steps, f"Curves by {steps}"), ("seconds", "Curves by time")):
        if all(x in rows[0] for rows in histories.values()):
            yield plot(histories, x, title)


def plot(histories: Mapping[str, Sequence[dict[str, float]]], x: str, title: str) -> Picture:
    """Plot each number against the column `x`: one panel per number, one colour per run."""
    columns = _unique(name for rows in histories.values() for name in rows[-1])
    kinds = _unique(name.removeprefix("val_") for name in columns if name not in PACE)
    across = min(2, len(kinds))
    down = -(-len(kinds) // across)
    size = (4.7 * across, 3.1 * down + 0.22 * len(histories))
    figure = Figure(figsize=size, layout="constrained")
    panels = list(figure.subplots(down, across, squeeze=False).flat)
    marks, ends = [], []
    for i, (name, rows) in enumerate(histories.items()):
        look = {"color": COLOURS[i % len(COLOURS)], "marker": " ."[i // len(COLOURS) % 2]}
        marks.append(Line2D([], [], lw=2, label=lettering.label(name), **look))
        for axes, kind in zip(panels, kinds):
            solid = f"val_{kind}" if f"val_{kind}" in columns else kind
            for column, style in ((solid, "-"), (kind, ":")):
                if column in rows[-1] and (style == "-" or column != solid):
                    axes.plot(
                        [row[x] for row in rows], [row[column] for row in rows], style, **look
                    )
            if solid in rows[-1]:
                ends.append(f"{name} {kind} {rows[-1][solid]:.3g}")
    for axes, kind in zip(panels, kinds):
        axes.set(xlabel=x, title="accuracy" if kind == "top1" else kind.replace("_", " "))
        finish(axes, whole=True)
    for axes in panels[len(kinds) :]:
        axes.set_axis_off()
    figure.legend(handles=marks, loc="outside upper left", frameon=False)
    caption = "Each colour is a run. "
    if any(name.startswith("val_") for name in columns):
        caption += (
            "Solid lines are validation, on data that are never trained on; dotted lines training. "
        )
    if x == "seconds":
        caption += (
            "Time is training time, on each run's machine and next to the machine's other work."
        )
    else:
        caption += "A line that ends early belongs to a shorter run, or to one that was stopped."
    alt = f"Curves by {x}. At the end: {', '.join(ends)}."
    return Picture(f"by-{x}", title, caption, png(figure), alt, plot=True)


def settings(names: Sequence[str], runs: Sequence) -> Iterable[Table]:
    """Settings, versions and machine that differ between the runs; and those that are the same."""
    every = [
        {name: value for name, value in run.settings.items() if name not in report.NOT_LISTED}
        | run.settings["versions"]
        | run.settings["machine"]
        for run in runs
    ]
    rows = [
        (name, *(report.in_words(each[name]) if name in each else MISSING for each in every))
        for name in _unique(name for each in every for name in each)
        if name != "created"  # a row of the numbers
    ]
    differ = [row for row in rows if len(set(row[1:])) > 1]
    caption = "Settings, versions and machines that differ between the runs; all others are below."
    if not differ:
        caption = "Nothing: all settings, versions and machines are the same."
    yield Table("differ", "What differs", caption, ("", *names), differ)
    same = [row[:2] for row in rows if len(set(row[1:])) == 1]
    yield Table("same", "What is the same", "In all runs.", (), same)


def _measured_on(run) -> str:
    """The data that a run was evaluated on; empty if unknown."""
    result = run.settings.get("result") or {}
    unit = run.settings.get("data_unit")
    return counted(result, unit) if result.get("split") else result.get("data") or ""


def _cell(value: float | None, form: Callable[[float], str]) -> str:
    return MISSING if value is None else form(value)


def _unique(values: Iterable) -> list:
    """The different values, in order of their first occurrence."""
    return list(dict.fromkeys(values))

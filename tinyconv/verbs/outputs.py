"""The verbs that write files about a run: report, explain, export."""

from collections.abc import Iterable
from pathlib import Path

from tinyconv import runs
from tinyconv.errors import UserError, nearest
from tinyconv.explain import ModelExplainOptions
from tinyconv.plugins import Compares, ExportsSeveral
from tinyconv.runs import Run
from tinyconv.runs.verb_options import build_options
from tinyconv.system import console
from tinyconv.system.files import make_folder, only_writer, unused_path, write
from tinyconv.system.start_keras import start


def report(run: Run, *others: Run, output: Path | None = None) -> Path:
    """Write pictures/*.png and report.html into the run folder, or compare several runs.

    A report can be written during training; if two processes write one, the second waits.

    Args:
        run: whose report is written.
        others: more runs, for one page with all of them side by side.
        output: file for that page; by default comparison.html in the current folder, or
            comparison-2.html where that exists.

    Returns:
        The path of the page.

    Raises:
        UserError: `output` exists, or is passed for a single run.
    """
    if not others:
        from tinyconv.report import write_report

        if output:
            raise UserError(
                f"The report of one run is written into its folder, {run.path}; name more runs to "
                "compare, or leave out --output."
            )
        runs.refuse_shipped(run.path)
        folder = run.path / "pictures"
        make_folder(folder)
        with only_writer(folder, wait=True):
            return write_report(run)
    if output and Path(output).exists():
        raise UserError(f"{output} exists already; name another file with --output.")
    page = Path(output or unused_path(Path("comparison.html")))
    make_folder(page.parent)
    return compare([run, *others], page)


def compare(runs: list[Run], page: Path, tables: Iterable = ()) -> Path:
    """Write the page with several runs side by side, `tables` and what their task shows of them."""
    from tinyconv.report.comparison import write_comparison

    return write_comparison(runs, page, [*tables, *_figures_together(runs)])


def _figures_together(runs: list[Run]) -> list:
    """What the task of several runs has to show of them; nothing for runs of different tasks."""
    from tinyconv.report.comparison import distinct_names

    if len({run.settings["task"] for run in runs}) > 1 or not isinstance(runs[0].task, Compares):
        return []
    start()
    return runs[0].comparison(dict(zip(distinct_names(runs), runs)))


def explain(run: Run | Path, *inputs, output: Path | None = None, **options) -> list[Path]:
    """Write figures of why a network predicts as it does.

    Args:
        run: a Run, or the path of a .keras file with a classifier of pictures.
        inputs: files, folders and globs.
        output: folder for the figures; by default the current one.
        options: those of the run's task, or of `explain.ModelExplainOptions` for a file.

    Returns:
        The paths of the PNG files; none replaces another file.

    Raises:
        UserError: the task does not explain its runs, or an option or input does not fit.
    """
    folder = Path(output or ".")
    if folder.is_file():
        raise UserError(f"{folder} is a file, and explain writes a folder; name another place.")
    if isinstance(run, Run):
        pictures = run.explain(*inputs, **options)
    else:
        pictures = _explain_file(run, inputs, options)
    make_folder(folder)
    paths = []
    for picture in pictures:
        path = unused_path(folder / f"{picture.name}.png")
        write(path, picture.png)
        paths.append(path)
    return paths


def _explain_file(path: Path, inputs, values: dict):
    """The figures of a .keras file."""
    options = build_options(ModelExplainOptions, values, f"The model {path}", "explain")
    start()
    from tinyconv.explain import command

    return command.pictures(command.open_file(path, options.pixels), inputs, options)


def export(run: Run, format: str, output: Path | None = None) -> Path:
    """Write the run's best model for other programs.

    Args:
        run: a Run.
        format: "keras", "savedmodel" or "onnx".
        output: file, or folder for a SavedModel or a task with several `networks`; a file's
            ending is added where it lacks it. By default export-FORMAT in the run folder.

    Returns:
        The path of the file or folder.

    Raises:
        UserError: `output` exists or has another format's ending, a package that writes the
            format is missing, or the format cannot hold the network.
    """
    from tinyconv.runs import export as formats

    if format not in formats.EXPORTERS:
        raise UserError(f"There is no format {format!r}; {nearest(format, formats.EXPORTERS)}")
    has_several = isinstance(run.task, ExportsSeveral)
    if output is None:
        runs.refuse_shipped(run.path)
    path = Path(output or run.path / f"export-{format}")
    path = formats.destination(path, format, is_folder=has_several or format == "savedmodel")
    formats.require(format)
    networks = run.task.networks(run) if has_several else {"": run.model()}
    foreign = formats.write(networks, path, format, formats.facts_of(run.settings))
    if foreign:
        console.print_line(
            f"needs      {', '.join(foreign)}: a program that opens {path.name} imports them first "
            "(tinyconv.open_model does)"
        )
    return path

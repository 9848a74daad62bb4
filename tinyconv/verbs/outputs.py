"""The verbs that write files about a run: report, explain, export."""

from pathlib import Path

from tinyconv import runs
from tinyconv.errors import UserError, nearest
from tinyconv.explain import ModelExplainOptions
from tinyconv.plugins import ExportsSeveral
from tinyconv.runs import Run, build_options
from tinyconv.system.files import only_writer, unused_path, write
from tinyconv.system.start_keras import start


def report(run: Run, *others: Run, output: Path | None = None) -> Path:
    """Write pictures/*.png and report.html into the run folder, or compare several runs.

    A run can be reported while it is trained; if two processes report it, one waits for the other.

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
        folder.mkdir(exist_ok=True)
        with only_writer(folder, wait=True):
            return write_report(run)
    from tinyconv.report.comparison import write_comparison

    if output and Path(output).exists():
        raise UserError(f"{output} exists already; name another file with --output.")
    path = Path(output or unused_path(Path("comparison.html")))
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_comparison([run, *others], path)


def explain(run: Run | Path, *inputs, output: Path | None = None, **options) -> list[Path]:
    """Write figures of why a network answers as it does.

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
    if isinstance(run, Run):
        shown = run.explain(*inputs, **options)
    else:
        shown = _explain_file(run, inputs, options)
    folder = Path(output or ".")
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for picture in shown:
        path = unused_path(folder / f"{picture.name}.png")
        write(path, picture.png)
        written.append(path)
    return written


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
        output: file, or folder for a SavedModel or a task with several `networks`; by default
            export-FORMAT in the run folder.

    Returns:
        The path of the file or folder.

    Raises:
        UserError: `output` exists, or a package that writes the format is missing.
    """
    from tinyconv.runs.export import ENDINGS, EXPORTERS, require

    if format not in EXPORTERS:
        raise UserError(f"There is no format {format!r}; {nearest(format, EXPORTERS)}")
    several = isinstance(run.task, ExportsSeveral)
    ending = "" if several else ENDINGS[format]
    if output is None:
        runs.refuse_shipped(run.path)
    path = Path(output) if output else run.path / f"export-{format}{ending}"
    if path.exists():
        raise UserError(f"{path} exists already; name another place with --output.")
    require(format)
    if not several:
        EXPORTERS[format](run.model(), path)
        return path
    networks = run.task.networks(run)
    path.mkdir(parents=True)
    for name, network in networks.items():
        EXPORTERS[format](network, path / f"{name}{ENDINGS[format]}")
    return path

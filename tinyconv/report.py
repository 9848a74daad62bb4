"""The HTML report: one page with everything in it, which needs no network to be read."""

import base64
from pathlib import Path

from tinyconv.pictures import Picture, Table
from tinyconv.writing import write

# Facts of settings.json that are told elsewhere on the page, or are long and dull.
NOT_LISTED = {"classes", "result", "versions", "machine", "command_line"}


def write_report(run) -> Path:
    """Write pictures/*.png and report.html into the run's folder; returns the page's path."""
    import jinja2

    shown = run.pictures()
    folder = run.path / "pictures"
    folder.mkdir(exist_ok=True)
    for picture in shown:
        if isinstance(picture, Picture):
            write(folder / f"{picture.name}.png", picture.png)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tinyconv", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    page = environment.get_template("report.html").render(
        name=run.path.name,
        result=run.settings.get("result"),
        settings={k: v for k, v in run.settings.items() if k not in NOT_LISTED},
        versions=run.settings["versions"] | run.settings["machine"],
        command_line=" ".join(run.settings["command_line"]),
        sections=shown,
        is_table=lambda section: isinstance(section, Table),
        as_data=lambda png: base64.b64encode(png).decode(),
    )
    path = run.path / "report.html"
    write(path, page.encode())
    return path

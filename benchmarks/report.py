"""How large the report of each RUN is, and how long headless Chromium takes to open it.

    tox -e benchmarks -- benchmarks/report.py RUN...

The report is written again first. Times are from the start of the navigation to the end of its
load event, medians of nine at a phone's 390 pixels; slowed, with Chromium's own brake on the
processor at 4, which is what its developers take for a phone. (Needs Debian's `chromium`.)
"""

import statistics
import sys
from pathlib import Path

import tinyconv
from tinyconv import verbs
from tinyconv.system.start_keras import start

sys.path.append(str(Path(__file__).parents[1]))
from tests.helpers.browser import Browser

END = "performance.getEntriesByType('navigation')[0].loadEventEnd"
BRAKES = (1, 4)
runs = [tinyconv.load(path) for path in sys.argv[1:]]
start()
with Browser() as browser:
    print("| run | pictures | size, kB | load, ms | slowed, ms |\n| --- | --- | --- | --- | --- |")
    for run in runs:
        page = verbs.report(run)
        medians = []
        for brake in BRAKES:
            browser.send("Emulation.setCPUThrottlingRate", rate=brake)
            times = []
            for _ in range(9):
                browser.open(page, 390, 844)
                times.append(browser.ask(END))
            medians.append(statistics.median(times))
        images = browser.ask("document.images.length")
        told = " | ".join(f"{median:.0f}" for median in medians)
        print(
            f"| {run.path.name} | {images} | {page.stat().st_size / 1e3:.0f} | {told} |", flush=True
        )

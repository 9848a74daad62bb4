"""How large the report of each RUN is, and how long headless Chromium takes to open it.

    tox -e benchmarks -- benchmarks/report.py RUN...

The report is first written again. Times are from the start of the navigation to the end of its
load event, medians of nine at a phone's 390 pixels; "slowed" is with Chromium's CPU throttling at
4, which its developers use to emulate a phone. (Needs Debian's `chromium`.)
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
THROTTLES = (1, 4)
runs = [tinyconv.load(path) for path in sys.argv[1:]]
start()
with Browser() as browser:
    print("| run | pictures | size, kB | load, ms | slowed, ms |\n| --- | --- | --- | --- | --- |")
    for run in runs:
        page = verbs.report(run)
        medians = []
        for throttle in THROTTLES:
            browser.send("Emulation.setCPUThrottlingRate", rate=throttle)
            times = []
            for _ in range(9):
                browser.open(page, 390, 844)
                times.append(browser.evaluate(END))
            medians.append(statistics.median(times))
        images = browser.evaluate("document.images.length")
        times = " | ".join(f"{median:.0f}" for median in medians)
        size = page.stat().st_size / 1e3
        print(f"| {run.path.name} | {images} | {size:.0f} | {times} |", flush=True)

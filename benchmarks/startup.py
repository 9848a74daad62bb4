"""Seconds until the listings and the help answer: medians of ten runs of each command."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMAND = Path(sys.executable).with_name("tinyconv")

for arguments in (["--help"], ["models"], ["datasets"], ["fit", "--help"]):
    seconds = []
    for _ in range(11):
        start = time.perf_counter()
        subprocess.run([COMMAND, *arguments], capture_output=True, check=True)
        seconds.append(time.perf_counter() - start)
    median = statistics.median(seconds[1:])  # the first one fills the disk cache
    print(f"tinyconv {' '.join(arguments):10} {median:.3f} s")

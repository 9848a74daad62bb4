"""Catch by deep Q-learning: the greedy score after 20,000 actions over five seeds, and the time."""

import json
import resource
import subprocess
import sys
import tempfile
import time

print("| seed | mean return of 30 games | seconds of learning | of the command | of CPU |")
print("| --- | --- | --- | --- | --- |")
for seed in range(5):
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "tinyconv", "fit", "dqn", "--seed", str(seed), "--json"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
    used, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    result = json.loads(done.stdout)
    score, seconds = result["metrics"]["return_mean"], result["seconds"]
    print(f"| {seed} | {score:.3f} | {seconds:.1f} | {wall:.1f} | {cpu:.1f} |", flush=True)

"""`tinyconv fit` from shell to prompt: seconds and test accuracy over five seeds."""

import json
import statistics
import subprocess
import sys
import tempfile
import time

rows = []
for seed in range(5):
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "tinyconv", "fit", "--seed", str(seed), "--json"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - start
    rows.append((seed, json.loads(done.stdout)["metrics"]["top1"], seconds))
    print("seed {}: test accuracy {:.4f}, {:.1f} s".format(*rows[-1]), flush=True)

print(f"lowest accuracy {min(row[1] for row in rows):.4f}")
print(f"median {statistics.median(row[2] for row in rows):.1f} s")

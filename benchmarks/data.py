"""Tiny ImageNet: seconds to decode it once, pictures/s from the cache, and memory.

python benchmarks/data.py PATH      the official zip, its folder, or the subset
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import psutil

from tinyconv.data.augment import policy
from tinyconv.data.pipeline import training_batches
from tinyconv.data.tiny_imagenet import tiny_imagenet

BATCH = 128
root = Path(sys.argv[1])


def rate(name: str, changes, split) -> None:
    start, count = time.perf_counter(), 0
    for epoch in range(2):
        for pictures, _ in training_batches(split, BATCH, changes, seed=0, epoch=epoch):
            count += len(pictures)
    print(f"{name:28} {count / (time.perf_counter() - start):10,.0f} pictures/s, one thread")


with tempfile.TemporaryDirectory() as folder:
    os.environ["TINYCONV_CACHE"] = folder
    start = time.perf_counter()
    dataset = tiny_imagenet(root)
    seconds = time.perf_counter() - start
    count = sum(len(split.labels) for split in dataset.splits.values())
    print(f"decode once                  {seconds:10.2f} s for {count:,} pictures")
    start = time.perf_counter()
    dataset = tiny_imagenet(root)
    print(f"open the cache               {time.perf_counter() - start:10.3f} s")
    train = dataset.splits["train"]
    rate("batches", (), train)
    for augment in ("basic", "strong"):
        rate(f"batches, {augment} augmentation", policy(augment, dataset.mirror), train)
    peak = psutil.Process().memory_info()
    print(f"resident now                 {peak.rss / 1e6:10,.0f} MB")
    with Path("/proc/self/status").open() as status:
        high = next(line for line in status if line.startswith("VmHWM"))
    print(f"resident at most             {int(high.split()[1]) / 1e3:10,.0f} MB")
